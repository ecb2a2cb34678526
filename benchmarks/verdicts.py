"""Error rates and power of the rule that decides claims: on simulated rows, and on draws of trained seeds.

    OMP_NUM_THREADS=1 python -m benchmarks.verdicts

A claim that an effect is larger than the edge δ of its region is false at no effect and at an effect of δ; both are
made so that this is known. Simulated: four losses share a seed's effect, so pairs of losses are correlated. Pool:
benchmarks/pool.json, 64 trained seeds of three losses. No effect: two disjoint groups of seeds of one loss stand for two
losses. Effect at the edge: differences of two losses, centered over the pool and moved to δ; seeds are drawn with
replacement. The rule is evaluated for all draws at once, and for the first 50 by `losscope.statistics.decide` itself:
any disagreement stops the benchmark. Writes benchmarks/verdicts.json and the tables of docs/statistics.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.pages import markdown, write_table
from benchmarks.rows import machine
from losscope.statistics import Contrast, Region, decide, detectable_effect, power, region_of

DRAWS = 10_000
NUMBERS = (13, 20)
CHECKED = 50
LOSSES, SPREAD = 4, 0.01
PAGE = Path(__file__).parent.parent / "docs" / "statistics.md"
RESULT = Path(__file__).with_name("verdicts.json")
POOL = Path(__file__).with_name("pool.json")

Row = dict[str, Any]


def judged(effects: np.ndarray, region: Region) -> dict[str, np.ndarray]:
    """For effects (draws, n, claims): which claims hold, which do not, and with which reasons; (draws, claims) each."""
    draws, n, claims = effects.shape
    mean, error = effects.mean(1), effects.std(1, ddof=1) / np.sqrt(n)
    t = (mean - region.edge) / error
    p = 2 * stats.t.sf(np.abs(t), n - 1)
    order = np.argsort(p, axis=1)
    steps = np.maximum.accumulate(np.take_along_axis(p, order, 1) * np.arange(claims, 0, -1), axis=1)
    rejected = np.zeros((draws, claims), dtype=bool)
    np.put_along_axis(rejected, order, steps < 0.05, axis=1)
    half = stats.t.ppf(1 - 0.05 / (2 * claims), n - 1) * error
    failed = rejected & (t < 0)
    return {
        "holds": rejected & (t > 0),
        "does not hold": failed,
        "reversed": failed & (mean + half < -region.edge),
        "equivalent": failed & (mean - half > -region.edge) & (mean + half < region.edge),
    }


def check(effects: np.ndarray, region: Region, found: dict[str, np.ndarray]) -> None:
    """`decide` says the same of the first draws. Raises AssertionError where it does not."""
    for draw in range(min(CHECKED, len(effects))):
        family = [Contrast("", tuple(range(len(of))), tuple(of.tolist()), region, "the pool") for of in effects[draw].T]
        for claim, decision in enumerate(decide(family)):
            for name in ("holds", "does not hold"):
                assert found[name][draw, claim] == (decision.verdict == name), (draw, decision)
            for name in ("reversed", "equivalent"):
                assert found[name][draw, claim] == (decision.reason == name), (draw, decision)


def errors(source: str, scenario: str, effects: np.ndarray, region: Region, wrong: Sequence[str]) -> Row:
    """Rates of the verdicts and reasons that are wrong in this scenario."""
    found = judged(effects, region)
    check(effects, region, found)
    said = np.any([found[name] for name in wrong], axis=0)
    return {"source": source, "scenario": scenario, "n": effects.shape[1], "family": effects.shape[2],
            "draws": len(effects), "wrong": " or ".join(wrong), "per_verdict": float(said.mean(0).max()),
            "family_wise": float(said.any(1).mean())}  # fmt: skip


def powers(source: str, effects: np.ndarray, sd: float, region: Region) -> Row:
    """The first claim's effect is moved to where 80 % are stated; the others stay at the edge, where they tell nothing."""
    _, n, claims = effects.shape
    planted = detectable_effect(sd, n, margin=region.edge, family=claims)
    moved = effects.copy()
    moved[..., 0] += planted - region.edge
    found = judged(moved, region)
    check(moved, region, found)
    return {"source": source, "n": n, "family": claims, "draws": len(effects),
            "stated": power(planted, sd, n, margin=region.edge, family=claims),
            "measured": float(found["holds"][:, 0].mean())}  # fmt: skip


def simulated(n: int, draws: int) -> tuple[list[Row], list[Row]]:
    """Rows of four losses: a seed's effect common to all, and noise of each run."""
    random = np.random.default_rng(n)
    region = Region(0.01)
    values = 3 * SPREAD * random.normal(size=(draws, n, 1)) + SPREAD * random.normal(size=(draws, n, LOSSES))
    pairs = [(a, b) for a in range(LOSSES) for b in range(a + 1, LOSSES)]
    every = np.stack([values[..., b] - values[..., a] for a, b in pairs], axis=2)
    star = values[..., 1:] - values[..., :1]
    name = "simulated"
    found = [
        errors(name, "no effect, no region", every, Region(0.0), ["holds"]),
        errors(name, "no effect", every, region, ["holds"]),
        errors(name, "effect at the edge", star + region.edge, region, ["holds"]),
        errors(name, "effect at the edge", star + region.edge, region, ["holds", "does not hold"]),
        errors(name, "effect at the other edge", star - region.edge, region, ["holds", "reversed", "equivalent"]),
    ]
    return found, [powers(name, star + region.edge, np.sqrt(2) * SPREAD, region)]


def pooled(diagnostic: str, losses: dict[str, list[float]], n: int, draws: int) -> tuple[list[Row], list[Row]]:
    """Draws of `n` of the trained seeds."""
    random = np.random.default_rng(n)
    region = region_of(diagnostic)
    scale: Callable[[np.ndarray], np.ndarray] = np.log if region.scale == "log" else np.asarray
    values = scale(np.array(list(losses.values())).T)  # (seeds, losses)
    name = f"pool: {diagnostic}"
    shuffled = random.permuted(np.broadcast_to(np.arange(len(values)), (draws, len(values))), axis=1)
    split = values[shuffled[:, n : 2 * n]] - values[shuffled[:, :n]]
    pairs = [(a, b) for a in range(values.shape[1]) for b in range(a + 1, values.shape[1])]
    differences = np.stack([values[:, b] - values[:, a] for a, b in pairs], axis=1)
    centered = differences - differences.mean(0)
    drawn = centered[random.integers(0, len(values), size=(draws, n))]
    found = [
        errors(name, "no effect, no region", split, Region(0.0, region.scale), ["holds"]),
        errors(name, "no effect", split, region, ["holds"]),
        errors(name, "effect at the edge", drawn + region.edge, region, ["holds"]),
        errors(name, "effect at the edge", drawn + region.edge, region, ["holds", "does not hold"]),
    ]
    return found, [powers(name, drawn + region.edge, float(centered[:, 0].std()), region)]


def measure(pool: dict[str, dict[str, list[float]]], draws: int) -> tuple[list[Row], list[Row]]:
    """All error rates and all powers."""
    found: tuple[list[Row], list[Row]] = [], []
    for n in NUMBERS:
        for part in (simulated(n, draws), *(pooled(name, of, n, draws) for name, of in pool.items())):
            for every, some in zip(found, part, strict=True):
                every.extend(some)
    return found


def error_table(rows: Sequence[Row]) -> str:
    """Error rates in percent; each should be 5 at most."""
    return markdown(
        ["rows", "truth", "n", "claims", "wrong to say", "per verdict %", "in the family %"],
        [[row["source"], row["scenario"], str(row["n"]), str(row["family"]), row["wrong"],
          f"{100 * row['per_verdict']:.1f}", f"{100 * row['family_wise']:.1f}"] for row in rows],
    )  # fmt: skip


def power_table(rows: Sequence[Row]) -> str:
    """Power as stated and as measured, in percent."""
    return markdown(
        ["rows", "n", "claims", "power stated %", "power measured %"],
        [[row["source"], str(row["n"]), str(row["family"]), f"{100 * row['stated']:.1f}", f"{100 * row['measured']:.1f}"]
         for row in rows],
    )  # fmt: skip


def tables(errors_found: Sequence[Row], powers_found: Sequence[Row]) -> str:
    """Both, as the page has them."""
    return f"{error_table(errors_found)}\n{power_table(powers_found)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verdicts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULT, help="where the rows go")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page that holds the tables")
    parser.add_argument("--pool", type=Path, default=POOL, help="what python -m benchmarks.pool has written")
    parser.add_argument("--draws", type=int, default=DRAWS)
    given = parser.parse_args()
    errors_found, powers_found = measure(json.loads(given.pool.read_text())["values"], given.draws)
    settings = {"draws": given.draws, "checked": CHECKED}
    written = {"machine": machine(), "settings": settings, "errors": errors_found, "powers": powers_found}
    given.out.write_text(json.dumps(written, indent=1) + "\n")
    write_table(given.page, "verdicts", tables(errors_found, powers_found))
    print(tables(errors_found, powers_found))


if __name__ == "__main__":
    main()
