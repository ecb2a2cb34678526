"""The table of checks: one function and one line for each. What each one detects, why and what to do: `checks.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib.resources import files

from losscope.doctor import batches, gradients, margins, training, values
from losscope.doctor.case import Case
from losscope.doctor.finding import Check

_FUNCTIONS: dict[str, Callable[[Case], list[str] | None] | None] = {
    "fails": values.fails,
    "label-shape": batches.label_shape,
    "unsafe-labels": batches.unsafe_labels,
    "labels-beyond-vectors": batches.labels_beyond,
    "single-class-batches": batches.single_class,
    "no-positives": batches.no_positives,
    "no-negatives": batches.no_negatives,
    "batch-too-small": batches.batch_too_small,
    "positives-as-negatives": batches.positives_as_negatives,
    "accumulation-adds-no-negatives": batches.few_negatives,
    "not-finite": values.not_finite,
    "root-at-zero": gradients.root_at_zero,
    "half-overflow": values.half_overflow,
    "zero-gradient": gradients.zero_gradient,
    "silent-modules": gradients.silent_modules,
    "exploding-gradient": gradients.exploding_gradient,
    "collapsed": values.collapsed,
    "dimensional-collapse": None,  # these two are seen while a run goes on, by losscope.doctor.live
    "label-suspects": None,
    "label-blind-value": values.label_blind_value,
    "label-blind": values.label_blind,
    "margin-unreachable": margins.margin_unreachable,
    "margin-always-satisfied": margins.margin_always_satisfied,
    "not-normalized": margins.not_normalized,
    "miner-distance": margins.miner_distance,
    "miner-units": margins.miner_units,
    "miner-margin": margins.miner_margin,
    "untrained-criterion": training.untrained_criterion,
    "untrained-model": training.untrained_model,
    "class-vector-rate": training.class_vector_rate,
    "evaluation-mode": training.evaluation_mode,
    "mixed-modes": training.mixed_modes,
}


def _checks() -> tuple[Check, ...]:
    texts = tomllib.loads((files("losscope.doctor") / "checks.toml").read_text(encoding="utf-8"))
    return tuple(Check(code, **texts[code], function=function) for code, function in _FUNCTIONS.items())


CHECKS = _checks()
"""Every check, in the order in which a diagnosis shows them. A code never changes its meaning."""
