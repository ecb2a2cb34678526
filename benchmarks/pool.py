"""A pool of trained seeds to draw from: 64 seeds of three losses on synthetic data, and the measures of each run.

    OMP_NUM_THREADS=1 python -m benchmarks.pool --out benchmarks/pool.json

The preset `best_fit` of the quick study, for 20 epochs. Minutes on one core; the values are kept in the file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import losscope
from benchmarks.rows import machine
from losscope.table import read_measurements

SEEDS, EPOCHS, STACK = 64, 20, 16
MEASURES = {
    "recall_at_k": ("heldout", 1),
    "map_at_r": ("heldout", None),
    "intra_class_variance_mean": ("heldout", None),
    "inter_class_distance_mean_corrected": ("heldout", None),
    "active_ratio": (None, None),
    "gradient_norm": (None, None),
}
"""Split and item of each diagnostic at the last epoch."""

Pool = dict[str, dict[str, list[float]]]
"""For each diagnostic and loss, one value for each seed, seeds in order."""


def train(folder: Path, jobs: int | None = None) -> Pool:
    """Train the pool into `folder` and read its measures."""
    study = losscope.parse_study(
        {
            "name": "pool",
            "seeds": SEEDS,
            "data": [{"name": "synthetic"}],
            "protocol": [
                {
                    "name": "best_fit",
                    "model": {"name": "mlp", "widths": [64, 32]},
                    "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 1e-5},
                    "epochs": EPOCHS,
                    "evaluate_every": EPOCHS,
                    "chunk": STACK,
                    "batch": {"terms": 64, "sampling": "one_plus_one", "outliers": "negatives"},
                }
            ],
            "loss": [
                {"name": "contrastive", "margin": 1.0},
                {"name": "triplet", "margin": 1.0, "squared": [False, True]},
            ],
        }
    )
    losscope.run(study, folder, jobs=jobs)
    pool: dict[str, dict[str, dict[int, float]]] = {name: {} for name in MEASURES}
    for row in read_measurements(folder).to_pylist():
        name = row["diagnostic"]
        if row["epoch"] == EPOCHS and name in MEASURES and MEASURES[name] == (row["split"], row["item"]):
            loss = f"{row['loss']} {row['variant']}".strip()
            pool[name].setdefault(loss, {})[row["seed"]] = row["value"]
    return {
        name: {loss: [of[seed] for seed in sorted(of)] for loss, of in losses.items()} for name, losses in pool.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pool", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/pool.json"), help="where the values go")
    parser.add_argument("--folder", type=Path, help="where the runs go, to resume them (default: nowhere)")
    parser.add_argument("--jobs", type=int, help="processes (default: the cores)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        values = train(given.folder or Path(temporary) / "pool", given.jobs)
    written = {
        "machine": machine(),
        "settings": {"seeds": SEEDS, "epochs": EPOCHS, "data": "synthetic"},
        "values": values,
    }
    given.out.write_text(json.dumps(written, indent=1) + "\n")
    for name, losses in values.items():
        print(name, {loss: (len(of), round(sum(of) / len(of), 4)) for loss, of in losses.items()})


if __name__ == "__main__":
    main()
