"""From what a stack traced in its steps to step lines, epoch rows and counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from losscope.diagnostics import compaction_area, compaction_epoch, loss_decay_epoch, loss_decay_epoch_excess
from losscope.training.records import GroupRecord, Row
from losscope.training.seen import Trace

MEANS = (
    "loss", "gradient_norm", "gradient_norm_tensor_mean", "gradient_norm_embedding",
    "gradient_norm_embedding_tangential", "gradient_share_90", "gradient_participation", "gradient_effective_share",
    "update_norm", "update_ratio", "proxy_gradient_norm",
)  # fmt: skip
"""Diagnostics whose epoch row is the mean over the epoch's steps."""

SHARES = ("gradient_share_90", "gradient_participation", "gradient_effective_share")
"""Of these, what a step without any gradient (every hinge met) has none of: it is left out of the mean."""


@dataclass
class Counts:
    """What a group has seen so far; part of its checkpoint."""

    epoch: int
    updates: int
    samples: int
    terms: list[int]
    diverged_at: list[int | None] = field(default_factory=list)

    @classmethod
    def start(cls, runs: int) -> Counts:
        return cls(0, 0, 0, [0] * runs, [None] * runs)

    def add(self, epoch: int, trace: Trace, samples: int) -> None:
        """Count one epoch of training in; `samples` is the total so far."""
        for run, terms in enumerate(trace["terms"].sum(0).tolist()):
            self.terms[run] += int(terms)
        watched = [trace[name] for name in ("loss", "gradient_norm", "proxy_gradient_norm") if name in trace]
        bad = ~torch.stack(watched).isfinite().all(0)
        for run in range(bad.shape[1]):
            if self.diverged_at[run] is None and bool(bad[:, run].any()):
                self.diverged_at[run] = self.updates + int(bad[:, run].int().argmax()) + 1
        self.updates += len(trace["loss"])
        self.samples = samples
        self.epoch = epoch

    def outcome(self, run: int) -> dict[str, Any]:
        """The part of a run's record that counting decides."""
        return {
            "status": "done" if self.diverged_at[run] is None else "diverged",
            "epochs": self.epoch, "updates": self.updates, "samples": self.samples,
            "terms": self.terms[run], "diverged_at": self.diverged_at[run],
        }  # fmt: skip

    def document(self) -> dict[str, Any]:
        return asdict(self)


def active_ratios(trace: Trace, *, pooled: bool) -> dict[str, Tensor]:
    """Active over valid terms, overall and (for pairs) by sign: (steps, runs), or (runs,) pooled over the steps."""
    counts = {
        name: trace[name].sum(0) if pooled else trace[name]
        for name in ("active", "terms", "active_positive", "terms_positive")
        if name in trace
    }
    ratios = {"active_ratio": counts["active"] / counts["terms"]}
    if "terms_positive" in counts:
        ratios["active_ratio_positive"] = counts["active_positive"] / counts["terms_positive"]
        ratios["active_ratio_negative"] = (counts["active"] - counts["active_positive"]) / (
            counts["terms"] - counts["terms_positive"]
        )
    return ratios


def epoch_rows(trace: Trace, epoch: int) -> Iterator[Row]:
    """Means over the epoch's steps; active ratios pooled over its terms."""
    values = {name: _over_steps(trace[name], without_nan=name in SHARES) for name in MEANS if name in trace}
    values |= active_ratios(trace, pooled=True)
    for name, of_runs in values.items():
        for run, value in enumerate(of_runs.tolist()):
            yield run, None, epoch, name, None, value


def _over_steps(values: Tensor, *, without_nan: bool = False) -> Tensor:
    """Means (runs,) of (steps, runs). Each run's values are laid together first: the order of a sum, and with it its last
    bit, would depend on how many runs are stacked."""
    of_runs = values.mT.contiguous()
    return of_runs.nanmean(1) if without_nan else of_runs.mean(1)


def probe_loss_rows(trace: Trace, epoch: int) -> Iterator[Row]:
    """The loss of the frozen model on fixed probe batches."""
    for run, value in enumerate(_over_steps(trace["loss"]).tolist()):
        yield run, None, epoch, "loss_probe", None, value


def floor_rows(floor: Tensor | None) -> Iterator[Row]:
    """The loss (runs,) on perfectly separated classes, where it is defined."""
    for run, value in enumerate([] if floor is None else floor.tolist()):
        yield run, None, 0, "loss_floor", None, value


def signal_rows(fraction: Tensor, epoch: int) -> Iterator[Row]:
    """The signal fraction (runs,) of the gradients of an epoch."""
    for run, value in enumerate(fraction.tolist()):
        yield run, None, epoch, "gradient_signal_fraction", None, value


def step_lines(trace: Trace, epoch: int, first_step: int) -> list[Mapping[str, Any]]:
    """One wide line for each step: a list with one value for each run under every diagnostic's name."""
    values = {name: trace[name] for name in MEANS if name in trace} | active_ratios(trace, pooled=False)
    columns = {name: of_steps.tolist() for name, of_steps in values.items()}
    return [
        {
            "epoch": epoch,
            "step": first_step + step + 1,
            **{name: column[step] for name, column in columns.items()},
        }
        for step in range(len(trace["loss"]))
    ]


def history_rows(record: GroupRecord, runs: int, epoch: int, splits: Sequence[str]) -> Iterator[Row]:
    """What only the whole history tells: when the loss had decayed, how fast the classes settled."""
    floors = record.history("loss_floor", None, runs)
    for run, losses in enumerate(record.history("loss", None, runs)):
        defined = not math.isnan(losses[0])
        yield run, None, epoch, "loss_decay_epoch", None, loss_decay_epoch(losses) if defined else None
        if floors[run]:
            excess = loss_decay_epoch_excess(losses, floors[run][0]) if defined else None
            yield run, None, epoch, "loss_decay_epoch_excess", None, excess
    for split in splits:
        if split.startswith("train"):
            continue
        for run, ratios in enumerate(record.history("intra_inter_ratio", split, runs)):
            if len(ratios) <= epoch:
                continue  # a diverged run, or a split with less than two classes
            yield run, split, epoch, "compaction_epoch", None, compaction_epoch(ratios)
            yield run, split, epoch, "compaction_area", None, compaction_area(ratios)
