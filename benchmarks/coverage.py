"""How often each interval of losscope.statistics covers what it is of: simulated, at small n and odd distributions.

    OMP_NUM_THREADS=1 python -m benchmarks.coverage

Effects over seeds are normal, exponential, lognormal or t with 3 degrees of freedom. Writes benchmarks/coverage.json and
the table of docs/statistics.md. About two minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special, stats

from benchmarks.pages import markdown, write_table
from benchmarks.rows import machine
from losscope.errors import InvalidInput
from losscope.statistics import (
    Interval,
    anytime_interval,
    association,
    cohen_d,
    corrected_fold_difference,
    crossed_bootstrap,
    crossed_interval,
    decompose,
    geometric_ratio,
    mean_interval,
    superiority,
)

Draw = Callable[..., np.ndarray]

NUMBERS = (5, 10, 13, 20)
PAGE = Path(__file__).parent.parent / "docs" / "statistics.md"
RESULT = Path(__file__).with_name("coverage.json")

DISTRIBUTIONS: dict[str, tuple[Callable[[np.random.Generator, Any], np.ndarray], float]] = {
    "normal": (lambda random, size: random.normal(size=size), 1.0),
    "exponential": (lambda random, size: random.exponential(size=size) - 1, 1.0),
    "lognormal": (lambda random, size: random.lognormal(size=size) - math.exp(0.5), math.sqrt(math.e * (math.e - 1))),
    "t3": (lambda random, size: random.standard_t(3, size=size), math.sqrt(3)),
}
"""Draws of mean 0, and their standard deviation."""


def covers(interval: Interval, truth: float) -> bool:
    """Without bounds nothing is excluded."""
    return interval.low is None or interval.high is None or interval.low <= truth <= interval.high


def of_mean(draw: Draw, n: int, name: str) -> bool:
    return covers(mean_interval(draw(n)), 0.0)


def of_ratio(draw: Draw, n: int, name: str) -> bool:
    return covers(geometric_ratio(dict.fromkeys(range(n), 1.0), dict(enumerate(np.exp(draw(n) / 10)))), 1.0)


def of_cohen_d(draw: Draw, n: int, name: str) -> bool:
    return covers(cohen_d(draw(n) + 0.8 * DISTRIBUTIONS[name][1]), 0.8)


def of_superiority(draw: Draw, n: int, name: str) -> bool:
    truth = {"normal": special.ndtr(0.5), "exponential": math.exp(-0.5), "t3": stats.t.cdf(0.5, 3),
             "lognormal": special.ndtr(-math.log(math.exp(0.5) - 0.5))}[name]  # fmt: skip
    return covers(superiority(dict.fromkeys(range(n), 0.0), dict(enumerate(draw(n) + 0.5))), truth)


def of_anytime(draw: Draw, n: int, name: str) -> bool:
    values = draw(n)
    return all(covers(anytime_interval(values[:seen]), 0.0) for seen in range(2, n + 1))


def of_folds(draw: Draw, n: int, name: str) -> bool:
    """Splits that share training data: correlated by as much as the correction supposes."""
    values = math.sqrt(0.25) * draw(1) + math.sqrt(0.75) * draw(n)
    return covers(corrected_fold_difference(values, test_share=0.25).interval, 0.0)


def crossed(draw: Draw, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences (seeds, queries) of 20 classes with effects of seeds, classes and both, and noise of queries."""
    labels = np.repeat(np.arange(20), np.resize([6, 8, 10, 12, 14], 20))
    of_classes = draw((1, 20)) + draw((seeds, 20)) / 2
    return draw((seeds, 1)) + of_classes[:, labels] + 2 * draw((1, len(labels))) + 2 * draw(
        (seeds, len(labels))
    ), labels


def of_crossed(draw: Draw, n: int, name: str) -> bool:
    differences, labels = crossed(draw, n)
    return covers(crossed_interval(0 * differences, differences, labels).interval, 0.0)


def of_bootstrap(draw: Draw, n: int, name: str) -> bool:
    differences, labels = crossed(draw, n)
    return covers(crossed_bootstrap(0 * differences, differences, labels, draws=500).interval, 0.0)


def variants(draw: Draw, n: int) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """Two measures of eight variants that go together, for n seeds."""
    first = np.linspace(-1, 1, 8) + draw((n, 8)) / 2
    return dict(enumerate(first.tolist())), dict(enumerate((first + draw((n, 8))).tolist()))


TRUE_CORRELATION: dict[str, float] = {}


def of_association(draw: Draw, n: int, name: str) -> bool:
    """The truth is the same mean over 20,000 seeds."""
    if name not in TRUE_CORRELATION:
        TRUE_CORRELATION[name] = association(*variants(draw, 20_000)).interval.mean
    return covers(association(*variants(draw, n)).interval, TRUE_CORRELATION[name])


def of_decomposition(draw: Draw, n: int, name: str) -> bool:
    """±1 by one factor, -1, 0, 1 by another: of 1 + 2/3 and the variances of seeds and of noise."""
    names = {f"{a}{b}": {"loss": a, "margin": b} for a, b in product((-1, 1), (-1, 0, 1))}
    spread = DISTRIBUTIONS[name][1]
    of_seeds = draw(n) / spread
    values = {
        variant: {
            seed: of["loss"] + of["margin"] + of_seeds[seed] + noise / spread for seed, noise in enumerate(draw(n))
        }
        for variant, of in names.items()
    }
    return covers(decompose(values, names).shares["loss"], 1 / (1 + 2 / 3 + 1 + 1))


STATISTICS: dict[str, tuple[Callable[[Draw, int, str], bool], int]] = {
    "mean difference, t": (of_mean, 8_000),
    "ratio of geometric means, t of logarithms": (of_ratio, 2_000),
    "Cohen's d_z, noncentral t": (of_cohen_d, 800),
    "superiority, Clopper-Pearson": (of_superiority, 2_000),
    "mean difference, anytime-valid, all n up to": (of_anytime, 800),
    "mean over splits, corrected t": (of_folds, 2_000),
    "mean over seeds and 20 classes, jackknife": (of_crossed, 800),
    "mean over seeds and 20 classes, bootstrap": (of_bootstrap, 120),
    "correlation within seeds, t of Fisher's z": (of_association, 800),
    "share of a factor, jackknife": (of_decomposition, 400),
}
"""What decides whether one draw is covered, and the number of draws."""


def simulate(scale: float = 1.0) -> list[dict[str, Any]]:
    """One row for each statistic, n and distribution; `coverage` is null where the statistic refuses that n."""
    rows = []
    for statistic, (covered, draws) in STATISTICS.items():
        count = max(10, round(scale * draws))
        for n, (name, (sample, _)) in product(NUMBERS, DISTRIBUTIONS.items()):
            random = np.random.default_rng([n, len(name)])

            def draw(size: Any, sample: Any = sample, random: Any = random) -> np.ndarray:
                return np.asarray(sample(random, size))

            try:
                coverage = float(np.mean([covered(draw, n, name) for _ in range(count)]))
            except InvalidInput:
                coverage = None
            rows.append({"statistic": statistic, "n": n, "distribution": name, "coverage": coverage, "draws": count})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Coverage in percent at a nominal 95 %, a line for each statistic and n."""
    found = {(row["statistic"], row["n"], row["distribution"]): row for row in rows}
    lines = []
    for statistic, n in dict.fromkeys((row["statistic"], row["n"]) for row in rows):
        cells = [found[statistic, n, name]["coverage"] for name in DISTRIBUTIONS]
        words = ["refused" if cell is None else f"{100 * cell:.1f}" for cell in cells]
        lines.append([statistic, str(n), *words, f"{found[statistic, n, 'normal']['draws']:,}"])
    return markdown(["interval", "n", *DISTRIBUTIONS, "draws"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coverage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULT, help="where the rows go")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page that holds the table")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the draws")
    given = parser.parse_args()
    rows = simulate(given.scale)
    written = {"machine": machine(), "settings": {"level": 0.95, "scale": given.scale}, "rows": rows}
    given.out.write_text(json.dumps(written, indent=1) + "\n")
    write_table(given.page, "coverage", table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
