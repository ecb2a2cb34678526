"""Every check fires on a record that has the fault, and passes or does not apply on one that has not."""

from __future__ import annotations

from typing import Any

import pytest

from losscope.checks import CHECKS, findings
from losscope.report import summarize
from losscope.summary.types import Summary

LAST = 3
SOUND = {  # measures that no check objects to
    "recall_at_k": {"none": 0.3, "contrastive": 0.6, "triplet": 0.7},
    "knn_accuracy": {"none": 0.3, "contrastive": 0.6, "triplet": 0.7},
}


def fired(summary: Summary) -> dict[str, tuple[str, ...]]:
    return {found.check.code: found.sentences for found in findings(summary) if found.fired}


def sound(row: dict[str, Any]) -> float | None:
    """The value of a record without faults: training helps."""
    levels = SOUND.get(row["diagnostic"])
    if levels is None:
        return row["value"]  # type: ignore[no-any-return]
    return (levels[row["loss"]] if row["epoch"] or row["loss"] == "none" else 0.2) + 0.001 * row["seed"]


@pytest.fixture
def sound_record(write_record: Any, set_values: Any) -> Any:
    losses = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 0.5, "squared": False}]

    def write(name: str = "sound", **settings: Any) -> Any:
        return write_record(name, **{"seeds": 13, "losses": losses, "edit": set_values(sound), **settings})

    return write


def test_a_sound_record_fires_only_what_is_built_in(sound_record: Any) -> None:
    summary = summarize(sound_record())
    assert set(fired(summary)) == {"active-by-construction"}
    found = {one.check.code: one for one in findings(summary)}
    assert [one.check for one in findings(summary)] == list(CHECKS)
    assert not found["fitted-preset"].applies
    assert found["below-input"].applies


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
    assert "every loss in 1 of 2 rankings" in said[0]
    assert "0.95" in said[1]
    assert "contrastive 0.6060, triplet 0.7060" in said[1]


def test_a_loss_that_does_not_see_labels(sound_record: Any, set_values: Any) -> None:
    stall = set_values(lambda row: 0.2516, diagnostic="loss", epoch=LAST, loss="contrastive")
    assert "m²/4 = 0.25" in fired(summarize(sound_record(edit=stall)))["label-blind"][0]


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
    assert "equal-margin" not in fired(summarize(sound_record("one_loss", losses=variants)))


def test_active_by_construction_names_the_loss(sound_record: Any, set_values: Any) -> None:
    assert fired(summarize(sound_record()))["active-by-construction"][0].startswith("contrastive:")
    lower = set_values(lambda row: 0.9, diagnostic="active_ratio_positive", epoch=LAST)
    assert "active-by-construction" not in fired(summarize(sound_record("lower", edit=lower)))


def test_memorized(sound_record: Any, set_values: Any) -> None:
    tight = set_values(lambda row: 0.01, diagnostic="intra_class_variance_mean", split="train", epoch=LAST)
    said = fired(summarize(sound_record(edit=tight)))["memorized"]
    assert "up to 1" in said[0]
    assert len(said) == 3


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
