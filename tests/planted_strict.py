"""Records with validation classes, evaluated after every epoch: what the strict protocol reads."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

LAST = 4
LOSSES = [{"name": "contrastive", "margin": [0.5, 1.0]}, {"name": "triplet", "margin": [0.1, 0.2, 0.5]}]


def evaluated(level: Any) -> Any:
    """An edit that evaluates Recall@1 after every epoch on both splits: `level(split, loss, variant, seed, epoch)`."""

    def edit(rows: Any) -> Iterable[dict[str, Any]]:
        for row in rows:
            if row["diagnostic"] != "recall_at_k":
                yield {**row, "split": {"heldout": "test"}.get(row["split"], row["split"])}
        runs = {(row["run"], row["loss"], row["variant"], row["seed"]): row for row in rows}
        for (_, loss, variant, seed), row in runs.items():
            for epoch, split in itertools.product(range(LAST + 1) if loss != "none" else (0,), ("validation", "test")):
                value = level(split, loss, variant, seed, epoch)
                yield {**row, "split": split, "epoch": epoch, "diagnostic": "recall_at_k", "item": 1, "value": value}

    return edit


def drawn(split: str, loss: str, variant: str, seed: int, epoch: int) -> float:
    """Any level; at epoch 0 the highest of all, which nothing may choose."""
    random = np.random.default_rng([len(split), len(loss), ord((variant or "x")[-1]), seed, epoch])
    return 0.99 if epoch == 0 else float(random.uniform(0.2, 0.8))


@pytest.fixture
def strict_record(write_record: Any) -> Any:
    """Writes a study of two losses with two and three variants; `level` as in `evaluated`."""

    def write(name: str = "strict", level: Any = drawn, **settings: Any) -> Any:
        given = {"losses": LOSSES, "validation": True, "protocols": [{"name": "strict", "epochs": LAST}]}
        return write_record(name, **{**given, "edit": evaluated(level), **settings})

    return write


def class_splits(count: int) -> dict[str, Any]:
    """Settings of a record of several class splits of the digits."""
    names = [f"digits/class_disjoint_validation/{split}" for split in range(1, count + 1)]
    return {
        "datasets": [
            {"name": "digits", "split": "class_disjoint_validation", "class_split": split, "label": name}
            for split, name in enumerate(names, start=1)
        ],
        "sources": {name: {"class_split": str(split)} for split, name in enumerate(names, start=1)},
        "fingerprint": "one and the same",
    }
