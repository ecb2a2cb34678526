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

from losscope.diagnostics.gradients import (
    by_direction,
    gradient_norm_embedding,
    gradient_signal_fraction,
    tangential_norms,
    tensor_norms,
)
from losscope.distances import unit_length
from losscope.losses.reductions import mean_over_sides, mean_over_valid
from losscope.losses.tuples import all_tuples
from losscope.study import Optimizer
from losscope.training.batches import Sampler, Step
from losscope.training.models import Encoder
from losscope.training.objective import Objective
from losscope.training.optimizer import OPTIMIZERS
from losscope.training.probe import Probed, probe_batch
from losscope.training.seen import OF_SAMPLES, OF_TENSORS, Trace, activity, read
from losscope.types import LossTerms, Pairs, Tuples

MOST_CORNERS = 1000

BITS = {torch.float64: torch.int64, torch.float32: torch.int32}
"""Whole numbers as wide as each type of numbers."""


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
            [self.parameters], lr=optimizer.lr, weight_decay=optimizer.weight_decay
        )
        self.samples = 0  # embedded in updates so far, by each run
        self.alive = torch.ones(len(parameters), dtype=torch.bool, device=parameters.device)
        # Kept over all steps: fresh ones cost page faults. `total` is the sum of an epoch's gradients.
        self.gradient, self.total, self.before = (
            torch.zeros_like(self.parameters, requires_grad=False) for _ in range(3)
        )

    def train_epoch(self, epoch: int) -> Trace:
        """One epoch of updates."""
        self.total.zero_()
        return read([self.train_step(step) for step in self.sampler.epoch(epoch)])

    def signal_fraction(self, trace: Trace) -> Tensor:
        """The signal fraction (runs,) of the gradients of the epoch that was trained last, `trace` what it returned."""
        # Each run's squares are laid together first: see `traces`.
        squares = trace["gradient_norm"].square().mT.contiguous().sum(1)
        return gradient_signal_fraction(self.total, squares.to(self.total.device), len(trace["gradient_norm"])).cpu()

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
        return self.judged(self.encoder.outputs(self.parameters, self.inputs.take(step.rows)), step)

    def judged(self, outputs: Tensor, step: Step) -> tuple[Tensor, LossTerms, Tuples, Tensor]:
        """The same from what the encoder makes of the batch."""
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
        """One update of every run; what was seen on the way, still on the device: each (runs,) but for
        `OF_TENSORS` and `OF_SAMPLES`."""
        outputs, backward = self.encoder.outputs_and_backward(self.parameters, self.inputs.take(step.rows))
        embeddings, terms, tuples, loss = self.judged(outputs.requires_grad_(), step)
        self.samples += step.rows.shape[1]
        by_embedding, by_output, *beside = torch.autograd.grad(
            loss.sum(), (embeddings, outputs, *self.objective.parameters)
        )
        backward(by_output, self.gradient)
        norms = tensor_norms(self.encoder.layers(self.gradient), runs=1)
        norm = norms.norm(dim=-1)
        seen = self.objective.observed(beside)
        checked = sum(seen.values(), start=loss.detach() + norm)
        self.alive = self.alive & (checked - checked == 0)  # finite
        # By its bits, since 0 times a gradient that is not finite would not be 0, and `where` is scalar on a CPU.
        bits = BITS[self.gradient.dtype]
        self.gradient.view(bits).bitwise_and_(self.alive.to(bits).neg_().unsqueeze(1))
        if self.observe:
            self.before.copy_(self.parameters.detach())
        self.optimizer.step([self.gradient])
        self.objective.update(beside, self.alive)
        points = embeddings.detach()
        self.objective.follow(points, tuples, self.alive)
        if not self.observe:
            return {"loss": loss.detach()}
        self.total += self.gradient
        along = (by_embedding, points) if self.objective.unit_length else by_direction(by_embedding, points)
        length = self.before.norm(dim=-1)
        moved = self.before.sub_(self.parameters.detach()).norm(dim=-1)
        return {
            "loss": loss.detach(),
            **activity(terms, tuples),
            "gradient_norm": norm,
            "gradient_norm_embedding": gradient_norm_embedding(by_embedding),
            "parameter_norm": length,
            "update_norm": moved,
            **seen,
            OF_TENSORS: norms,
            OF_SAMPLES: tangential_norms(*along),
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
        kept = {"parameters": self.parameters.detach(), "alive": self.alive}
        return kept | self.objective.state() | self.optimizer.state("optimizer.")

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state()` of an equal stack."""
        self.parameters.copy_(state["parameters"])
        self.alive = state["alive"].to(self.alive.device)
        self.objective.load(state)
        self.optimizer.load(state, "optimizer.")
