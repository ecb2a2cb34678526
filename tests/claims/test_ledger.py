"""The ledger's numbers against an independent reading of the table, and records that are torn, partial or of something else."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from claims.planting import LAST, MARGINS
from losscope.claims import claims, ledger
from losscope.claims.cases import cases
from losscope.claims.document import claims_document
from losscope.claims.types import Entry, Ledger
from losscope.errors import MissingData
from losscope.statistics import holm, region_of
from losscope.summary import summarize
from losscope.table import read_measurements, select
from planted import SEVEN


def entry(found: Ledger, name: str) -> Entry:
    return next(one for one in found.entries if one.claim.name == name)


def variant(label: str) -> dict[str, str]:
    loss, _, rest = label.partition(" ")
    return {"loss": loss, "variant": rest.replace(", ", ",")}


def test_effects_and_p_are_of_the_tables_rows(write_record: Any, values: Any) -> None:
    folder = write_record(datasets=[{"name": "synthetic"}, {"name": "digits"}], seeds=13)
    found = entry(ledger(folder), "absolute_variance")
    assert len(found.lines) == 2 * 2 * 2  # data sets, readings, train and held-out: there are no true labels here
    raw = []
    for line in found.lines:
        split = {"train": "train", "evaluation": "heldout"}[line.measure.where]
        two, one = (
            np.log(values(folder, dataset=line.comparison.dataset, epoch=LAST, split=split,
                          diagnostic="intra_class_variance_mean", **variant(side)))
            for side in line.label.split(" / ")
        )  # fmt: skip
        edge = math.log(1.1)
        p = [stats.ttest_1samp(two - one, edge, alternative=side).pvalue for side in ("greater", "less")]
        assert line.ruling.p == pytest.approx(min(1.0, 2 * min(p)))
        assert line.ruling.effect is not None
        assert line.ruling.effect.mean == pytest.approx(np.exp(np.mean(two - one)))
        bounds = stats.t.interval(0.95, 12, np.mean(two - one), stats.sem(two - one))
        assert (line.ruling.effect.low, line.ruling.effect.high) == pytest.approx(np.exp(bounds))
        assert line.difference is not None
        assert line.difference.mean == pytest.approx(np.mean(np.exp(two) - np.exp(one)))
        raw.append(line.ruling.p)
    assert [line.ruling.p_adjusted for line in found.lines] == pytest.approx(holm(raw))
    assert {line.ruling.family for line in found.lines} == {8}


def test_a_lead_is_a_difference_of_differences(write_record: Any, values: Any) -> None:
    folder = write_record(seeds=13)
    line = entry(ledger(folder), "gaps_shrink").lines[0]
    at = {
        (k, side): np.array(values(folder, epoch=LAST, split="heldout", diagnostic="recall_at_k", item=k, **variant(side)))
        for k in (1, 5) for side in line.label.split(" / ")
    }  # fmt: skip
    one, other = line.label.split(" / ")
    lead = {k: at[k, one] - at[k, other] for k in (1, 5)}
    assert line.ruling.effect is not None
    assert line.ruling.effect.mean == pytest.approx(np.mean(lead[1] - lead[5]))
    assert line.ruling.region == "±0.01"


def test_a_correlation_is_of_the_variants_within_a_seed(write_record: Any, values: Any) -> None:
    folder = write_record(losses=MARGINS, seeds=13)
    lines = entry(ledger(folder), "variance_retrieves_finer").lines
    assert [(line.measure.where, line.reading["over"]) for line in lines] == [
        ("train", "all"), ("train", "each loss"), ("evaluation", "all"), ("evaluation", "each loss")
    ]  # fmt: skip
    sides = [("contrastive", f"margin={margin}") for margin in (0.5, 0.7, 1.0)]
    sides += [
        ("triplet", f"margin={margin},squared={squared}") for margin in (0.5, 1.0) for squared in ("false", "true")
    ]
    x, y = (
        np.array([values(folder, epoch=LAST, loss=loss, variant=name, **wanted) for loss, name in sides])
        for wanted in ({"split": "train", "diagnostic": "intra_class_variance_mean"},
                       {"split": "heldout", "diagnostic": "recall_at_k", "item": 1})
    )  # fmt: skip
    scores = [np.arctanh(stats.spearmanr(x[:, seed], y[:, seed]).statistic) for seed in range(13)]
    assert lines[0].ruling.effect is not None
    assert lines[0].ruling.effect.mean == pytest.approx(np.tanh(np.mean(scores)))
    edge = region_of("correlation").edge
    p = [stats.ttest_1samp(scores, edge, alternative=side).pvalue for side in ("greater", "less")]
    assert lines[0].ruling.p == pytest.approx(min(1.0, 2 * min(p)))


def test_a_variant_that_has_hardly_begun_leaves_the_correlation_to_the_others(write_record: Any) -> None:
    status = {("triplet", "margin=1.0,squared=true", seed): "failed" for seed in range(1, 13)}
    found = entry(ledger(write_record(losses=MARGINS, seeds=13, status=status)), "variance_retrieves_finer")
    assert {line.ruling.n for line in found.lines} == {13}
    assert found.lines[0].label == "Recall@1 with intra-class variance: mean, 6 of 7 variants"


def test_readings_pair_variants_of_equal_margin(write_record: Any) -> None:
    found = entry(ledger(write_record(losses=MARGINS)), "better_retrieval")
    assert [line.label for line in found.lines] == [
        f"triplet margin={margin}, squared={squared} / contrastive margin={margin}"
        for margin in (0.5, 1.0) for squared in ("false", "true")
    ]  # fmt: skip
    assert found.lines[0].reading == {"margin": "0.5", "triplet squared": "false"}
    apart = [{"name": "contrastive", "margin": 0.3}, {"name": "triplet", "margin": [0.5, 1.0]}]
    found = entry(ledger(write_record("apart", losses=apart)), "better_retrieval")
    assert [line.label for line in found.lines] == ["triplet margin=1.0 / contrastive"]  # nearest to the default


def test_the_largest_margin_is_held_against_the_smallest(write_record: Any) -> None:
    found = entry(ledger(write_record(losses=MARGINS)), "margin_separates")
    assert [line.label for line in found.lines[:3]] == [
        "contrastive margin=1.0 / contrastive margin=0.5",
        "triplet margin=1.0, squared=false / triplet margin=0.5, squared=false",
        "triplet margin=1.0, squared=true / triplet margin=0.5, squared=true",
    ]


def test_rows_are_found_by_the_selector_of_a_line(write_record: Any) -> None:
    folder = write_record(seeds=3)
    for line in entry(ledger(folder), "gradient_norm").lines:
        (rows,) = line.rows
        found = select(
            read_measurements(folder), diagnostic=rows.diagnostic, split=rows.split, epoch="last"
        ).to_pylist()
        chosen = {row["run"]: row["value"] for row in found if row["run"] in rows.runs}
        assert len(chosen) == 6
        (command,) = rows.commands
        assert command.startswith(f"losscope table {folder.resolve()} --format json --diagnostic {rows.diagnostic}")


def test_rows_of_two_folders_have_a_command_for_each(write_record: Any) -> None:
    losses = [{"name": "contrastive"}, {"name": "triplet"}]
    folders = [write_record(loss["name"], losses=[loss], seeds=3) for loss in losses]
    (line,) = entry(ledger(folders), "better_retrieval").lines
    (rows,) = line.rows
    assert [command.split()[2] for command in rows.commands] == [str(folder.resolve()) for folder in folders]


def other_data(folder: Path, loss: str, seeds: set[int]) -> Path:
    """The runs of a loss at some seeds saw other data."""
    for path in folder.glob("groups/*/runs.json"):
        runs = json.loads(path.read_text())
        for run in runs:
            if run["loss"] == loss and run["seed"] in seeds:
                run["data_fingerprint"] = "changed since then"
        path.write_text(json.dumps(runs))
    return folder


def test_only_seeds_of_equal_data_are_paired(write_record: Any) -> None:
    found = ledger(other_data(write_record(seeds=13, full=True, losses=MARGINS), "triplet", set(range(6))))
    told = {name: {line.ruling.n for line in entry(found, name).lines if line.ruling.n} for name in (
        "absolute_variance", "gaps_shrink", "loss_decay", "variance_retrieves_finer", "rank_falls", "margin_separates"
    )}  # fmt: skip
    assert told == {
        "absolute_variance": {7}, "gaps_shrink": {7}, "loss_decay": {7}, "variance_retrieves_finer": {7},
        "rank_falls": {13}, "margin_separates": {13},
    }  # fmt: skip
    assert any("n = 7" in one.follows for one in found.printed)


def test_what_stands_beside_a_verdict_is_scipys(write_record: Any) -> None:
    lines = entry(ledger(write_record(seeds=13)), "absolute_variance").lines
    for line in lines:
        beside = line.ruling.beside
        assert beside is not None
        assert beside.detectable is not None
        assert beside.cohen_d is not None
        one, other = (
            line.comparison.get(subject, line.measure).values for subject in _subjects(line.label, line.comparison)
        )
        logs = np.array([math.log(one[seed] / other[seed]) for seed in range(13)])
        assert beside.p_wilcoxon == pytest.approx(stats.wilcoxon(logs - math.log(1.1), method="exact").pvalue)
        assert beside.cohen_d.mean == pytest.approx(logs.mean() / logs.std(ddof=1))
        assert beside.superiority.mean == np.mean(logs > 0)
        assert beside.p_smallest == 2**-12
        assert line.detectable_text.startswith("×")
        noncentral = (math.log(beside.detectable) - math.log(1.1)) * math.sqrt(13) / logs.std(ddof=1)
        level = 1 - 0.05 / (2 * line.ruling.family)
        assert stats.nct.sf(stats.t.ppf(level, 12), 12, noncentral) == pytest.approx(0.8, abs=1e-6)


def _subjects(label: str, comparison: Any) -> list[Any]:
    return [next(one for one in comparison.trained if one.label == side) for side in label.split(" / ")]


def test_a_correlation_speaks_for_its_variants_and_needs_four(write_record: Any) -> None:
    found = entry(ledger(write_record(seeds=13)), "variance_retrieves_finer")
    assert (found.lines, found.verdict) == ((), "cannot tell")
    assert "losscope study contradiction" in found.missing[0]
    lines = entry(ledger(write_record("more", losses=MARGINS, seeds=13)), "variance_retrieves_finer").lines
    assert {line.population.split("; ")[-1] for line in lines} == {"for these 7 variants"}


def test_other_variants_are_alike_by_the_test_of_the_claim(write_record: Any, set_values: Any) -> None:
    """Triplet losses decay first in two seeds and never in eleven: a mean over what is reached would turn the sign."""
    claim = next(claim for claim in claims() if claim.name == "loss_decay")
    two = replace(claim, losses=("contrastive", "n_pair"), against=("triplet",))

    def level(row: dict[str, Any]) -> float | None:
        if row["loss"] != "triplet":
            return 3.0
        return None if row["seed"] > 1 else 2.0  # never, but for two seeds before the others

    edit = set_values(level, diagnostic="loss_decay_epoch")
    summary = summarize(write_record(losses=SEVEN[:3], seeds=13, edit=edit))
    spoken = [case for case in cases(two, summary) if case.others]
    assert {case.claim.direction for case in spoken} == {"smaller"}
    assert all(case.alike == case.others for case in spoken)


def test_seeds_may_be_added_with_anytime(write_record: Any) -> None:
    folder = write_record(seeds=13)
    fixed, anytime = ledger(folder), ledger(folder, anytime=True)
    assert (fixed.anytime, anytime.anytime) == (False, True)
    for one, other in zip(fixed.lines, anytime.lines, strict=True):
        if one.ruling.effect and one.ruling.effect.low is not None and one.ruling.scale == "ratio":
            assert other.ruling.effect is not None
            assert other.ruling.effect.low is not None
            assert other.ruling.effect.low <= one.ruling.effect.low
        if one.ruling.p is not None and one.ruling.p < 0.05:
            assert other.ruling.p is not None
            assert other.ruling.p > one.ruling.p
    open_ = [line.ruling.why for line in fixed.lines if "needs" in line.ruling.why and line.ruling.n >= 13]
    assert open_
    assert all("with --anytime" in why for why in open_ if "an effect as the one seen" in why)


def test_shuffled_labels_are_no_evidence(write_record: Any) -> None:
    protocols = [{"name": "random", "epochs": 3, "labels": "shuffled"}]
    assert entry(ledger(write_record(protocols=protocols)), "better_retrieval").lines == ()


def test_nothing_to_compare_says_so_and_what_would_measure_it(write_record: Any) -> None:
    found = ledger(write_record(losses=[{"name": "arcface"}]))
    for one in found.entries:
        assert (one.verdict, one.lines, one.reason) == ("cannot tell", (), "Nothing to compare.")
        assert f"losscope study {one.claim.study} --out" in " ".join(one.missing)
    with pytest.raises(MissingData, match="no study in"):
        ledger(Path("nowhere"))


def test_a_measure_that_is_not_there_is_missed_and_the_others_are_judged(write_record: Any) -> None:
    def without(rows: Any) -> Any:
        return [row for row in rows if row["diagnostic"] != "linear_probe_accuracy"]

    found = entry(ledger(write_record(edit=without, seeds=13)), "better_accuracy")
    told = {line.measure.diagnostic: line.ruling.n for line in found.lines}
    assert told == {"knn_accuracy": 13, "linear_probe_accuracy": 0}
    assert "not measured: linear probe of triplet squared=false, linear probe of contrastive" in found.missing[0]
    assert "losscope study paper_a_mnist --out" in found.missing[0]


def test_lost_runs_leave_the_seeds_that_both_losses_have(write_record: Any) -> None:
    status = {("contrastive", "", seed): "diverged" for seed in (0, 3)} | {("triplet", "squared=true", 5): "failed"}
    found = entry(ledger(write_record(status=status, seeds=13)), "better_retrieval")
    assert [line.ruling.n for line in found.lines] == [11, 10]
    assert {line.verdict for line in found.lines} == {"cannot tell"}


def test_values_that_are_not_positive_are_said_and_not_compared(write_record: Any, set_values: Any) -> None:
    zero = set_values(lambda row: 0.0 if row["seed"] == 4 else row["value"], diagnostic="intra_inter_ratio")
    found = entry(ledger(write_record(edit=zero, seeds=13)), "relative_variance")
    assert {line.verdict for line in found.lines} == {"cannot tell"}
    assert "compares positive numbers" in found.lines[0].ruling.why
    assert found.lines[0].difference is not None


@pytest.mark.parametrize("name", ["measurements.parquet", "runs.json", "group.json", "map.parquet"])
def test_a_torn_file_is_named_and_the_rest_is_judged(write_record: Any, name: str) -> None:
    folder = write_record(seeds=13)
    torn = next(path for path in folder.glob(f"groups/*/{name}")
                if json.loads((path.parent / "group.json").read_text())["variant"] == "squared=true")  # fmt: skip
    torn.write_bytes(torn.read_bytes()[:20])
    found = ledger(folder)
    assert len(found.damaged) == 1
    assert str(torn) in found.damaged[0]
    assert [line.label for line in entry(found, "better_retrieval").lines] == ["triplet squared=false / contrastive"]


def test_a_group_that_lost_its_rows_is_named(write_record: Any) -> None:
    folder = write_record(seeds=13)
    next(folder.glob("groups/*/measurements.parquet")).unlink()
    assert "has ended but has no measurements.parquet" in ledger(folder).damaged[0]


def test_the_document_has_every_line_as_plain_json(write_record: Any) -> None:
    found = ledger(write_record(seeds=13))
    document = json.loads(json.dumps(claims_document(found), allow_nan=False))
    lines = [one for one in document if one["claim"] != "printed_numbers"]
    assert len(lines) == sum(max(1, len(one.lines)) for one in found.entries)
    for one in document:
        assert one.keys() == document[0].keys()
        assert one["verdict"] in ("holds", "does not hold", "cannot tell")
        if one["n"] >= 13 and one["interval"]:
            assert one["interval"][0] <= one["effect"] <= one["interval"][1]
            assert one["population"].startswith("other seeds")
            assert one["rows"][0]["commands"][0].startswith("losscope table ")
    printed = [one for one in document if one["claim"] == "printed_numbers"]
    assert len(printed) == len(found.printed) == 9 + 2
