"""The one training loop. Every tensor has a leading run axis; a single run has length 1.

Runs never meet: their losses are summed, never averaged, and every norm, mask and statistic is taken per run. A run
whose loss or gradient is not finite keeps its slot with its gradient set to zero from then on, and the others stay
bit-identical.
Nothing inside an epoch waits for the device: traces are read once, at its end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from losscope.diagnostics.concentration import (
    gradient_effective_share,
    gradient_participation,
    gradient_share_90,
)
from losscope.diagnostics.gradients import (
    by_direction,
    gradient_norm_embedding,
    gradient_signal_fraction,
    tangential_norms,
    tensor_norms,
)
from losscope.diagnostics.greediness import ACTIVE_ABOVE
from losscope.distances import unit_length
from losscope.losses.reductions import mean_over_sides, mean_over_valid
from losscope.losses.tuples import all_tuples
from losscope.study import Optimizer
from losscope.training.batches import Sampler, Step
from losscope.training.models import Encoder
from losscope.training.objective import OPTIMIZERS, Objective
from losscope.training.probe import Probed, probe_batch
from losscope.types import LossTerms, Pairs, Tuples

MOST_CORNERS = 1000

Trace = dict[str, Tensor]
"""Step diagnostics of one epoch: name -> (steps, runs) on the CPU."""


@dataclass
class Inputs:
    """The training inputs of a stack: `(samples, ...)` shared by all runs, or `(runs, samples, ...)`."""

    values: Tensor
    shared: bool

    def take(self, rows: Tensor) -> Tensor:
        """Inputs (runs, n, ...) at `rows` (runs, n)."""
        flat = self.values if self.shared else self.values.flatten(0, 1)
        if not self.shared:
            rows = rows + self.values.shape[1] * torch.arange(len(rows), device=rows.device).unsqueeze(1)
        return flat.index_select(0, rows.flatten()).view(*rows.shape, *flat.shape[1:])


class Signal:
    """Sums over the steps of an epoch from which the signal fraction of the gradient is made."""

    def __init__(self, parameters: Tensor) -> None:
        self.gradients = torch.zeros_like(parameters, requires_grad=False)
        self.squares = torch.zeros(len(parameters), dtype=torch.float64, device=parameters.device)
        self.steps = 0

    def add(self, gradient: Tensor, norm: Tensor) -> None:
        """One step: the gradient (runs, parameters) and its norm (runs,)."""
        self.gradients += gradient
        self.squares += norm.double().square()
        self.steps += 1

    def fraction(self) -> Tensor:
        """The signal fraction (runs,) of the epoch."""
        return gradient_signal_fraction(self.gradients, self.squares, max(self.steps, 1)).cpu()


class Stack:
    """Runs that train together: parameters (runs, parameters), optimizer state, and which runs are alive."""

    def __init__(
        self,
        encoder: Encoder,
        objective: Objective,
        optimizer: Optimizer,
        sampler: Sampler,
        inputs: Inputs,
        parameters: Tensor,
        *,
        observe: bool = True,
    ) -> None:
        self.encoder, self.objective = encoder, objective
        self.sampler, self.inputs, self.observe = sampler, inputs, observe
        self.parameters = parameters.requires_grad_()
        self.optimizer = OPTIMIZERS[optimizer.name](
            [self.parameters], lr=optimizer.lr, fused=True, weight_decay=optimizer.weight_decay
        )
        self.samples = 0  # embedded in updates so far, by each run
        self.alive = torch.ones(len(parameters), dtype=torch.bool, device=parameters.device)
        self.signal = Signal(parameters)  # of the epoch that was trained last
        self.before = torch.empty_like(self.parameters, requires_grad=False)  # kept: a fresh one costs page faults

    def train_epoch(self, epoch: int) -> Trace:
        """One epoch of updates."""
        self.signal = Signal(self.parameters)
        return read([self.train_step(step) for step in self.sampler.epoch(epoch)])

    @torch.no_grad()
    def measure_epoch(self, epoch: int, steps: int | None = None) -> Trace:
        """Loss and activity of the first `steps` steps of an epoch, without updates."""
        rows = []
        for step in itertools.islice(self.sampler.epoch(epoch), steps):
            _, terms, tuples, loss = self.forward(step)
            rows.append({"loss": loss, **activity(terms, tuples)})
        return read(rows)

    def forward(self, step: Step) -> tuple[Tensor, LossTerms, Tuples, Tensor]:
        """Embeddings, terms, tuples and the loss (runs,) of a batch."""
        outputs = self.encoder.outputs(self.parameters, self.inputs.take(step.rows))
        embeddings = unit_length(outputs) if self.objective.unit_length else outputs
        tuples = self.sampler.mine(embeddings, step, self.objective.hyperparameters)
        terms = self.objective.terms(embeddings, tuples)
        return embeddings, terms, tuples, self.reduced(terms, tuples)

    @cached_property
    def _probes(self) -> list[np.ndarray | None]:
        """Rows of each run's probe."""
        return [probe_batch(labels, seed) for labels, seed in zip(self.sampler.labels, self.sampler.seeds, strict=True)]

    @torch.no_grad()
    def probe(self) -> Iterator[tuple[int, Probed]]:
        """Each living run's loss on its probe as it stands now; nothing where classes are too small for one."""
        sizes = [0 if batch is None else len(batch) for batch in self._probes]
        if not any(sizes):
            return
        # Probes of unequal size are embedded together: the smaller ones repeat their rows, and are cut again.
        batches = [np.zeros(1, dtype=np.int64) if batch is None else batch for batch in self._probes]
        rows = torch.from_numpy(np.stack([np.resize(batch, max(sizes)) for batch in batches]))
        rows = rows.to(self.parameters.device)
        outputs = self.encoder.outputs(self.parameters, self.inputs.take(rows))
        embeddings = unit_length(outputs) if self.objective.unit_length else outputs
        for run, (points, labels, size) in enumerate(zip(embeddings, self.sampler.labels_of(rows), sizes, strict=True)):
            if size and bool(self.alive[run]) and bool(points.isfinite().all()):
                tuples = all_tuples(self.objective.loss, labels[:size], self.sampler.classes)
                probed = self.objective.probed(run, points[:size], labels[:size], tuples)
                yield run, replace(probed, sides=self.sampler.batch.balance == "sides")

    @torch.no_grad()
    def floor(self, steps: int) -> Tensor | None:
        """Mean loss (runs,) of the first batches if every class sat at its corner of a regular simplex.

        A reference rather than a bound where there are outliers: they have no corner, and are at the center. None where
        class geometry alone doesn't decide the loss (embeddings of any length, a loss with parameters of its own), and
        beyond MOST_CORNERS classes, whose simplex would fill the memory.
        """
        classes = self.sampler.classes
        if not self.objective.unit_length or self.objective.modules or classes > MOST_CORNERS:
            return None
        corners = self.parameters.new_zeros(classes + 1, classes)
        corners[:-1] = F.normalize(torch.eye(classes).sub(1 / classes), dim=-1)
        losses = []
        for step in itertools.islice(self.sampler.epoch(0), steps):
            embeddings = corners[self.sampler.labels_of(step.rows)]
            tuples = self.sampler.mine(embeddings, step, self.objective.hyperparameters)
            proxies = corners[:-1].expand(len(embeddings), -1, -1)
            losses.append(self.reduced(self.objective.terms(embeddings, tuples, proxies), tuples))
        return torch.stack(losses, -1).double().mean(-1).cpu()  # (runs, steps): see `traces`

    def reduced(self, terms: LossTerms, tuples: Tuples) -> Tensor:
        """The loss (runs,) of the masked terms of a batch."""
        if self.sampler.batch.balance == "sides" and isinstance(tuples, Pairs):
            return mean_over_sides(terms, tuples.same, runs=1)
        return mean_over_valid(terms, runs=1)

    def train_step(self, step: Step) -> dict[str, Tensor]:
        """One update of every run; what was seen on the way, each (runs,), still on the device."""
        embeddings, terms, tuples, loss = self.forward(step)
        self.samples += step.rows.shape[1]
        by_embedding, gradient, *beside = torch.autograd.grad(
            loss.sum(), (embeddings, self.parameters, *self.objective.parameters)
        )
        norms = tensor_norms(self.encoder.layers(gradient), runs=1)
        norm = norms.norm(dim=-1)
        seen = self.objective.observed(beside)
        self.alive = self.alive & (loss + norm + seen.get("proxy_gradient_norm", 0.0)).isfinite()
        if self.observe:
            self.before.copy_(self.parameters.detach())
        # `where` on a mask is scalar on a CPU; a gradient that is not finite is never an alive run's.
        self.parameters.grad = gradient.nan_to_num_(0.0, 0.0, 0.0).mul_(self.alive.unsqueeze(1))
        self.optimizer.step()
        self.objective.update(beside, self.alive)
        self.objective.follow(embeddings.detach(), tuples, self.alive)
        if not self.observe:
            return {"loss": loss.detach()}
        self.signal.add(gradient, norm)
        points = embeddings.detach()
        along = (by_embedding, points) if self.objective.unit_length else by_direction(by_embedding, points)
        tangential = tangential_norms(*along)
        length = self.before.norm(dim=-1)
        moved = self.before.sub_(self.parameters.detach()).norm(dim=-1)
        return {
            "loss": loss.detach(),
            **activity(terms, tuples),
            "gradient_norm": norm,
            "gradient_norm_tensor_mean": norms.mean(dim=-1),
            "gradient_norm_embedding": gradient_norm_embedding(by_embedding),
            "gradient_norm_embedding_tangential": tangential.mean(-1),
            "gradient_share_90": gradient_share_90(tangential),
            "gradient_participation": gradient_participation(tangential),
            "gradient_effective_share": gradient_effective_share(tangential),
            "update_norm": moved,
            "update_ratio": moved / length,
            **seen,
        }

    @torch.no_grad()
    def embed(self, inputs: Inputs) -> Tensor:
        """Embeddings (runs, samples, dim) of one split, in blocks that bound memory."""
        runs = len(self.parameters)
        samples = len(inputs.values) if inputs.shared else inputs.values.shape[1]
        numel = inputs.values[0].numel() // (1 if inputs.shared else samples)
        block = max(64, 2**20 // max(numel, 1))
        parts = []
        for start in range(0, samples, block):
            cut = slice(start, start + block)
            part = (
                inputs.values[cut].expand(runs, *inputs.values[cut].shape) if inputs.shared else inputs.values[:, cut]
            )
            parts.append(self.encoder.embed(self.parameters, part))
        return torch.cat(parts, dim=1)

    def state(self) -> dict[str, Tensor]:
        """Everything that the next epoch depends on."""
        kept = {"parameters": self.parameters.detach(), "alive": self.alive, **self.objective.state()}
        for name, value in self.optimizer.state[self.parameters].items():
            if isinstance(value, Tensor):
                kept[f"optimizer.{name}"] = value
        return kept

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state()` of an equal stack."""
        self.parameters.copy_(state["parameters"])
        self.alive = state["alive"].to(self.alive.device)
        self.objective.load(state)
        self.optimizer.state[self.parameters] = {
            name.removeprefix("optimizer."): value.to(self.parameters.device)
            for name, value in state.items()
            if name.startswith("optimizer.")
        }


def read(rows: list[dict[str, Tensor]]) -> Trace:
    """The traces of all steps of an epoch, brought to the CPU at once."""
    if not rows:
        return {}
    values = torch.stack([torch.stack([row[name] for row in rows]).to(torch.float64) for name in rows[0]]).cpu()
    return dict(zip(rows[0], values, strict=True))


def activity(terms: LossTerms, tuples: Tuples) -> dict[str, Tensor]:
    """How many terms are valid and active, for each run; pairs also by sign. Expects masked terms."""
    # Comparing in place keeps floats, ten times faster to count than booleans.
    active = terms.values.detach().clone().gt_(ACTIVE_ABOVE).flatten(1)
    valid = terms.valid.flatten(1)
    counts = {"terms": valid.sum(-1, dtype=torch.int32), "active": active.sum(-1)}
    if isinstance(tuples, Pairs):
        counts["terms_positive"] = (valid & tuples.same).sum(-1, dtype=torch.int32)
        counts["active_positive"] = active.mul_(tuples.same).sum(-1)
    return counts
