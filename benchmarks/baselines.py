"""Two ordinary loops that train one run: what the stacked loop is compared with.

Both do the same work as `losscope.training.loop`: the loss over all tuples of the batch, Adam, the diagnostics of each
step (`diagnostics` below), and for each epoch the signal fraction of the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.pml import pml_terms
from benchmarks.tasks import Task
from losscope.diagnostics import (
    gradient_effective_share,
    gradient_participation,
    gradient_share_90,
    gradient_signal_fraction,
)

ACTIVE_ABOVE = 1e-8

Terms = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""`(embeddings (samples, dim), labels (samples,)) -> values of the valid terms`, by side where there are sides."""


def mean_of_all(terms: dict[str, Tensor]) -> Tensor:
    """Mean over all valid terms, whatever their side."""
    return torch.cat(list(terms.values())).mean()


# (i) pytorch-metric-learning ---------------------------------------------------------------------------------------


class PmlLoop:
    """The loop that the library's documentation shows: a DataLoader, a loss module, Adam, numbers read at each step.

    `observe=False` leaves the diagnostics out; `per_class` makes batches with so many samples of each class.
    """

    def __init__(self, task: Task, loss: str, *, observe: bool = True, per_class: int | None = None) -> None:
        self.network, self.terms, self.observe = task.network(), pml_terms(loss, task), observe
        sampler = per_class and MPerClassSampler(task.labels, per_class, task.batch, len(task.labels))
        samples = TensorDataset(task.inputs, task.labels)
        self.loader = DataLoader(samples, task.batch, shuffle=not sampler, sampler=sampler)
        self.class_vectors = list(self.terms.parameters())
        groups = [{"params": list(self.network.parameters()), "weight_decay": task.weight_decay}]
        if self.class_vectors:
            groups.append({"params": self.class_vectors, "lr": task.hyperparameters["proxy_lr"]})
        self.optimizer = torch.optim.Adam(groups, lr=task.lr)
        self.signal = Signal(list(self.network.parameters()))

    def train_epoch(self) -> list[dict[str, float]]:
        """One epoch; the diagnostics of each step, and last that of the epoch."""
        self.signal = Signal(list(self.network.parameters()))
        steps = [self.train_step(inputs, labels) for inputs, labels in self.loader]
        return [*steps, {"gradient_signal_fraction": self.signal.fraction()}] if self.observe else steps

    def train_step(self, inputs: Tensor, labels: Tensor) -> dict[str, float]:
        parameters = list(self.network.parameters())
        before = [parameter.detach().clone() for parameter in parameters] if self.observe else []
        self.optimizer.zero_grad()
        embeddings = F.normalize(self.network(inputs), dim=-1)
        if self.observe:
            embeddings.retain_grad()
        terms = self.terms(embeddings, labels)
        loss = mean_of_all(terms)
        loss.backward()
        self.optimizer.step()
        if not self.observe:
            return {"loss": loss.item()}
        seen = diagnostics(loss, terms, embeddings, parameters, before)
        self.signal.add(seen["gradient_norm"])
        for vectors in self.class_vectors:
            assert vectors.grad is not None
            seen["proxy_gradient_norm"] = vectors.grad.norm()
        return {name: value.item() for name, value in seen.items()}


# (ii) tensors in memory --------------------------------------------------------------------------------------------


def resident_terms(loss: str, task: Task) -> Terms:
    """Terms as a careful user of torch writes them: no library, no (batch, batch, batch) tensor, index tensors made once."""
    pairs = {size: torch.triu_indices(size, size, 1).unbind() for size in range(1, task.batch + 1)}
    margin = task.hyperparameters["margin"]

    def contrastive(embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        distance = F.pdist(embeddings)
        first, second = pairs[len(labels)]
        same = labels[first] == labels[second]
        positive, negative = distance[same], distance[~same]
        return {"pos_loss": positive.square(), "neg_loss": (margin - negative).relu().square()}

    def triplet(embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        distance = torch.cdist(embeddings, embeddings)
        same = labels.unsqueeze(1) == labels
        anchor, positive = same.triu(1).nonzero(as_tuple=True)
        anchor, positive = torch.cat([anchor, positive]), torch.cat([positive, anchor])
        violation = (distance[anchor, positive] + margin).unsqueeze(1) - distance[anchor]
        return {"loss": violation.relu()[~same[anchor]]}

    return {"contrastive": contrastive, "triplet": triplet}[loss]


class ResidentLoop:
    """Everything in memory, a batch is an index, a fused Adam, numbers read once an epoch."""

    def __init__(self, task: Task, loss: str) -> None:
        self.task, self.network, self.terms = task, task.network(), resident_terms(loss, task)
        self.parameters = list(self.network.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=task.lr, weight_decay=task.weight_decay, fused=True)
        self.signal = Signal(self.parameters)

    def train_epoch(self) -> tuple[Tensor, float]:
        """One epoch; the diagnostics (steps, diagnostics), and that of the epoch."""
        self.signal = Signal(self.parameters)
        order = torch.randperm(len(self.task.labels))
        steps = [
            self.train_step(self.task.inputs[rows], self.task.labels[rows]) for rows in order.split(self.task.batch)
        ]
        seen = torch.stack([torch.stack([value.double() for value in step.values()]) for step in steps])
        return seen, self.signal.fraction()

    def train_step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        before = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer.zero_grad()
        embeddings = F.normalize(self.network(inputs), dim=-1)
        embeddings.retain_grad()
        terms = self.terms(embeddings, labels)
        loss = mean_of_all(terms)
        loss.backward()
        self.optimizer.step()
        seen = diagnostics(loss, terms, embeddings, self.parameters, before)
        self.signal.add(seen["gradient_norm"])
        return seen


# both --------------------------------------------------------------------------------------------------------------


class Signal:
    """Sums over an epoch from which the signal fraction of the parameter gradient is made."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.total = [torch.zeros_like(parameter) for parameter in parameters]
        self.squares, self.steps = torch.zeros((), dtype=torch.float64), 0

    @torch.no_grad()
    def add(self, norm: Tensor) -> None:
        """One step, with the norm of all its gradients."""
        for total, parameter in zip(self.total, self.parameters, strict=True):
            assert parameter.grad is not None
            total += parameter.grad
        self.squares += norm.double().square()
        self.steps += 1

    def fraction(self) -> float:
        total = torch.cat([part.flatten() for part in self.total])
        return gradient_signal_fraction(total, self.squares, self.steps).item()


@torch.no_grad()
def diagnostics(
    loss: Tensor,
    terms: dict[str, Tensor],
    embeddings: Tensor,
    parameters: Sequence[Tensor],
    before: Sequence[Tensor],
) -> dict[str, Tensor]:
    """Step diagnostics of losscope, under the same names."""
    active = {name: (values > ACTIVE_ABOVE).float() for name, values in terms.items()}
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack([gradient.norm() for gradient in gradients])
    step = torch.stack([(after - old).norm() for after, old in zip(parameters, before, strict=True)]).norm()
    size = torch.stack([old.norm() for old in before]).norm()
    by_embedding = embeddings.grad
    assert by_embedding is not None
    radial = (by_embedding * embeddings).sum(-1, keepdim=True)
    tangential = (by_embedding - radial * embeddings).norm(dim=-1)
    ratios = {"active_ratio": torch.cat(list(active.values())).mean()}
    if "pos_loss" in active:
        ratios |= {
            "active_ratio_positive": active["pos_loss"].mean(),
            "active_ratio_negative": active["neg_loss"].mean(),
        }
    return {
        "loss": loss.detach(),
        **ratios,
        "gradient_norm": norms.norm(),
        "gradient_norm_tensor_mean": norms.mean(),
        "gradient_norm_embedding": by_embedding.norm(),
        "gradient_norm_embedding_tangential": tangential.mean(),
        "gradient_share_90": gradient_share_90(tangential),
        "gradient_participation": gradient_participation(tangential),
        "gradient_effective_share": gradient_effective_share(tangential),
        "update_norm": step,
        "update_ratio": step / size,
    }
