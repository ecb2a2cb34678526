"""Killed and resumed is uninterrupted, bit for bit; what a kill leaves behind stays readable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from losscope import data
from losscope.errors import DamagedRecord
from losscope.files import read_json, read_lines, read_parquet
from losscope.losses import LOSSES
from losscope.study import Cell, Model, Optimizer
from losscope.sweep.plan import Unit
from losscope.table import RunRecord, read_ending, running_epochs, running_steps, write_group
from losscope.training.records import GroupRecord
from losscope.training.run import Place, Progress, run_cell
from stacks import DIGITS, SYNTHETIC, build, cell, same, train

SEEDS, EPOCHS = (3, 0), 4
OFTEN, NEVER = Place(checkpoint_seconds=0), Place(checkpoint_seconds=1e9)


class Killed(BaseException):
    """Ends a run the way a signal does: no handler of failures sees it."""


def unit(folder: Path, given: Cell | None = None) -> Unit:
    given = given or cell(SEEDS, "triplet", epochs=EPOCHS, evaluate_at=(2,))
    group = {
        "dataset": given.data.name,
        "protocol": "small",
        "loss": given.loss.name,
        "variants": [given.loss.variant] * len(given.seeds),
        "seeds": list(given.seeds),
        "runs": [f"run{seed}" for seed in given.seeds],
        "data_fingerprints": [
            data.load(given.data.name, seed=seed, **given.data.options).fingerprint for seed in given.seeds
        ],
        "hyperparameters": [dict(given.loss.hyperparameters)] * len(given.seeds),
    }
    return Unit(given, folder, group)


def run_unit(given: Unit, place: Place, progress: Progress) -> list[RunRecord]:
    """As an executor does: the group is written by the driver, and read where it trains."""
    write_group(given.folder, given.group)
    return run_cell(given.cell, given.folder, place, progress)


def silent(name: str, done: int, total: int) -> None:
    pass


def killing_after(epochs: int) -> Progress:
    def progress(name: str, done: int, total: int) -> None:
        if done == epochs:
            raise Killed

    return progress


def contents(folder: Path) -> dict[str, Any]:
    """All that a finished group says, but for times."""
    found: dict[str, Any] = {path.name: read_parquet(path) for path in folder.glob("*.parquet")}
    timeless = [replace(record, seconds=0, cpu_seconds=0) for record in read_ending(folder / "runs.json").records]
    return found | {"runs.json": timeless, "group.json": read_json(folder / "group.json")}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, mine in one.items():
        if isinstance(mine, pa.Table):
            assert mine.equals(other[name]), name
        else:
            assert mine == other[name], name


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    records = run_unit(unit(folder), NEVER, silent)
    assert [record.status for record in records] == ["done", "done"]
    return contents(folder)


def test_a_finished_group_has_only_its_tables(uninterrupted: dict[str, Any]) -> None:
    assert sorted(uninterrupted) == [
        "group.json", "map.parquet", "measurements.parquet", "queries.parquet", "runs.json", "steps.parquet",
    ]  # fmt: skip
    epochs = set(uninterrupted["measurements.parquet"]["epoch"].to_pylist())
    assert epochs == set(range(EPOCHS + 1))
    assert set(uninterrupted["queries.parquet"]["epoch"].to_pylist()) == {0, 2, EPOCHS}


@pytest.mark.parametrize("epochs", range(EPOCHS + 1))
@pytest.mark.parametrize("place", [OFTEN, NEVER], ids=["checkpoint each epoch", "no checkpoint"])
def test_killed_after_any_epoch(tmp_path: Path, uninterrupted: dict[str, Any], epochs: int, place: Place) -> None:
    with pytest.raises(Killed):
        run_unit(unit(tmp_path), place, killing_after(epochs))
    assert not (tmp_path / "runs.json").exists()
    assert (tmp_path / "checkpoint.safetensors").exists() == (place is OFTEN and epochs > 0)
    run_unit(unit(tmp_path), place, silent)
    assert_same(contents(tmp_path), uninterrupted)


def test_killed_again_and_again(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    for epochs in (0, 1, 1, 2, 3, 3, 4):
        with pytest.raises(Killed):
            run_unit(unit(tmp_path), OFTEN, killing_after(epochs))
    run_unit(unit(tmp_path), OFTEN, silent)
    assert_same(contents(tmp_path), uninterrupted)


def test_lines_after_the_checkpoint_are_trained_again_not_kept(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    """The checkpoint is of epoch 1, the lines reach epoch 3, and the last line of each file is torn."""
    with pytest.raises(Killed):
        run_unit(unit(tmp_path), OFTEN, killing_after(1))
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(Killed):
        run_unit(unit(tmp_path), OFTEN, killing_after(3))
    (tmp_path / "checkpoint.safetensors").write_bytes(kept)
    for name in ("steps.jsonl", "epochs.jsonl"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:-20])
        assert read_lines(tmp_path / name)
    run_unit(unit(tmp_path), OFTEN, silent)
    assert_same(contents(tmp_path), uninterrupted)


def test_what_a_kill_leaves_is_readable_up_to_the_torn_line(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run_unit(unit(tmp_path), OFTEN, killing_after(2))
    steps, epochs = running_steps(tmp_path), running_epochs(tmp_path)
    assert set(epochs["epoch"].to_pylist()) == {0, 1, 2}
    assert set(steps["epoch"].to_pylist()) == {1, 2}
    with (tmp_path / "epochs.jsonl").open("ab") as file:
        file.write(b'{"epoch": 3, "rows": [[0, null, 3, "lo')
    assert running_epochs(tmp_path).equals(epochs)


def test_damage_before_the_last_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "steps.jsonl").write_text('{"epoch": 1}\n{"epo\n{"epoch": 2}\n')
    with pytest.raises(DamagedRecord, match=r"steps\.jsonl, line 2 is not JSON"):
        read_lines(tmp_path / "steps.jsonl")


def test_a_damaged_checkpoint_fails_with_advice_and_loses_nothing(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run_unit(unit(tmp_path), OFTEN, killing_after(2))
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    before = (tmp_path / "epochs.jsonl").read_bytes()
    records = run_unit(unit(tmp_path), OFTEN, silent)
    assert {record.status for record in records} == {"failed"}
    assert "losscope repair" in (records[0].error or "")
    assert (tmp_path / "epochs.jsonl").read_bytes() == before


def test_a_failure_is_recorded_with_its_traceback_and_repaired_by_the_next_call(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    def failing(name: str, done: int, total: int) -> None:
        if done == 2:
            raise RuntimeError("the disk sings")

    records = run_unit(unit(tmp_path), OFTEN, failing)
    assert [record.status for record in records] == ["failed", "failed"]
    assert "the disk sings" in (records[0].error or "")
    assert list(read_ending(tmp_path / "failed.json").records) == records
    run_unit(unit(tmp_path), OFTEN, silent)
    assert_same(contents(tmp_path), uninterrupted)


@pytest.mark.parametrize(
    ("loss", "sampling", "options"),
    [
        ("contrastive", "one_plus_one", {}),
        ("triplet", "semi_hard", {}),
        ("contrastive", "all_in_batch", {"data": DIGITS, "model": Model(name="convnet", widths=(8,))}),
        *((loss, "customary", {}) for loss in LOSSES),
        ("n_pair", "one_tuple", {"hyperparameters": {"unit_length": False, "penalty": 0.02}}),
        ("center_contrastive", "all_in_batch", {"hyperparameters": {"momentum": 0.9}}),
        ("arcface", "one_tuple", {"optimizer": Optimizer(name="sgd", lr=0.1)}),
    ],
)
def test_a_stack_goes_on_from_its_state(loss: str, sampling: str, options: dict[str, Any], tmp_path: Path) -> None:
    whole, first, second = (build(cell(SEEDS, loss, sampling, **options)) for _ in range(3))
    expected = train(whole, epochs=3)
    train(first, epochs=1)
    record = GroupRecord(tmp_path, {})
    record.checkpoint(first.state(), {"epoch": 1})
    resumed = record.resume()
    assert resumed is not None
    second.load(resumed[0])
    found = train(second, epochs=2, start=2)
    for name in expected[2]:
        assert same(found[1][name], expected[2][name]), name
    assert whole.state().keys() == second.state().keys()
    assert LOSSES[loss].proxies == ("proxies" in whole.state())
    for name, value in whole.state().items():
        assert torch.equal(value, second.state()[name]), name


@pytest.mark.parametrize(("loss", "options"), [("arcface", {}), ("center_contrastive", {"momentum": 0.9})])
def test_class_vectors_survive_a_kill(tmp_path: Path, loss: str, options: dict[str, Any]) -> None:
    """With the moments of their optimizer, or as moving averages."""
    given = cell(SEEDS, loss, "customary", epochs=3, hyperparameters=options)
    run_unit(unit(tmp_path / "whole", given), NEVER, silent)
    with pytest.raises(Killed):
        run_unit(unit(tmp_path / "killed", given), OFTEN, killing_after(2))
    run_unit(unit(tmp_path / "killed", given), OFTEN, silent)
    assert_same(contents(tmp_path / "killed"), contents(tmp_path / "whole"))


KILLABLE = """
import sys; sys.path.insert(0, {tests!r})
import torch; torch.set_num_threads(1)
from pathlib import Path
from test_resume import OFTEN, run_unit, unit
import time
def progress(name, done, total):
    print(done, flush=True)
    if done == 2:
        time.sleep(60)
run_unit(unit(Path({folder!r})), OFTEN, progress)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_process_that_is_really_killed(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    tests = Path(__file__).parent
    script = KILLABLE.format(tests=str(tests), folder=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(tests.parent), "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if line.strip() == b"2":
                break
        time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "runs.json").exists()
    run_unit(unit(tmp_path), OFTEN, silent)
    assert_same(contents(tmp_path), uninterrupted)


def test_a_diverging_study_is_done_with_status_diverged(tmp_path: Path) -> None:
    given = cell(SEEDS, "contrastive", data=SYNTHETIC, epochs=2)
    wild = replace(given, protocol=given.protocol.model_copy(update={
        "optimizer": given.protocol.optimizer.model_copy(update={"lr": 1e30})}))  # fmt: skip
    records = run_unit(unit(tmp_path, wild), NEVER, silent)
    assert [record.status for record in records] == ["diverged", "diverged"]
    assert all(record.diverged_at and record.epochs == 2 for record in records)
    assert (tmp_path / "measurements.parquet").exists()
