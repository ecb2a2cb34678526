"""Losses of pytorch-metric-learning in a study, beside one of this package: same seeds, batches, model and measures.

Run it:  python examples/losses_of_pml.py OUT_FOLDER        (needs `pip install 'losscope[pml]'`)
"""

from __future__ import annotations

import sys

from pytorch_metric_learning.losses import MultiSimilarityLoss, ProxyAnchorLoss

import losscope

CLASSES, DIM = 10, 16
STUDY = {
    "name": "losses_of_pml",
    "seeds": 3,
    "data": [{"name": "digits"}],
    "protocol": [
        {
            "name": "8 classes x 8",
            "epochs": 5,
            "model": {"widths": [64, DIM]},
            "batch": {"sampling": "all_in_batch", "classes": 8, "per_class": 8},
        }
    ],
    "loss": [
        {"name": "triplet", "margin": 0.2},
        {"name": "multi_similarity"},
        {"name": "proxy_anchor", "proxy_lr": 0.1},
    ],
}


def main(out: str) -> None:
    """Train the three, write the report, and say how many terms still push at the end."""
    losses = {
        "multi_similarity": losscope.from_pml(MultiSimilarityLoss()),
        "proxy_anchor": losscope.from_pml(ProxyAnchorLoss(CLASSES, DIM)),  # labels become places 0 to 9
    }
    result = losscope.run(losscope.parse_study(STUDY), out, losses=losses)
    page, _ = losscope.write_report(out)
    for row in result.measurements().to_pylist():
        if (row["epoch"], row["seed"], row["diagnostic"]) == (5, 0, "active_ratio"):
            print(f"{row['loss']}: active ratio {row['value']:.2f} in the last epoch of seed 0")
    print(f"{len(result.records)} runs, report in {page}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "out/losses_of_pml")
