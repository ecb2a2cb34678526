"""Every check fires on a record that has the fault, and passes or does not apply on one that has not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from losscope.checks import CHECKS, document, findings
from losscope.report import write_report
from losscope.summary import summarize
from losscope.summary.types import Summary
from planted_strict import class_splits

LAST = 3
SOUND = {  # measures that no check objects to
    "recall_at_k": {"none": 0.3, "contrastive": 0.6, "triplet": 0.7},
    "knn_accuracy": {"none": 0.3, "contrastive": 0.6, "triplet": 0.7},
}


def fired(summary: Summary) -> dict[str, tuple[str, ...]]:
    return {found.check.code: found.sentences for found in findings(summary) if found.fired}


def outcomes(summary: Summary) -> dict[str, str]:
    return {found.check.code: found.outcome for found in findings(summary)}


def sound(row: dict[str, Any]) -> float | None:
    """The value of a record without faults: training helps."""
    levels = SOUND.get(row["diagnostic"])
    if levels is None:
        return row["value"]  # type: ignore[no-any-return]
    return (levels.get(row["loss"], 0.65) if row["epoch"] or row["loss"] == "none" else 0.2) + 0.001 * row["seed"]


@pytest.fixture
def sound_record(write_record: Any, set_values: Any) -> Any:
    losses = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 0.5, "squared": False}]

    def write(name: str = "sound", **settings: Any) -> Any:
        return write_record(name, **{"seeds": 13, "losses": losses, "edit": set_values(sound), **settings})

    return write


def test_a_sound_record_fires_only_what_is_built_in(sound_record: Any) -> None:
    summary = summarize(sound_record())
    assert set(fired(summary)) == {"active-by-construction", "gradient-scale"}
    found = {one.check.code: one for one in findings(summary)}
    assert [one.check for one in findings(summary)] == list(CHECKS)
    assert {code for code, one in found.items() if not one.applies} == {
        "fitted-preset", "unequal-budgets", "closed-set", "memorized-noise", "class-sizes",
        "same-numbers",
    }  # fmt: skip
    assert found["below-input"].outcome == "passed"


def test_outcomes_are_four_and_severities_two(sound_record: Any) -> None:
    found = outcomes(summarize(sound_record(seeds=5, protocols=[{"name": "best_fit", "epochs": 3}])))
    assert (found["few-seeds"], found["fitted-preset"], found["below-input"]) == ("note", "note", "passed")
    unequal = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.0}]
    assert outcomes(summarize(sound_record("unequal", losses=unequal)))["equal-margin"] == "issue"
    assert outcomes(summarize(sound_record("one", losses=[{"name": "n_pair"}])))["equal-margin"] == "not applicable"
    for check in CHECKS:
        assert check.severity in ("issue", "note")
        for text in (check.detects, check.why, check.remedy):
            assert 20 < len(text) < 200
            assert "  " not in text
        assert check.why.endswith(".")
        assert check.remedy.endswith(".")
    assert len({check.code for check in CHECKS}) == len(CHECKS) >= 28


def test_issues_stand_before_notes(sound_record: Any) -> None:
    losses = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.0}]
    _, markdown = write_report(sound_record(losses=losses, seeds=5))
    said = [line[2:7] for line in markdown.read_text().splitlines() if line.startswith(("- Issue `", "- Note `"))]
    assert said == sorted(said)
    assert {"Issue", "Note "} == set(said)


def test_json_and_pages_show_all_four_outcomes(sound_record: Any) -> None:
    folder = sound_record(seeds=5)
    html, markdown = write_report(folder)
    found = json.loads((folder / "report.json").read_text())["findings"]
    assert [one["code"] for one in found] == [check.code for check in CHECKS]
    assert found == json.loads(json.dumps(document(findings(summarize(folder)))))
    assert {one["outcome"] for one in found} == {"note", "passed", "not applicable"}
    page, text = html.read_text(), markdown.read_text()
    for one in found:
        assert f"<code>{one['code']}</code>" in page
        assert f"`{one['code']}`" in text
    assert "not applicable: looks for" in page
    listed = text[text.index("## Checks that fired") : text.index("Passed or not applicable")]
    assert listed.count("- Note `") == sum(one["outcome"] == "note" for one in found)
    assert next(check for check in CHECKS if check.code == "few-seeds").remedy in text


def test_unfinished(sound_record: Any) -> None:
    said = fired(summarize(sound_record(running=["triplet"])))["unfinished"]
    assert "sound: 13 of 26 runs have ended" in said[0]


def test_lost_runs_are_listed(sound_record: Any) -> None:
    lost = {("triplet", "", 2): "diverged", ("contrastive", "", 3): "failed"}
    said = fired(summarize(sound_record(status=lost)))["lost-runs"]
    assert said[0].startswith("2 runs diverged or failed")
    assert any("triplet, seed 2: diverged at step 7" in one for one in said[1:])
    assert any("contrastive, seed 3: failed; ValueError: no" in one for one in said[1:])


def test_few_seeds(sound_record: Any) -> None:
    said = fired(summarize(sound_record(seeds=5)))["few-seeds"]
    assert "n = 5 paired seeds, verdicts need 13" in said[0]
    assert "0.0625" in said[0]


def test_unequal_seeds(sound_record: Any) -> None:
    said = fired(summarize(sound_record(status={("triplet", "", 2): "diverged"})))["unequal-seeds"]
    assert said[1] == "synthetic, protocol as_printed: contrastive 13, triplet 12 seeds."


@pytest.mark.parametrize(("code", "loss", "epoch", "name"), [
    ("below-input", "none", 0, "input itself"),
    ("below-untrained", "contrastive", 0, "untrained network"),
])  # fmt: skip
def test_training_that_made_it_worse(sound_record: Any, code: str, loss: str, epoch: int, name: str) -> None:
    def edit(rows: Any) -> Any:
        for row in rows:
            best = row["diagnostic"] == "recall_at_k" and (row["loss"], row["epoch"]) == (loss, epoch)
            yield {**row, "value": 0.95 if best else sound(row)}

    said = fired(summarize(sound_record(edit=edit)))[code]
    assert name in said[0].lower()
    assert "at least as well as every loss in 1 of 2 rankings" in said[0]
    assert "0.95" in said[1]
    assert "contrastive 0.6060, triplet 0.7060" in said[1]


def test_a_loss_that_does_not_see_labels(sound_record: Any, set_values: Any) -> None:
    stall = set_values(lambda row: 0.2516, diagnostic="loss", epoch=LAST, loss="contrastive")
    assert "p(1-p)m² = 0.2500" in fired(summarize(sound_record(edit=stall)))["label-blind"][0]


def test_where_a_blind_loss_ends_depends_on_the_share_of_positives(sound_record: Any, set_values: Any) -> None:
    # 4 classes x 16 samples, all in batch: 15 of 63 partners are positive, p(1-p)m² = 0.1814 for m = 1.
    pairs = [{"name": "as_printed", "epochs": 3,
              "batch": {"sampling": "all_in_batch", "classes": 4, "per_class": 16}}]  # fmt: skip
    stall = set_values(lambda row: 0.1814, diagnostic="loss", epoch=LAST, loss="contrastive")
    said = fired(summarize(sound_record(edit=stall, protocols=pairs)))["label-blind"][0]
    assert "the p(1-p)m² = 0.1814 of a loss that doesn't see the labels, with a share p = 0.2381" in said
    quarter = set_values(lambda row: 0.25, diagnostic="loss", epoch=LAST, loss="contrastive")
    found = outcomes(summarize(sound_record("quarter", edit=quarter, protocols=pairs)))
    assert found["label-blind"] == "passed"


def test_fitted_preset(sound_record: Any) -> None:
    assert "fitted-preset" in fired(summarize(sound_record(protocols=[{"name": "best_fit", "epochs": 3}])))


def test_unequal_work(sound_record: Any) -> None:
    folder = sound_record()
    for path in folder.glob("groups/*/runs.json"):
        if '"triplet"' in (text := path.read_text()):
            path.write_text(text.replace('"updates": 100', '"updates": 50'))
    said = fired(summarize(folder))["unequal-work"]
    assert "1 of 1 comparisons" in said[0]
    assert "contrastive: 100 updates on 1,000 terms; triplet: 50 updates on 1,000 terms" in said[1]


def test_equal_margin(sound_record: Any) -> None:
    losses = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.0}]
    assert "contrastive, triplet (m = 1)" in fired(summarize(sound_record(losses=losses)))["equal-margin"][0]
    variants = [{"name": "contrastive", "margin": 1.0, "scale": [16.0, 64.0]}]
    assert outcomes(summarize(sound_record("one_loss", losses=variants)))["equal-margin"] == "passed"


def test_margins_are_equal_within_a_comparison(sound_record: Any) -> None:
    one = sound_record("one", losses=[{"name": "contrastive", "margin": 1.0}])
    other = sound_record("other", datasets=[{"name": "digits"}], losses=[{"name": "triplet", "margin": 1.0}])
    assert outcomes(summarize([one, other]))["equal-margin"] == "passed"
    both = sound_record("both", datasets=[{"name": "cifar10"}],
                        losses=[{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.0}])  # fmt: skip
    said = fired(summarize([one, other, both]))["equal-margin"]
    assert said[1:] == ("cifar10, protocol as_printed: contrastive, triplet (m = 1).",)


def test_active_by_construction_names_the_loss(sound_record: Any, set_values: Any) -> None:
    assert fired(summarize(sound_record()))["active-by-construction"][1].startswith("contrastive:")
    lower = set_values(lambda row: 0.9, diagnostic="active_ratio_positive", epoch=LAST)
    assert "active-by-construction" not in fired(summarize(sound_record("lower", edit=lower)))


def test_memorized(sound_record: Any, set_values: Any) -> None:
    tight = set_values(lambda row: 0.01, diagnostic="intra_class_variance_mean", split="train", epoch=LAST)
    said = fired(summarize(sound_record(edit=tight)))["memorized"]
    assert "up to 1" in said[0]
    assert len(said) == 3


def test_classes_that_are_one_point_in_training(sound_record: Any, set_values: Any) -> None:
    point = set_values(lambda row: 0.0, diagnostic="intra_class_variance_mean", split="train", epoch=LAST)
    said = fired(summarize(sound_record(edit=point)))["memorized"]
    assert "classes are one point in training, and not so on the evaluation split" in said[0]
    assert said[1].endswith("on train (each class is one point).")


def test_with_nothing_to_check_a_check_does_not_apply(sound_record: Any) -> None:
    alone = {"losses": [{"name": "triplet", "margin": 0.5}]}
    found = outcomes(summarize(sound_record("alone", edit=without("intra_class_variance_mean"), **alone)))
    codes = ("memorized", "near-simplex", "same-numbers", "unequal-seeds")
    assert {code: found[code] for code in codes} == dict.fromkeys(codes, "not applicable")
    protocols = [{"name": "as_printed", "epochs": 3}, {"name": "as_run", "epochs": 3, "inputs": "unit_length"}]
    two = outcomes(summarize(sound_record("two", protocols=protocols)))
    assert {code: two[code] for code in codes} == dict.fromkeys(codes, "passed")


def test_near_simplex(sound_record: Any) -> None:
    # Four classes with variance 0.1: √(2 · 4/3 · 0.9) = 1.5492.
    def edit(rows: Any) -> Any:
        level = {"inter_class_distance_mean": 1.54, "intra_class_variance_mean": 0.1}
        for row in rows:
            wanted = row["split"] == "train" and row["loss"] == "triplet" and row["epoch"] == LAST
            yield {**row, "value": level.get(row["diagnostic"], row["value"]) if wanted else sound(row)}

    said = fired(summarize(sound_record(edit=edit)))["near-simplex"]
    assert "1.540 is 99.4% of 1.549, the most for 4 classes" in said[1]
    assert len(said) == 2


def test_same_numbers(sound_record: Any, set_values: Any) -> None:
    protocols = [{"name": "as_printed", "epochs": 3}, {"name": "as_run", "epochs": 3, "inputs": "unit_length"}]
    equal = set_values(lambda row: 0.1 + 0.01 * row["seed"], diagnostic="loss", loss="triplet", epoch=LAST)
    said = fired(summarize(sound_record(protocols=protocols, edit=equal)))["same-numbers"]
    assert said == (
        "synthetic, triplet: the same numbers under as_printed and as_run, which differ only in what this loss does not "
        "use. One result, shown twice.",
    )


def test_mixed_records(sound_record: Any) -> None:
    one, other = sound_record("one"), sound_record("other", protocols=[{"name": "as_printed", "epochs": 2}])
    assert "it is shown as as_printed (other)" in fired(summarize([one, other]))["mixed-records"][0]
    protocols = [{"name": name, "epochs": 2} for name in ("first", "second", "third")]  # one input under all three
    assert "mixed-records" not in fired(summarize(sound_record("three", protocols=protocols)))


def change(folder: Path, pattern: str, edit: Callable[[Any], None]) -> Path:
    """Edit the JSON files of a record in place."""
    for path in folder.glob(pattern):
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))
    return folder


def recorded(**facts: Any) -> Callable[[Any], None]:
    """Facts that the manifest states of the data."""
    return lambda manifest: manifest["data"]["synthetic"].update(facts)


def test_damaged_records_are_named_and_the_rest_is_used(sound_record: Any) -> None:
    folder = sound_record(losses=[{"name": "contrastive"}, {"name": "triplet", "margin": 0.5}, {"name": "n_pair"}])
    broken = next(folder.glob("groups/*/measurements.parquet"))
    loss = json.loads((broken.parent / "group.json").read_text())["loss"]
    broken.write_bytes(b"torn")
    summary = summarize(folder, tolerant=True)
    said = fired(summary)["damaged-records"]
    assert said[0] == "1 group of runs can't be read and are in no number of this report; all else is."
    assert broken.parent.name in said[1]
    assert loss not in {subject.loss for part in summary.comparisons for subject in part.trained}
    assert summary.comparisons[0].trained
    assert "unfinished" in fired(summary)
    write_report(folder)
    assert '"damaged-records"' in (folder / "report.json").read_text()


def test_data_that_changed_between_losses(sound_record: Any) -> None:
    def other_data(runs: Any) -> None:
        for run in runs:
            if run["loss"] == "triplet" and run["seed"] == 3:
                run["data_fingerprint"] = "another"

    said = fired(summarize(change(sound_record(), "groups/*/runs.json", other_data)))["unequal-data"]
    assert said[0].startswith("Runs of the same data set and seed were on different data at 1 seeds")
    assert said[1] == ("synthetic, seed 3: 2 fingerprints; as_printed triplet ran on other data than the others.")


def test_variants_without_validation_classes_are_peeked(sound_record: Any) -> None:
    losses = [{"name": "contrastive", "margin": [0.5, 1.0]}, {"name": "triplet", "margin": 0.7}]
    said = fired(summarize(sound_record(losses=losses)))["test-peeking"]
    assert "no validation classes to choose one by" in said[0]
    assert said[1] == (
        "synthetic, protocol as_printed, contrastive: the best of 2 variants has Recall@1 0.6060, their mean is 0.6060."
    )


def test_chosen_on_validation_classes_nothing_is_peeked(strict_record: Any) -> None:
    found = outcomes(summarize(strict_record(**class_splits(2))))
    assert (found["test-peeking"], found["test-watched"]) == ("passed", "passed")
    assert found["equal-margin"] == "passed"


def test_epochs_watched_on_the_test_split(sound_record: Any) -> None:
    watched = [{"name": "as_printed", "epochs": 3, "evaluate_every": 1}]
    said = fired(summarize(sound_record(protocols=watched)))["test-watched"]
    assert "synthetic, protocol as_printed. Choose no epoch" in said[0]


def without(diagnostic: str) -> Any:
    return lambda rows: [row for row in rows if row["diagnostic"] != diagnostic]


def test_without_retrieval_nothing_is_peeked_or_closed(sound_record: Any) -> None:
    found = outcomes(summarize(sound_record(edit=without("recall_at_k"))))
    assert {found[code] for code in ("test-peeking", "test-watched", "closed-set")} == {"not applicable"}


def test_closed_set_is_called_so(sound_record: Any) -> None:
    folder = change(sound_record(split_protocol="stratified_half"), "manifest.json", recorded(shares_classes=True))
    said = fired(summarize(folder))["closed-set"]
    assert said[0].startswith("Closed set: in 1 of 1 comparisons all evaluated classes were trained on.")
    assert said[1] == "synthetic, protocol as_printed (split heldout, stratified_half)."
    unseen = change(sound_record("unseen"), "manifest.json", recorded(shares_classes=False))
    assert outcomes(summarize(unseen))["closed-set"] == "passed"


def test_a_loss_that_ends_collapsed(sound_record: Any, set_values: Any) -> None:
    # The card of triplet loss with m = 0.5: 0.5 when all embeddings are one point.
    at_margin = set_values(lambda row: 0.4995, diagnostic="loss", epoch=LAST, loss="triplet")
    said = fired(summarize(sound_record(edit=at_margin)))["collapsed-loss"]
    assert "triplet: ends at 0.4995; 0.5000 is its value when all embeddings are one point" in said[1]
    near = set_values(lambda row: 0.48, diagnostic="loss", epoch=LAST, loss="triplet")
    assert outcomes(summarize(sound_record("near", edit=near)))["collapsed-loss"] == "passed"
    assert outcomes(summarize(sound_record("none", edit=without("loss"))))["collapsed-loss"] == "not applicable"


def test_a_loss_that_comes_by_its_value_at_collapse_is_not_collapsed(sound_record: Any, set_values: Any) -> None:
    """One that starts far above it, such as ArcFace, and has classes well apart by then."""
    loss = set_values(lambda row: 0.4995, diagnostic="loss", epoch=LAST, loss="triplet")
    of_train = {"split": "train", "epoch": LAST, "loss": "triplet"}
    tight = set_values(lambda row: 0.001, diagnostic="intra_class_variance_mean", **of_train)
    apart = set_values(lambda row: 1.4, diagnostic="inter_class_distance_mean", **of_train)
    near = set_values(lambda row: 0.01, diagnostic="inter_class_distance_mean", **of_train)
    separated = sound_record("separated", edit=lambda rows: apart(tight(loss(rows))))
    assert outcomes(summarize(separated))["collapsed-loss"] == "passed"
    for name, far in (("nearer", near), ("unknown", without("inter_class_distance_mean"))):
        found = sound_record(name, edit=lambda rows, far=far: far(tight(loss(rows))))
        assert outcomes(summarize(found))["collapsed-loss"] == "issue"


def test_unequal_samples(sound_record: Any) -> None:
    def more(runs: Any) -> None:
        for run in runs:
            run["samples"] = 300 if run["loss"] == "triplet" else 200

    said = fired(summarize(change(sound_record(), "groups/*/runs.json", more)))["unequal-samples"]
    assert said[1] == "synthetic, protocol as_printed: contrastive: 200 samples; triplet: 300 samples."
    alone = sound_record("alone", losses=[{"name": "contrastive"}])
    found = outcomes(summarize(alone))
    assert (found["unequal-samples"], found["unequal-work"]) == ("not applicable", "not applicable")


def test_margins_beyond_the_sphere(sound_record: Any) -> None:
    # Four classes: no two centroids of a simplex are farther than √(8/3) = 1.633, so m = 1.8 leaves 0.167.
    losses = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.8}]
    said = fired(summarize(sound_record(losses=losses)))["unreachable-margin"]
    assert said[1:] == ("synthetic, protocol as_printed, triplet: with 4 classes the loss can't fall below 0.1670.",)
    soft = sound_record("soft", losses=[{"name": "sup_con"}, {"name": "info_nce"}])
    assert outcomes(summarize(soft))["unreachable-margin"] == "not applicable"


def test_gradient_norms_on_other_scales(sound_record: Any, set_values: Any) -> None:
    losses = [{"name": "info_nce", "temperature": 0.1}, {"name": "info_nce", "temperature": 0.05, "variant": "sharp"}]
    said = fired(summarize(sound_record(losses=losses, edit=None)))["gradient-scale"]
    assert said[1] == (
        "synthetic, protocol as_printed: info_nce at most 20 for a positive pair; info_nce sharp at most 40 for a positive pair."
    )
    alike = [{"name": "triplet", "margin": 0.5}, {"name": "triplet", "margin": 1.0, "variant": "wide"}]
    assert outcomes(summarize(sound_record("alike", losses=alike)))["gradient-scale"] == "passed"
    alone = sound_record("alone", losses=[{"name": "triplet"}])
    assert outcomes(summarize(alone))["gradient-scale"] == "not applicable"


def test_a_softmax_is_always_active(sound_record: Any) -> None:
    losses = [{"name": "sup_con"}, {"name": "triplet", "margin": 0.5}]
    said = fired(summarize(sound_record(losses=losses, edit=None)))["active-by-construction"]
    assert said[1].startswith("sup_con: the active ratio is 1 by construction, because a softmax")
    found = outcomes(summarize(sound_record("none", losses=losses, edit=without("active_ratio"))))
    assert found["active-by-construction"] == "not applicable"


def under_true_labels(level: float) -> Any:
    """Rows of `train_clean` beside those of `train`: each class `level` times as loose as under the labels as given."""

    def edit(rows: Any) -> Any:
        for row in rows:
            yield {**row, "value": sound(row)}
            if row["split"] == "train" and row["diagnostic"] == "intra_class_variance_mean":
                yield {**row, "split": "train_clean", "value": level * row["value"]}

    return edit


def test_label_noise_that_was_learned(sound_record: Any) -> None:
    said = fired(summarize(sound_record(edit=under_true_labels(1.5))))["memorized-noise"]
    assert said[0].startswith("The label noise was learned")
    assert len(said) == 3
    assert outcomes(summarize(sound_record("not", edit=under_true_labels(0.8))))["memorized-noise"] == "passed"
    clean = [{"name": "as_printed", "epochs": 3, "labels": "clean"}]
    found = outcomes(summarize(sound_record("clean", protocols=clean, edit=under_true_labels(1.5))))
    assert found["memorized-noise"] == "not applicable"


def test_classes_of_other_sizes(sound_record: Any) -> None:
    # Variance 0.1 in 200 samples of a class against 0.1 in 3: 2 · 0.1 / 2 = 0.1 of a squared distance of 1.4.
    few = change(sound_record(), "manifest.json", recorded(samples={"train": 800, "heldout": 12}))
    said = fired(summarize(few))["class-sizes"]
    assert "about 200 samples of a class in train, 3 in heldout" in said[1]
    assert "of up to 3." in said[1] or "of up to 4." in said[1]
    equal = change(sound_record("equal"), "manifest.json", recorded(samples={"train": 12, "heldout": 12}))
    assert outcomes(summarize(equal))["class-sizes"] == "passed"
    many = change(sound_record("many"), "manifest.json", recorded(samples={"train": 8000, "heldout": 800}))
    assert outcomes(summarize(many))["class-sizes"] == "passed"


def test_classes_that_no_row_measures(sound_record: Any) -> None:
    lacking = change(sound_record(), "manifest.json", recorded(classes={"train": 6, "heldout": 4}))
    assert fired(summarize(lacking))["dropped-classes"][1:] == (
        "synthetic, protocol as_printed: 2 of 6 classes of train.",
    )  # fmt: skip
    some = sound_record("some", edit=lambda rows: [
        {**row, "value": sound(row)} for row in rows
        if not (row["loss"] == "triplet" and row["diagnostic"] == "intra_class_variance" and row["seed"] in (3, 5)
                and row["epoch"] == LAST and row["split"] == "train" and row["item"] >= row["seed"] - 3)
    ])  # fmt: skip
    assert fired(summarize(some))["dropped-classes"] == (
        "Some runs measure fewer classes than other runs of their seed, so that their means are over other classes.",
        "synthetic, protocol as_printed, triplet: up to 4 of 4 classes of train, in 2 seeds.",
    )
    whole = change(sound_record("whole"), "manifest.json", recorded(classes={"train": 4, "heldout": 4}))
    assert outcomes(summarize(whole))["dropped-classes"] == "passed"


def test_the_page_of_the_docs_is_that_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "checks.md").read_text()
    parts = {part.split("`")[1]: part for part in page.split("\n## ")[1:]}
    assert list(parts) == [check.code for check in CHECKS]
    for check in CHECKS:
        for text in (f"({check.severity})", check.detects, check.why, check.remedy):
            assert text in parts[check.code]
