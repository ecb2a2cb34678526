"""Two ordinary loops that train one run: what the stacked loop is compared with.

Both do the same work for a step as `losscope.training.loop`: the loss over all pairs or triplets of the batch, Adam,
and the same step diagnostics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import ContrastiveLoss, TripletMarginLoss
from pytorch_metric_learning.reducers import DoNothingReducer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

MARGIN = 1.0
ACTIVE_ABOVE = 1e-8

Terms = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""`(embeddings (samples, dim), labels (samples,)) -> values of the valid terms`, by side where there are sides."""


@dataclass(frozen=True)
class Task:
    """What one run trains on, and how."""

    inputs: Tensor  # (samples, dim)
    labels: Tensor  # (samples,) int64
    weights: Sequence[Tensor]  # weight and bias of each layer
    batch: int
    lr: float
    weight_decay: float

    def network(self) -> nn.Sequential:
        """The encoder of this run before training, without its normalization."""
        layers: list[nn.Module] = []
        for weight, bias in zip(self.weights[::2], self.weights[1::2], strict=True):
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
            layers += [layer, nn.ReLU()]
        return nn.Sequential(*layers[:-1])


def mean_of_all(terms: dict[str, Tensor]) -> Tensor:
    """Mean over all valid terms, whatever their side."""
    return torch.cat(list(terms.values())).mean()


# (i) pytorch-metric-learning ---------------------------------------------------------------------------------------


class SquaredContrastiveLoss(ContrastiveLoss):
    """The library's contrastive loss with both hinges squared, as in losscope."""

    def get_per_pair_loss(self, pair_dists: Tensor, pos_or_neg: str) -> Tensor:
        hinge: Tensor = super().get_per_pair_loss(pair_dists, pos_or_neg)
        return hinge.square()


def pml_terms(loss: str) -> Terms:
    """Terms by pytorch-metric-learning, read before its reducer so that active ones can be counted."""
    # The encoder normalizes already, so the library needn't do it a second time.
    settings = {"distance": LpDistance(normalize_embeddings=False), "reducer": DoNothingReducer()}
    if loss == "contrastive":
        criterion: nn.Module = SquaredContrastiveLoss(pos_margin=0, neg_margin=MARGIN, **settings)
    else:
        criterion = TripletMarginLoss(margin=MARGIN, **settings)
    return lambda embeddings, labels: {
        name: part["losses"] for name, part in criterion(embeddings, labels).items() if torch.is_tensor(part["losses"])
    }


class PmlLoop:
    """The loop that the library's documentation shows: a DataLoader, a loss module, Adam, numbers read at each step."""

    def __init__(self, task: Task, loss: str) -> None:
        self.network, self.terms = task.network(), pml_terms(loss)
        self.loader = DataLoader(TensorDataset(task.inputs, task.labels), batch_size=task.batch, shuffle=True)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=task.lr, weight_decay=task.weight_decay)

    def train_epoch(self) -> list[dict[str, float]]:
        """One epoch; the diagnostics of each step."""
        return [self.train_step(inputs, labels) for inputs, labels in self.loader]

    def train_step(self, inputs: Tensor, labels: Tensor) -> dict[str, float]:
        parameters = list(self.network.parameters())
        before = [parameter.detach().clone() for parameter in parameters]
        self.optimizer.zero_grad()
        embeddings = F.normalize(self.network(inputs), dim=-1)
        embeddings.retain_grad()
        terms = self.terms(embeddings, labels)
        loss = mean_of_all(terms)
        loss.backward()
        self.optimizer.step()
        return {name: value.item() for name, value in diagnostics(loss, terms, embeddings, parameters, before).items()}


# (ii) tensors in memory --------------------------------------------------------------------------------------------


def resident_terms(loss: str, batch: int) -> Terms:
    """Terms as a careful user of torch writes them: no library, no (batch, batch, batch) tensor, index tensors made once."""
    pairs = {size: torch.triu_indices(size, size, 1).unbind() for size in range(1, batch + 1)}

    def contrastive(embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        distance = F.pdist(embeddings)
        first, second = pairs[len(labels)]
        same = labels[first] == labels[second]
        positive, negative = distance[same], distance[~same]
        return {"pos_loss": positive.square(), "neg_loss": (MARGIN - negative).relu().square()}

    def triplet(embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        distance = torch.cdist(embeddings, embeddings)
        same = labels.unsqueeze(1) == labels
        anchor, positive = same.triu(1).nonzero(as_tuple=True)
        anchor, positive = torch.cat([anchor, positive]), torch.cat([positive, anchor])
        violation = (distance[anchor, positive] + MARGIN).unsqueeze(1) - distance[anchor]
        return {"loss": violation.relu()[~same[anchor]]}

    return {"contrastive": contrastive, "triplet": triplet}[loss]


class ResidentLoop:
    """Everything in memory, a batch is an index, a fused Adam, numbers read once an epoch."""

    def __init__(self, task: Task, loss: str) -> None:
        self.task, self.network, self.terms = task, task.network(), resident_terms(loss, task.batch)
        self.parameters = list(self.network.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=task.lr, weight_decay=task.weight_decay, fused=True)

    def train_epoch(self) -> Tensor:
        """One epoch; the diagnostics (steps, diagnostics)."""
        order = torch.randperm(len(self.task.labels))
        steps = [self.train_step(rows) for rows in order.split(self.task.batch)]
        return torch.stack([torch.stack(list(step.values())) for step in steps])

    def train_step(self, rows: Tensor) -> dict[str, Tensor]:
        inputs, labels = self.task.inputs[rows], self.task.labels[rows]
        before = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer.zero_grad()
        embeddings = F.normalize(self.network(inputs), dim=-1)
        embeddings.retain_grad()
        terms = self.terms(embeddings, labels)
        loss = mean_of_all(terms)
        loss.backward()
        self.optimizer.step()
        return diagnostics(loss, terms, embeddings, self.parameters, before)


# both --------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def diagnostics(
    loss: Tensor,
    terms: dict[str, Tensor],
    embeddings: Tensor,
    parameters: Sequence[Tensor],
    before: Sequence[Tensor],
) -> dict[str, Tensor]:
    """The step diagnostics of losscope, under the same names."""
    active = {name: (values > ACTIVE_ABOVE).float() for name, values in terms.items()}
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack([gradient.norm() for gradient in gradients])
    step = torch.stack([(after - old).norm() for after, old in zip(parameters, before, strict=True)]).norm()
    size = torch.stack([old.norm() for old in before]).norm()
    by_embedding = embeddings.grad
    assert by_embedding is not None
    radial = (by_embedding * embeddings).sum(-1, keepdim=True)
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
        "gradient_norm_embedding_tangential": (by_embedding - radial * embeddings).norm(dim=-1).mean(),
        "update_ratio": step / size,
    }
