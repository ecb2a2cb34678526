"""Two records of one run: the same bits, the same within tolerance, or different, each named."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import Any

import pytest

from losscope.files import read_json, read_parquet
from losscope.receipts.comparing import ROUNDING, SHARE, compare, most_spreads, verdict_of
from losscope.receipts.environments import same_bits_expected, same_machine
from losscope.receipts.recorded import ended_runs
from losscope.table import groups, read_ending, read_measurements
from receipts.conftest import (
    Rows,
    Train,
    against,
    change_rows,
    change_value,
    doubled,
    group_of,
    reseal,
    spread_of,
    times_a_thousand,
)

LAST = {"diagnostic": "intra_class_variance_mean", "split": "heldout", "epoch": 2}
TRIPLET = {"loss": "triplet", "variant": "squared=true"}
SEEDS = 0, 1, 2, 3


@pytest.mark.parametrize(
    ("spreads", "verdict"), [(1.0, "different"), (0.2, "different"), (0.5 * SHARE, "within"), (0, None)]
)
def test_a_share_of_the_spread_is_allowed(copied: Train, trained: Train, spreads: float, verdict: str | None) -> None:
    folder = copied(*SEEDS)
    group = group_of(folder, "triplet", "squared=true")
    run = read_json(group / "group.json")["runs"][0]
    recorded = spread_of(folder, run, **LAST, **TRIPLET)
    change = spreads * recorded
    change_value(group, lambda value: value + change, run=run, **LAST)
    found = against(folder, trained(*SEEDS))
    if verdict is None:
        assert found == {}
        return
    assert list(found) == [run]
    (difference,) = found[run]
    assert (difference.kind, difference.split, difference.diagnostic) == ("epochs", "heldout", LAST["diagnostic"])
    assert difference.verdict == verdict
    assert (difference.rows, difference.identical, difference.beyond) == (3, 2, int(verdict == "different"))
    assert difference.largest == pytest.approx(change)
    assert difference.worst is not None
    assert (difference.worst.epoch, difference.worst.step, difference.worst.item) == (2, None, None)
    assert difference.worst.tolerance == pytest.approx(SHARE * recorded)
    assert difference.of_spread == pytest.approx(change / recorded)


@pytest.mark.parametrize(("relative", "verdict"), [(0.5 * ROUNDING, "within"), (2 * ROUNDING, "different")])
def test_without_a_spread_only_rounding_is_allowed(
    copied: Train, trained: Train, relative: float, verdict: str
) -> None:
    folder = copied(0)
    change_value(group_of(folder, "contrastive"), lambda value: value * (1 + relative), diagnostic="loss", epoch=1)
    ((difference,),) = against(folder, trained(0)).values()
    assert difference.verdict == verdict
    assert difference.of_spread is None
    assert difference.largest > 0


def test_a_value_that_is_gone_or_new_differs(copied: Train, trained: Train) -> None:
    folder = copied(*SEEDS)
    group = group_of(folder, "contrastive")
    run = read_json(group / "group.json")["runs"][0]

    def change(rows: Rows) -> Rows:
        for row in rows:
            if (row["run"], row["diagnostic"], row["epoch"]) == (run, "loss", 1):
                row["value"] = None
        gone = run, "effective_rank", "heldout", 2
        kept = [row for row in rows if (row["run"], row["diagnostic"], row["split"], row["epoch"]) != gone]
        return [*kept, {**kept[0], "run": run, "diagnostic": "loss", "split": None, "epoch": 9, "item": None}]

    change_rows(group, change)
    found = {(part.diagnostic, part.split): part for part in against(folder, trained(*SEEDS))[run]}
    assert set(found) == {("loss", None), ("effective_rank", "heldout")}
    assert found["loss", None].largest == math.inf
    assert (found["loss", None].beyond, found["loss", None].missing) == (1, 1)
    assert (found["effective_rank", "heldout"].extra, found["effective_rank", "heldout"].beyond) == (1, 0)
    assert {part.verdict for part in found.values()} == {"different"}


def test_a_diagnostic_that_the_record_never_had_is_named_and_not_judged_only_where_the_code_is_another_one(
    copied: Train, trained: Train
) -> None:
    folder = copied(*SEEDS)
    change_rows(
        group_of(folder, "contrastive"), lambda rows: [row for row in rows if row["diagnostic"] != "effective_rank"]
    )
    for other_code, verdict, of_run in ((True, "unrecorded", "identical"), (False, "different", "different")):
        found = against(folder, trained(*SEEDS), other_code=other_code)
        assert len(found) == len(SEEDS)
        for parts in found.values():
            assert {(part.diagnostic, part.verdict) for part in parts} == {("effective_rank", verdict)}
            assert verdict_of(parts) == of_run


@pytest.mark.parametrize("name", ["measurements.parquet", "steps.parquet", "queries.parquet", "map.parquet"])
def test_doubled_rows_are_no_rows_of_the_run(copied: Train, trained: Train, name: str) -> None:
    """On whichever side they stand; as many as there are too many."""
    folder = copied(*SEEDS)
    group = group_of(folder, "contrastive")
    table = read_parquet(group / name)
    wide = len(table.column_names) - 4 if name in ("queries.parquet", "map.parquet") else 1  # values of a row
    change_rows(group, doubled, name)
    shown = len(SEEDS) if name != "map.parquet" else 1
    for ours, theirs, side in ((folder, trained(*SEEDS), "missing"), (trained(*SEEDS), folder, "extra")):
        found = against(ours, theirs)
        assert len(found) == shown
        assert {part.verdict for parts in found.values() for part in parts} == {"different"}
        assert sum(getattr(part, side) for parts in found.values() for part in parts) == table.num_rows * wide


def test_changed_steps_queries_planes_and_counts_differ(copied: Train, trained: Train) -> None:
    folder = copied(*SEEDS)
    group = group_of(folder, "contrastive")
    runs = read_json(group / "group.json")["runs"]
    change_value(group, lambda value: value + 1, name="steps.parquet", run=runs[0], diagnostic="gradient_norm", step=3)

    def without_hits(rows: Rows) -> Rows:
        for row in rows:
            if row["run"] == runs[1] and row["epoch"] == 2:
                row["recall_at_1"] = 1 - row["recall_at_1"]
        return rows

    def stretched(rows: Rows) -> Rows:
        return [{**row, "x": 2 * row["x"]} for row in rows]

    change_rows(group, without_hits, "queries.parquet")
    change_rows(group, stretched, "map.parquet")
    records = read_ending(group / "runs.json").records
    reseal(group, [replace(one, terms=one.terms + 40) if one.run == runs[2] else one for one in records])
    found = against(folder, trained(*SEEDS))
    named = {run: {(part.kind, part.diagnostic) for part in parts} for run, parts in found.items()}
    assert named == {
        runs[0]: {("steps", "gradient_norm"), ("plane", "x")},
        runs[1]: {("queries", "recall_at_1")},
        runs[2]: {("record", "terms")},
    }
    assert {part.verdict for parts in found.values() for part in parts} == {"different"}


def test_one_query_of_many_is_within_what_a_split_of_an_epoch_is_judged_by(copied: Train, trained: Train) -> None:
    folder = copied(*SEEDS)
    group = group_of(folder, "contrastive")
    before = read_parquet(group / "queries.parquet").to_pylist()
    of_first = [
        row["recall_at_1"] for row in before if (row["run"], row["epoch"]) == (before[0]["run"], before[0]["epoch"])
    ]
    spread = min(statistics.pstdev(of_first), statistics.pstdev([*of_first[1:], of_first[0] + 0.25]))

    def change(rows: Rows) -> Rows:
        rows[0]["recall_at_1"] += 0.25
        return rows

    change_rows(group, change, "queries.parquet")
    ((difference,),) = against(folder, trained(*SEEDS)).values()
    assert difference.largest == pytest.approx(0.25 / len(of_first))  # the mean over the split's queries
    assert difference.worst is not None
    assert difference.worst.tolerance == pytest.approx(SHARE * spread)
    assert difference.verdict == ("within" if 0.25 / len(of_first) <= SHARE * spread else "different") == "within"


def test_tolerances_are_those_of_a_naive_twin(trained: Train) -> None:
    """A run against another seed's rows: every difference and tolerance by plain Python."""
    folder = trained(*SEEDS)
    runs = [run for run in ended_runs(folder) if run.record.loss == "contrastive"]
    ours, theirs = runs[0], runs[1]
    found = {(part.split, part.diagnostic): part for part in compare(ours, theirs, runs) if part.kind == "epochs"}
    by_run: dict[str, dict[tuple[Any, ...], float | None]] = {}
    for row in read_measurements(folder).to_pylist():
        key = tuple(row[name] for name in ("split", "diagnostic", "epoch", "item"))
        by_run.setdefault(row["run"], {})[key] = row["value"]
    mine, other = by_run[ours.record.run], by_run[theirs.record.run]
    beyond: dict[tuple[Any, ...], int] = dict.fromkeys(found, 0)
    largest: dict[tuple[Any, ...], float] = dict.fromkeys(found, 0.0)
    for key, value in mine.items():
        again = other[key]
        if value is None or again is None:
            difference, tolerance = 0.0 if value is again else math.inf, 0.0
        else:
            difference = abs(value - again)
            recorded = (by_run[run.record.run][key] for run in runs[1:])
            spread = statistics.stdev([one for one in recorded if one is not None])
            tolerance = max(SHARE * spread, ROUNDING * max(abs(value), abs(again)))
        beyond[key[:2]] += difference > tolerance
        largest[key[:2]] = max(largest[key[:2]], difference)
    assert {key: part.beyond for key, part in found.items()} == beyond
    assert {key: part.largest for key, part in found.items()} == pytest.approx(largest, rel=1e-12)
    assert sum(beyond.values()) > 100
    assert verdict_of(compare(ours, theirs, runs)) == "different"
    assert verdict_of(compare(ours, ours, runs)) == "identical"


def test_keys_tell_every_row_apart(trained: Train) -> None:
    """What is compared row by row needs keys without doubles."""
    for group in groups(trained(*SEEDS)):
        for name in ("measurements.parquet", "steps.parquet"):
            table = read_parquet(group / name)
            columns = (table[key].to_pylist() for key in ("run", "split", "epoch", "step", "diagnostic", "item"))
            keys = list(zip(*columns, strict=True))
            assert len(set(keys)) == len(keys)


def test_elsewhere_the_differences_of_all_rows_are_held_against_the_spread_of_all(trained: Train) -> None:
    """Beyond the tolerance of single rows, but of the size of the spread; beyond what three other seeds tell of it; and without any."""
    folder = trained(*SEEDS)
    runs = [run for run in ended_runs(folder) if run.record.loss == "contrastive"]
    here = compare(runs[0], runs[1], runs)
    there = compare(runs[0], runs[1], runs, elsewhere=True)
    spreads: dict[tuple[Any, ...], list[float]] = {}
    differences: dict[tuple[Any, ...], list[float]] = {}
    by_row: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in read_measurements(folder).to_pylist():
        if row["loss"] == "contrastive" and row["value"] is not None:
            key = tuple(row[name] for name in ("split", "diagnostic", "epoch", "item"))
            by_row.setdefault(key, {})[row["run"]] = row["value"]
    for key, values in by_row.items():
        others = [value for run, value in values.items() if run != runs[0].record.run]
        spreads.setdefault(key[:2], []).append(statistics.stdev(others))
        differences.setdefault(key[:2], []).append(values[runs[0].record.run] - values[runs[1].record.run])
    seen = set()
    allowed = 9.924843  # two-sided 99 % quantile of Student's t with two degrees of freedom, from a table
    for one, other in zip(here, there, strict=True):
        assert (one.verdict == "different") == (other.verdict in ("different", "similar"))
        if one.kind == "epochs":
            key = one.split, one.diagnostic
            size = math.sqrt(statistics.fmean(value**2 for value in spreads.get(key, [0.0])))  # none has a value
            expected = math.sqrt(statistics.fmean(value**2 for value in differences[key])) / size if size else None
            assert one.pooled == pytest.approx(expected) if size else one.pooled is None
            if one.verdict == "different":
                assert one.allowed == pytest.approx(allowed)
                assert other.verdict == ("similar" if expected is not None and expected <= allowed else "different")
                seen.add(other.verdict)
    assert "similar" in seen


def test_the_fewer_other_seeds_the_less_is_known_of_a_spread() -> None:
    """Two-sided 99 % quantiles of Student's t, from a table."""
    assert [most_spreads(others) for others in (2, 3, 5, 10)] == pytest.approx([63.657, 9.925, 4.604, 3.250], abs=5e-4)
    assert (most_spreads(0), most_spreads(1)) == (0, 0)


def test_a_wrong_run_does_not_widen_what_it_is_judged_by(copied: Train, trained: Train) -> None:
    """Neither a record that is wrong, nor code that computes wrongly now: elsewhere they are no other seeds."""
    folder, clean = copied(*SEEDS), trained(*SEEDS)
    for run in times_a_thousand(folder, 2):
        wrong, right = (next(one for one in ended_runs(where) if one.record.run == run) for where in (folder, clean))
        peers = [one for one in ended_runs(folder) if one.cell == wrong.cell]
        whole = [one for one in ended_runs(clean) if one.cell == wrong.cell]
        for found in (
            compare(wrong, right, peers, elsewhere=True),
            compare(right, wrong, whole, elsewhere=True),
        ):
            changed = [one for one in found if one.kind in ("epochs", "steps") and one.identical < one.rows]
            assert len(changed) > 100
            assert verdict_of(found) == "different"
            assert sum(one.verdict == "different" for one in changed) > 0.9 * len(changed)


def test_wrong_queries_do_not_widen_what_they_are_judged_by(copied: Train, trained: Train) -> None:
    folder = copied(*SEEDS)
    group = group_of(folder, "contrastive")

    def edit(rows: Rows) -> Rows:
        of_epoch: dict[tuple[str, int], list[float]] = {}
        for row in rows:
            of_epoch.setdefault((row["run"], row["epoch"]), []).append(row["average_precision_at_r"])
        for row in rows:
            mean = statistics.fmean(of_epoch[row["run"], row["epoch"]])
            row["average_precision_at_r"] = mean + 1000 * (row["average_precision_at_r"] - mean)
        return rows

    change_rows(group, edit, "queries.parquet")
    found = against(folder, trained(*SEEDS), elsewhere=True)
    assert len(found) == len(SEEDS)
    for parts in found.values():
        assert [(part.diagnostic, part.verdict) for part in parts] == [("average_precision_at_r", "different")]


def test_elsewhere_wholesale_changes_still_differ(copied: Train, trained: Train) -> None:
    folder = copied(*SEEDS)
    group = group_of(folder, "contrastive")
    run = read_json(group / "group.json")["runs"][0]
    change = 50 * spread_of(folder, run, **LAST, loss="contrastive")
    change_value(group, lambda value: value + change, run=run, **{**LAST, "epoch": 1})
    change_value(group, lambda value: value + change, run=run, **LAST)
    (difference,) = against(folder, trained(*SEEDS), elsewhere=True)[run]
    assert (difference.diagnostic, difference.verdict) == (LAST["diagnostic"], "different")


def test_what_sets_rounding_apart_is_another_processor_or_library_and_not_another_version_of_this_code() -> None:
    here: dict[str, Any] = {
        "losscope": "1", "code": "a", "numerics": 1, "python": "3.11", "packages": {"torch": "2", "pyarrow": "1"},
        "processor": "p", "cpu_capability": "AVX2", "blas": "mkl", "threads_per_process": 1, "device": "cpu", "cuda": None,
        "determinism": {"level": "bitwise", "means": ""},
    }  # fmt: skip
    assert same_machine([here], here)
    assert same_bits_expected([here], here)
    assert same_machine([{**here, "code": "b", "packages": {"torch": "2", "pyarrow": "2"}}], here)
    assert not same_bits_expected([{**here, "code": "b"}], here)
    for change in (
        {"processor": "q"},
        {"blas": "openblas"},
        {"packages": {"torch": "1", "pyarrow": "1"}},
        {"device": "cuda"},
    ):
        assert not same_machine([{**here, **change}], here)
        assert not same_machine([here, {**here, **change}], here)
    assert not same_machine([], here)
    anywhere = {**here, "determinism": {"level": "rounding", "means": ""}}
    assert not same_machine([anywhere], anywhere)
    assert not same_bits_expected([anywhere], anywhere)


@pytest.mark.parametrize(("gone", "verdict"), [(1, "similar"), (2, "different")])
def test_elsewhere_few_values_may_be_undefined(copied: Train, trained: Train, gone: int, verdict: str) -> None:
    """As the share of a gradient in a step where every hinge is met."""
    folder = copied(*SEEDS)
    group = group_of(folder, "contrastive")
    run = read_json(group / "group.json")["runs"][0]

    def change(rows: Rows) -> Rows:
        found = [
            row
            for row in rows
            if (row["run"], row["diagnostic"], row["split"]) == (run, "intra_class_variance", "train")
        ]
        for row in found[:gone]:
            row["value"] = None
        assert len(found) == 12  # four classes, three epochs
        return rows

    change_rows(group, change)
    (difference,) = against(folder, trained(*SEEDS), elsewhere=True)[run]
    assert difference.pooled == pytest.approx(3 * difference.allowed * math.sqrt(gone / 12))
    assert difference.verdict == verdict
