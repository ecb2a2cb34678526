"""Exact evaluation at scale: losscope, faiss, pytorch-metric-learning and the bare matrix product, in turn in one run.

CPU seconds on one thread for N x 128 float32 rows in 100 classes, each row asking all others. Contenders:

recall         `evaluate` with Recall@1/5/10 alone
recall_faiss   the same with backend="faiss"
map_at_r       `evaluate` with Recall@1/5/10, R-precision and MAP@R
all            `evaluate` with all measures
faiss          IndexFlatIP, search of the first 11, nothing made of them
product        the bare matrix product, 512 rows at a time
pml            AccuracyCalculator with precision@1, R-precision and MAP@R as it comes: it ranks the whole gallery
pml_max_bin    the same with k="max_bin_count", which ranks as many places as the largest class has rows

The library builds N x N, so it runs up to 10,000 rows. Extra memory is the growth of the process's peak, each
contender in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch import Tensor

from benchmarks.rows import Row, cpu_seconds, divided, finish, row
from losscope.evaluation import evaluate

CLASSES, DIM, KS = 100, 128, (1, 5, 10)
DEEP = ("recall_at_k", "r_precision", "map_at_r")
UNIT = "CPU s"
LARGEST_FOR_PML = 10_000
AIMS = {
    "recall / faiss": {"bar": 2.0, "goal": 0.5},
    "recall_faiss / faiss": {"bar": 1.1},
    "map_at_r / product": {"bar": 3.6, "goal": 1.5},
    "pml / map_at_r": {"bar": 35.0},
    "pml_max_bin / map_at_r": {},
}
MEMORY_AIM = 250.0  # MB, at 60,000 rows

Contender = Callable[[Tensor, Tensor], object]


def points(samples: int) -> tuple[Tensor, Tensor]:
    """Random directions around 100 class centers, and their labels."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (samples,), generator=random)
    centers = torch.randn(CLASSES, DIM, generator=random)
    z = 0.5 * centers[labels] + torch.randn(samples, DIM, generator=random)
    return torch.nn.functional.normalize(z, dim=1), labels


def search(z: Tensor, labels: Tensor) -> None:
    index = faiss.IndexFlatIP(z.shape[1])
    index.add(z.numpy())
    index.search(z.numpy(), KS[-1] + 1)


def product(z: Tensor, labels: Tensor, block: int = 512) -> None:
    transposed, out = z.T.contiguous(), torch.empty(block, len(z))
    for rows in torch.split(z, block):
        torch.mm(rows, transposed, out=out[: len(rows)])


def pml(z: Tensor, labels: Tensor, k: str | None = None) -> dict[str, float]:
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(include=names, k=k, knn_func=CustomKNN(CosineSimilarity()))
    found: dict[str, float] = calculator.get_accuracy(z, labels)
    return found


CONTENDERS: dict[str, Contender] = {
    "recall": lambda z, labels: evaluate(z, labels, ks=KS, measures=("recall_at_k",)),
    "recall_faiss": lambda z, labels: evaluate(z, labels, ks=KS, measures=("recall_at_k",), backend="faiss"),
    "map_at_r": lambda z, labels: evaluate(z, labels, ks=KS, measures=DEEP),
    "all": lambda z, labels: evaluate(z, labels, ks=KS),
    "faiss": search,
    "product": product,
    "pml": pml,
    "pml_max_bin": lambda z, labels: pml(z, labels, "max_bin_count"),
}


def check_equal(z: Tensor, labels: Tensor) -> None:
    """All ways of losscope give one Recall@K and, on rows that the library can take, its numbers. Raises AssertionError."""
    full = evaluate(z, labels, ks=KS, measures=DEEP)
    for name in ("recall", "recall_faiss"):
        found = CONTENDERS[name](z, labels)
        torch.testing.assert_close(found.means["recall_at_k"], full.means["recall_at_k"])  # type: ignore[attr-defined]
    theirs = pml(z, labels)
    ours = {
        "precision_at_1": full.means["recall_at_k"][1],
        "r_precision": full.means["r_precision"],
        "mean_average_precision_at_r": full.means["map_at_r"],
    }
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)  # the library breaks ties by row


def extra_memory(name: str, samples: int) -> float:
    """Growth in MB of the peak of a fresh process, which reads its data: what making them takes would hide a part."""
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as pool:
        for place, part in enumerate(points(samples)):
            np.save(f"{folder}/{place}.npy", part.numpy())
        return pool.apply(_peak_growth, (name, folder))


def _peak_growth(name: str, folder: str) -> float:
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    z, labels = (torch.from_numpy(np.load(f"{folder}/{place}.npy")) for place in (0, 1))
    CONTENDERS[name](z[:500], labels[:500])  # what is loaded at first use is not of the contender
    before = _peak()
    CONTENDERS[name](z, labels)
    return (_peak() - before) / 1024


def _peak() -> int:
    """Peak of this process in kB, counted from its own start."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def measure(samples: int, repetitions: int, memory: bool) -> list[Row]:
    """Seconds of all contenders, who take turns forwards and backwards, and their ratios within each repetition."""
    z, labels = points(samples)
    names = [name for name in CONTENDERS if not name.startswith("pml") or samples <= LARGEST_FOR_PML]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repetition in range(repetitions):
        for name in reversed(names) if repetition % 2 else names:
            seconds[name].append(cpu_seconds(CONTENDERS[name], z, labels))
    label = f"{samples:,} rows"
    rows = [row(label, name, UNIT, spent) for name, spent in seconds.items()]
    for ratio, aims in AIMS.items():
        above, below = ratio.split(" / ")
        if above in seconds and below in seconds:
            rows.append(row(label, ratio, "ratio", divided(seconds[above], seconds[below]), **aims))
    if memory:
        for name in names:
            aims = {"bar": MEMORY_AIM} if name in ("recall", "recall_faiss", "map_at_r", "all") else {}
            rows.append(row(label, f"memory of {name}", "MB above the data", [extra_memory(name, samples)], **aims))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retrieval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/retrieval.json"), help="where the rows go")
    parser.add_argument("--samples", nargs="+", type=int, default=[10_000, 60_000])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--no-memory", action="store_true", help="leave out the peaks of memory")
    given = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    check_equal(*points(3_000))
    rows = [
        line for samples in given.samples for line in measure(samples, given.repetitions, memory=not given.no_memory)
    ]
    settings = {"dim": DIM, "classes": CLASSES, "ks": list(KS), "threads": 1, "faiss": faiss.__version__}
    finish(given.out, settings, rows)


if __name__ == "__main__":
    main()
