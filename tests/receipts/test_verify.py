"""`losscope verify`: a record is what its study gives, or the run and the diagnostic that are not are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import losscope
from cli.conftest import Cli
from losscope import data
from losscope.errors import InvalidInput, MissingData
from losscope.files import read_json, write_json
from losscope.losses import LOSSES
from losscope.receipts import recomputing
from losscope.receipts.comparing import ROUNDING, SHARE
from losscope.receipts.receipt import Verification
from losscope.receipts.recorded import ended_runs, sample
from losscope.study import NUMERICS_VERSION
from losscope.table import groups, read_ending
from losscope.types import Loss, LossTerms, Pairs
from receipts.conftest import (
    Train,
    change_document,
    change_environment,
    change_rows,
    change_value,
    doubled,
    files_of,
    group_of,
    reseal,
    small,
    spread_of,
    times_a_thousand,
)

ALL = 100


def checked_runs(found: Verification) -> dict[str, str]:
    """Digest -> verdict."""
    return {one.run.record.run: one.verdict for one in found.checked}


LAST = {"diagnostic": "intra_class_variance_mean", "split": "heldout", "epoch": 2, "variant": "squared=true"}


def test_all_runs_of_a_fresh_study_have_the_same_bits_alone(trained: Train) -> None:
    folder = trained(0, 1, 2)
    before = files_of(folder)
    found = losscope.verify(folder, runs=ALL, exact=True)
    assert found.outcome == "passed"
    assert list(checked_runs(found).values()) == ["identical"] * 12  # three variants and the inputs, three seeds
    assert found.ended == 12
    for one in found.checked:
        kinds = {difference.kind for difference in one.differences}
        assert kinds >= {"record", "epochs", "queries"}
        assert ("steps" in kinds) == (one.run.record.loss != "none")
        assert sum(difference.rows for difference in one.differences) > 200
        assert one.same_bits_expected
        assert one.changes == ()
    assert files_of(folder) == before


def test_the_receipt_is_one_json_document(trained: Train) -> None:
    document = losscope.verify(trained(0, 1, 2), runs=2).document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["outcome"] == "passed"
    assert document["sample"] == {"runs": 2, "seed": 0}
    assert (document["tolerance"]["share_of_spread_over_seeds"], document["tolerance"]["rounding"]) == (SHARE, ROUNDING)
    assert document["environment"]["determinism"]["level"] == "bitwise"
    assert [one["rows"] == one["rows_identical"] > 200 for one in document["checked"]] == [True, True]


@pytest.mark.parametrize("spreads", [1.0, 0.05])
def test_a_changed_value_is_named_and_fails_where_it_is_no_small_share_of_the_spread(
    copied: Train, trained_before: Callable[..., None], cli: Cli, spreads: float
) -> None:
    trained_before(0, 1, 2)
    folder = copied(0, 1, 2)
    group = group_of(folder, "triplet", "squared=true")
    run = read_json(group / "group.json")["runs"][0]
    change = spreads * spread_of(folder, run, **LAST)
    change_value(group, lambda value: value + change, run=run, **{key: LAST[key] for key in LAST if key != "variant"})
    called = cli("verify", folder, "--runs", ALL, *([] if spreads == 1 else ["--exact"]), "--json")
    assert called.code == 3
    document = called.json()
    assert document["outcome"] == "failed"
    assert document["identical"] == 11
    (differing,) = [one for one in document["checked"] if one["verdict"] != "identical"]
    assert differing["run"] == run
    assert differing["verdict"] == ("different" if spreads == 1 else "within")
    (difference,) = differing["differences"]
    assert (difference["diagnostic"], difference["split"]) == (LAST["diagnostic"], LAST["split"])
    assert difference["largest"] == pytest.approx(change)
    told = cli("verify", folder, "--runs", ALL)
    assert told.code == (3 if spreads == 1 else 0)
    assert f"{differing['verdict']}  {run} (synthetic short triplet squared=true, seed 0)" in told.out
    assert "epochs heldout intra_class_variance_mean: 1 of 3 rows differ; " in told.out
    assert "the environment is the recorded one, so the same bits were to be expected" in told.out
    outcome = "FAILED: 11 identical, 1 different" if spreads == 1 else "PASSED: 11 identical, 1 within"
    assert told.out.splitlines()[-1] == f"{outcome}; 0 files damaged."


def test_a_damaged_file_is_named_and_fails(copied: Train, trained_before: Callable[..., None], cli: Cli) -> None:
    trained_before(0, 1, 2)
    folder = copied(0, 1, 2)
    path = group_of(folder, "contrastive") / "measurements.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    called = cli("verify", folder, "--runs", ALL)
    assert called.code == 3
    assert f"damaged  {path} is damaged" in called.out
    assert "FAILED: 9 identical; 1 files damaged." in called.out


@pytest.mark.parametrize(("name", "recomputed"), [("study.json", 0), ("manifest.json", 2)])
@pytest.mark.parametrize("how", ["torn", "gone"])
def test_a_damaged_file_of_the_study_is_named_and_fails(
    copied: Train, trained_before: Callable[..., None], cli: Cli, name: str, recomputed: int, how: str
) -> None:
    """As one of a group does. Without study.json nobody knows what to train; the manifest is not needed for that."""
    trained_before(0, 1, 2)
    folder = copied(0, 1, 2)
    if how == "torn":
        (folder / name).write_bytes((folder / name).read_bytes()[:-9])
    else:
        (folder / name).unlink()
    called = cli("verify", folder, "--runs", 2)
    assert called.code == 3
    assert f"damaged  {folder / name}" in called.out
    assert called.out.splitlines()[-1].startswith("FAILED: ")
    assert called.out.splitlines()[-1].endswith("; 1 files damaged.")
    document = cli("verify", folder, "--runs", 2, "--json").json()
    assert (document["outcome"], document["recomputed"]) == ("failed", recomputed)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_told(trained: Train, cli: Cli, device: str) -> None:
    run = ended_runs(trained(0))[0].record.run
    for command in (("verify", trained(0)), ("rerun", trained(0), run)):
        called = cli(*command, "--device", device)
        assert called.code == 2
        assert f"device '{device}' can't be used (" in called.err
        assert "expected 'cpu', or 'cuda' on a machine with a GPU" in called.err
        assert "Traceback" not in called.err


def test_what_a_record_lacks_is_pardoned_only_where_other_code_made_it(
    copied: Train, trained_before: Callable[..., None]
) -> None:
    trained_before(0, 1, 2)
    folder = copied(0, 1, 2)
    for group in groups(folder):
        change_rows(group, lambda rows: [row for row in rows if row["diagnostic"] != "effective_rank"])
    found = losscope.verify(folder, runs=2)
    assert {one.verdict for one in found.checked} == {"different"}
    assert found.outcome == "failed"
    for group in groups(folder):
        change_environment(group, code="0" * 16)
    found = losscope.verify(folder, runs=2)
    assert {one.verdict for one in found.checked} == {"identical"}
    assert {part.diagnostic for one in found.checked for part in one.largest} == {"effective_rank"}
    assert {part.verdict for one in found.checked for part in one.largest} == {"unrecorded"}
    assert found.outcome == "passed"


def test_rows_that_stand_twice_fail(copied: Train, trained_before: Callable[..., None]) -> None:
    trained_before(0, 1, 2)
    folder = copied(0, 1, 2)
    for group in groups(folder):
        change_rows(group, doubled)
    assert set(checked_runs(losscope.verify(folder, runs=3, exact=True)).values()) == {"different"}


def test_a_record_that_is_wrong_throughout_fails_also_on_another_machine(
    copied: Train, trained_before: Callable[..., None], cli: Cli
) -> None:
    trained_before(0, 1, 2, 3)
    folder = copied(0, 1, 2, 3)
    for run in times_a_thousand(folder, 1):
        called = cli("rerun", folder, run)
        assert called.code == 3
        assert called.out.startswith(f"different  {run} ")
        assert "processor: another there, " in called.out


def own_loss(embeddings: Any, pairs: Pairs) -> LossTerms:
    distance = (embeddings[pairs.first] - embeddings[pairs.second]).square().sum(-1)
    return LossTerms(distance.where(pairs.same, (1 - distance).clamp_min(0)), pairs.valid)


OWN = Loss(own_loss, "pair", saturates=True, reference="none")


def test_a_users_own_loss_has_to_be_handed_in_again(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "out"
    losscope.run(small((0,), loss=[{"name": "mine"}]), folder, losses={"mine": OWN})
    called = cli("verify", folder, "--runs", ALL)
    assert "its loss 'mine' is the user's own, which the record does not hold" in called.out
    assert "losses={'mine': ...}" in called.out
    assert called.code == 2
    assert called.out.splitlines()[-1].startswith("NOTHING RECOMPUTED: 2 not recomputed")
    found = losscope.verify(folder, runs=ALL, losses={"mine": OWN})
    assert set(checked_runs(found).values()) == {"identical"}
    other = losscope.verify(folder, runs=ALL, losses={"mine": LOSSES["contrastive"]})
    assert {one.verdict for one in other.checked if one.run.record.loss == "mine"} == {"not recomputed"}
    assert "is not the recorded one" in (
        next(one for one in other.checked if one.run.record.loss == "mine").reason or ""
    )


def test_another_numerics_version_cannot_be_recomputed(
    copied: Train, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(0)
    monkeypatch.setattr(recomputing, "NUMERICS_VERSION", NUMERICS_VERSION + 1)
    called = cli("verify", folder)
    assert called.code == 2
    told = f"it was trained under numerics version {NUMERICS_VERSION} and this code computes version {NUMERICS_VERSION + 1}"
    assert told in called.out
    assert losscope.verify(folder).outcome == "nothing recomputed"


def test_other_data_are_told_by_their_fingerprint(copied: Train) -> None:
    folder = copied(0)
    for group in groups(folder):
        change_document(group / "group.json", data_fingerprints=["0" * 64], runs=[f"{len(group.name):016x}"])
        (record,) = read_ending(group / "runs.json").records
        reseal(group, [replace(record, data_fingerprint="0" * 64, run=f"{len(group.name):016x}")])
    found = losscope.verify(folder, runs=2)
    assert found.outcome == "nothing recomputed"
    assert all(
        "its data differ: fingerprint 0000000000000000 was recorded" in (one.reason or "") for one in found.checked
    )


def test_missing_data_are_told(copied: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: Any, **options: Any) -> None:
        raise MissingData("no data set there; get it")

    monkeypatch.setattr(data, "load", gone)
    (one,) = losscope.verify(copied(0), runs=1).checked
    assert one.reason == "no data set there; get it"


def test_the_sample_is_drawn_by_seed_and_digest_from_as_many_cells_as_there_are(trained: Train, copied: Train) -> None:
    runs, moved = ended_runs(trained(0, 1, 2)), ended_runs(copied(0, 1, 2, name="moved"))
    for seed in range(5):
        drawn = sample(runs, 4, seed)
        assert len({run.cell for run in drawn}) == 4
        assert [run.place for run in sample(moved[::-1], 4, seed)] == [run.place for run in drawn]
        assert [run.place for run in sample(runs, 2, seed)] == [run.place for run in drawn[:2]]
        assert sorted(run.place for run in sample(runs, ALL, seed)) == sorted(run.place for run in runs)
    assert len({tuple(run.place for run in sample(runs, 4, seed)) for seed in range(5)}) == 5


def test_other_environments_are_told(copied: Train, trained_before: Callable[..., None], cli: Cli) -> None:
    trained_before(0)
    folder = copied(0)
    for group in groups(folder):
        (environment,) = read_json(group / "environment.json")["environments"]
        change_environment(group, packages=environment["packages"] | {"torch": "2.0.0"}, device="cuda")
    called = cli("verify", folder, "--runs", 1)
    assert called.code == 0
    assert "torch: 2.0.0 there, " in called.out
    assert "device: cuda there, cpu here" in called.out
    (one,) = losscope.verify(folder, runs=1).checked
    assert [change.what for change in one.changes] == ["torch", "device"]
    assert not one.same_bits_expected


def test_bad_questions_are_refused(trained: Train, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected the number of runs to recompute, 1 or more"):
        losscope.verify(trained(0), runs=0)
    with pytest.raises(MissingData, match="no study in"):
        losscope.verify(tmp_path)
    write_json(tmp_path / "study.json", read_json(trained(0) / "study.json"))
    write_json(tmp_path / "manifest.json", {})
    with pytest.raises(InvalidInput, match=r"no run in .* has ended"):
        losscope.verify(tmp_path)
