"""What validation classes choose, as plain JSON types."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.report.strict.class_splits import class_splits
from losscope.summary.types import Choice, Comparison, Selection, Summary


def strict_document(summary: Summary) -> list[dict[str, Any]]:
    """Every selection of every class split, with each seed's epoch and values."""
    return [
        _selection(part, selection)
        for found in class_splits(summary)
        for part in found.comparisons
        for selection in part.selections
    ]


def _selection(part: Comparison, one: Selection) -> dict[str, Any]:
    gain = one.peeking_gain
    return {
        "dataset": part.dataset,
        "base_dataset": part.base_dataset,
        "class_split": part.class_split,
        "protocol": part.protocol,
        "loss": one.loss,
        "measure": one.measure.key,
        "variants": one.variants,
        "epochs": list(one.epochs),
        "left_out": [subject.variant for subject in one.left_out],
        "last": _choice(one.last),
        "chosen": _choice(one.chosen),
        "peeked": _choice(one.peeked),
        "peeking_gain": {**asdict(gain.interval), "p": gain.p},
    }


def _choice(one: Choice) -> dict[str, Any]:
    sides = {"epochs": one.epochs, "validation": one.validation, "test": one.test}
    return {
        "variant": one.subject.variant,
        **{name: {str(seed): value for seed, value in side.items()} for name, side in sides.items()},
    }
