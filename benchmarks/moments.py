"""Per-class variance of 1,000,000 x 512 float32 in 10,000 classes: one pass against a mask for each class.

    OMP_NUM_THREADS=1 python -m benchmarks.moments --out benchmarks/moments.json

CPU seconds of one thread, interleaved. A mask per class takes minutes on the whole array, so that it is timed on a
share of the classes over all rows and scaled up; its cost is the same for each class. Beside it the mean distance of
the centroids: squared in closed form against all pairs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.rows import cpu_seconds, divided, finish, row
from losscope.geometry import ClassMoments, Moments
from losscope.geometry.variance import squared_distance_mean

MASKED = 20
"""Classes that are timed with a mask."""


def one_pass(embeddings: Tensor, labels: Tensor) -> Moments:
    moments = ClassMoments()
    moments.update(embeddings, labels)
    return moments.compute()


def masks(embeddings: Tensor, labels: Tensor, classes: int) -> Tensor:
    return torch.stack([embeddings[labels == label].var(0, correction=0).sum() for label in range(classes)])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.moments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/moments.json"), help="where the rows go")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--classes", type=int, default=10_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(given.rows, given.dim, generator=generator)
    labels = torch.randint(0, given.classes, (given.rows,), generator=generator)
    found = one_pass(embeddings, labels)
    few = min(MASKED, given.classes)
    torch.testing.assert_close(found.variances[:few].float(), masks(embeddings, labels, few), rtol=1e-4, atol=0)
    seconds: dict[str, list[float]] = {"read": [], "moments": [], "masks": [], "closed": [], "pairs": []}
    for _ in range(given.repetitions):
        seconds["read"].append(cpu_seconds(torch.sum, embeddings))
        seconds["moments"].append(cpu_seconds(one_pass, embeddings, labels))
        seconds["masks"].append(cpu_seconds(masks, embeddings, labels, few) * given.classes / few)
        seconds["closed"].append(cpu_seconds(squared_distance_mean, found.centroids))
        seconds["pairs"].append(cpu_seconds(torch.pdist, found.centroids[:1000]) * (given.classes / 1000) ** 2)
    unit = "CPU seconds"
    rows = [
        row("none", "read the array once", unit, seconds["read"]),
        row("none", "moments in one pass", unit, seconds["moments"]),
        row("none", "mask per class, scaled up", unit, seconds["masks"]),
        row("none", "moments over reading", "times", divided(seconds["moments"], seconds["read"]), bar=10.0),
        row("none", "masks over moments", "times", divided(seconds["masks"], seconds["moments"]), bar=25.0),
        row("none", "mean squared centroid distance", unit, seconds["closed"]),
        row("none", "the same over all pairs, scaled up", unit, seconds["pairs"]),
    ]
    settings = {"rows": given.rows, "dim": given.dim, "classes": given.classes, "threads": 1}
    finish(given.out, settings, rows)


if __name__ == "__main__":
    main()
