"""What the documentation says of error rates and coverage is what the benchmarks found, and stays so."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import coverage, verdicts
from benchmarks.pages import read_table, write_table
from scipy import stats

from losscope.statistics import mean_interval

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "statistics.md"


def written(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text())


def at_most(rate: float, level: float, draws: int) -> bool:
    """Whether a rate is compatible with a chance of `level` at most: one false alarm in 10,000 tests."""
    return bool(stats.binom.sf(round(rate * draws) - 1, draws, level) > 1e-4)


def test_the_page_has_the_tables_of_the_benchmarks() -> None:
    assert read_table(PAGE, "coverage") == coverage.table(written("coverage")["rows"])
    found = written("verdicts")
    assert read_table(PAGE, "verdicts") == verdicts.tables(found["errors"], found["powers"])


def test_intervals_of_the_page_cover_what_they_say() -> None:
    """Normal effects at every n; what the page says of the shares of factors, whose interval covers less when skewed."""
    rows = [row for row in written("coverage")["rows"] if row["coverage"] is not None]
    normal = [row for row in rows if row["distribution"] == "normal"]
    assert {row["n"] for row in normal} == {5, 10, 13, 20}
    for row in normal:
        assert stats.binom.cdf(round(row["coverage"] * row["draws"]), row["draws"], 0.95) > 1e-3, row
    for name, low, high in (("exponential", 0.9, 0.94), ("t3", 0.88, 0.92), ("lognormal", 0.81, 0.85)):
        shares = [row["coverage"] for row in rows if row["distribution"] == name and "share" in row["statistic"]]
        assert low <= min(shares) <= max(shares) <= high


def test_a_table_replaces_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_table(page, "coverage", "| new |\n")
    assert read_table(page, "coverage") == "| new |\n"
    assert read_table(page, "verdicts") == read_table(PAGE, "verdicts")
    assert page.read_text().startswith(PAGE.read_text()[:1000])


def test_no_false_holds_of_the_page_is_above_five_percent() -> None:
    """Either wrong verdict may come a little more often where the effects of trained seeds are skewed; the page says so."""
    rows = written("verdicts")["errors"]
    assert {row["n"] for row in rows} == {13, 20}
    assert min(row["draws"] for row in rows) >= 10_000
    for row in rows:
        most = 0.05 if row["wrong"] == "holds" or row["source"] == "simulated" else 0.056
        assert row["per_verdict"] <= 0.05, row
        assert row["family_wise"] <= most, row


def test_the_pool_is_of_trained_seeds() -> None:
    pool = written("pool")["values"]
    assert all(len(values) >= 60 for losses in pool.values() for values in losses.values())
    assert all(len(set(values)) > 1 for losses in pool.values() for values in losses.values())


@pytest.mark.parametrize("n", [13, 20])
def test_simulated_verdicts_err_as_rarely_as_they_say(n: int) -> None:
    draws = 2000
    errors, (strength,) = verdicts.simulated(n, draws)
    for row in errors:
        assert at_most(row["per_verdict"], 0.05, draws), row
        assert at_most(row["family_wise"], 0.05, draws), row
    edge = next(row for row in errors if row["scenario"] == "effect at the edge" and "not" in row["wrong"])
    assert edge["family_wise"] > 0.02  # neither is the rule so careful that it says nothing
    assert abs(strength["measured"] - strength["stated"]) < 4 * math.sqrt(0.16 / draws)


def test_verdicts_on_trained_seeds_err_as_rarely_as_they_say() -> None:
    draws = 2000
    for name, losses in written("pool")["values"].items():
        errors, _ = verdicts.pooled(name, losses, 13, draws)
        for row in errors:
            assert at_most(row["per_verdict"], 0.05, draws), row
            assert at_most(row["family_wise"], 0.05, draws), row


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 13, 20])
def test_t_is_nominal(n: int) -> None:
    draws = 20_000
    random = np.random.default_rng(n)
    covered = sum(coverage.covers(mean_interval(values), 0.0) for values in random.normal(size=(draws, n)))
    assert stats.binomtest(covered, draws, 0.95).pvalue > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("statistic", coverage.STATISTICS)
def test_intervals_of_normal_effects_cover_what_they_say(statistic: str) -> None:
    """At n = 13; the bootstrap, which refuses it, at 20. Half a point below 95 % is what small samples may cost."""
    covered, _ = coverage.STATISTICS[statistic]
    n, draws = (20, 60) if "bootstrap" in statistic else (13, 1200)
    random = np.random.default_rng(13)
    hits = sum(covered(lambda size: random.normal(size=size), n, "normal") for _ in range(draws))
    assert stats.binom.cdf(hits, draws, 0.945) > 1e-3
