"""The waist: rows of one schema from epoch rows and step lines, selections, and files that are whole or named."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.errors import DamagedRecord, InvalidInput, MissingData, UnknownName
from losscope.files import atomic, read_json, read_lines, read_parquet, write_json, write_table
from losscope.table import (
    MEASUREMENT,
    SCHEMA_VERSION,
    RunRecord,
    groups,
    measurement_table,
    read_group,
    read_map,
    read_measurements,
    read_queries,
    read_runs,
    record_rows,
    select,
    step_table,
)
from losscope.training.records import finite

GROUP = {
    "dataset": "toy", "protocol": "p", "loss": "contrastive", "variants": ["", ""], "runs": ["r0", "r1"],
    "seeds": [4, 9], "hyperparameters": [{}, {}],
}  # fmt: skip
ROWS = [
    (0, None, 0, "loss", None, 1.0),
    (1, None, 0, "loss", None, 2.0),
    (0, "train", 1, "intra_class_variance", 3, 0.5),
    (1, "heldout", 2, "recall_at_k", 5, None),
]
LINES = [
    {"epoch": 1, "step": 1, "loss": [0.5, None], "gradient_norm": [1.0, 2.0]},
    {"epoch": 1, "step": 2, "loss": [0.25, 0.75], "gradient_norm": [3.0, 4.0]},
]


def record(**changes: Any) -> RunRecord:
    fields: dict[str, Any] = {
        "run": "r0", "dataset": "toy", "protocol": "p", "loss": "contrastive", "variant": "", "seed": 4,
        "status": "done", "epochs": 2, "updates": 8, "samples": 64, "terms": 32, "seconds": 1.5, "cpu_seconds": 1.0,
        "data_fingerprint": "f",
    }  # fmt: skip
    return RunRecord(**fields | changes)


def study(folder: Path) -> Path:
    """A folder with one finished and one running group."""
    write_json(folder / "study.json", {"name": "s"})
    done, running = folder / "groups" / "a", folder / "groups" / "b"
    for group, runs in ((done, ["r0", "r1"]), (running, ["r2", "r3"])):
        group.mkdir(parents=True)
        write_json(group / "group.json", GROUP | {"runs": runs})
    write_table(done / "measurements.parquet", measurement_table(GROUP, ROWS))
    write_table(done / "steps.parquet", step_table(GROUP, LINES))
    write_json(done / "runs.json", record_rows([record(), record(run="r1", seed=9)]))
    (running / "epochs.jsonl").write_text(json.dumps({"epoch": 0, "rows": ROWS[:2]}) + "\n" + '{"epoch": 1, "ro')
    (running / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES[:1]))
    return folder


def test_epoch_rows_become_measurements() -> None:
    table = measurement_table(GROUP, ROWS)
    assert table.schema.equals(MEASUREMENT, check_metadata=True)
    assert table.to_pylist()[2] == {
        "run": "r0", "dataset": "toy", "protocol": "p", "loss": "contrastive", "variant": "", "seed": 4,
        "split": "train", "epoch": 1, "step": None, "diagnostic": "intra_class_variance", "item": 3, "value": 0.5,
    }  # fmt: skip
    assert table.to_pylist()[3]["value"] is None
    assert table.to_pylist()[3]["run"] == "r1"
    assert measurement_table(GROUP, []).equals(MEASUREMENT.empty_table())


def test_step_lines_become_measurements() -> None:
    table = step_table(GROUP, LINES)
    assert table.schema.equals(MEASUREMENT, check_metadata=True)
    assert table.num_rows == 8
    loss = [(row["run"], row["seed"], row["step"], row["value"]) for row in table.to_pylist()
            if row["diagnostic"] == "loss"]  # fmt: skip
    assert loss == [("r0", 4, 1, 0.5), ("r1", 9, 1, None), ("r0", 4, 2, 0.25), ("r1", 9, 2, 0.75)]
    assert step_table(GROUP, []).num_rows == 0


def test_finished_and_running_groups_are_read_together(tmp_path: Path) -> None:
    folder = study(tmp_path)
    assert [group.name for group in groups(folder)] == ["a", "b"]
    table = read_measurements(folder)
    assert sorted(set(table["run"].to_pylist())) == ["r0", "r1", "r2", "r3"]
    assert table.num_rows == len(ROWS) + 2
    assert read_measurements(folder, steps=True).num_rows == 8 + 4
    assert read_runs(folder) == [record(), record(run="r1", seed=9)]
    assert read_queries(folder).num_rows == read_map(folder).num_rows == 0


def test_the_schema_version_travels_with_every_table(tmp_path: Path) -> None:
    table = read_parquet(study(tmp_path) / "groups" / "a" / "measurements.parquet")
    assert table.schema.metadata[b"losscope_schema"] == str(SCHEMA_VERSION).encode()
    assert read_json(tmp_path / "groups" / "a" / "runs.json")[0]["schema"] == SCHEMA_VERSION


def test_records_of_a_later_version_are_read_without_what_is_new(tmp_path: Path) -> None:
    folder = study(tmp_path)
    path = folder / "groups" / "a" / "runs.json"
    write_json(path, [{**one, "mood": "fine"} for one in read_json(path)])
    assert read_runs(folder)[0] == record()


def test_failed_runs_are_read_too(tmp_path: Path) -> None:
    folder = study(tmp_path)
    failed = record(run="r2", status="failed", error="Traceback")
    write_json(folder / "groups" / "b" / "failed.json", record_rows([failed]))
    assert failed in read_runs(folder)


def test_without_a_study_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="make one with: losscope study"):
        read_measurements(tmp_path)
    write_json(tmp_path / "study.json", {})
    assert read_measurements(tmp_path).equals(MEASUREMENT.empty_table())


# selections -------------------------------------------------------------------------------------------------


def test_rows_are_selected_by_diagnostic_split_and_epoch() -> None:
    table = measurement_table(GROUP, ROWS)
    assert select(table, diagnostic="loss")["value"].to_pylist() == [1.0, 2.0]
    assert select(table, split="train")["item"].to_pylist() == [3]
    assert select(table, diagnostic="loss", epoch=0).num_rows == 2
    assert select(table, diagnostic="loss", epoch=1).num_rows == 0
    assert select(table).equals(table)


def test_last_is_each_run_s_own_last_epoch_of_a_diagnostic() -> None:
    rows = [(run, None, epoch, name, None, 10.0 * run + epoch)
            for epoch in (0, 1, 2) for run in (0, 1) for name in ("loss", "probe")
            if not (run == 1 and epoch == 2) and not (name == "probe" and epoch > 0)]  # fmt: skip
    last = select(measurement_table(GROUP, rows), epoch="last")
    assert last.schema.equals(MEASUREMENT, check_metadata=True)
    found = {(row["run"], row["diagnostic"]): row["epoch"] for row in last.to_pylist()}
    assert found == {("r0", "loss"): 2, ("r1", "loss"): 1, ("r0", "probe"): 0, ("r1", "probe"): 0}


def test_names_that_no_row_has_are_refused_with_the_nearest() -> None:
    table = measurement_table(GROUP, ROWS)
    with pytest.raises(UnknownName, match="did you mean 'recall_at_k'"):
        select(table, diagnostic="recall_at_j")
    with pytest.raises(UnknownName, match="did you mean 'heldout'"):
        select(table, split="held_out")
    with pytest.raises(InvalidInput, match="expected a number or 'last'"):
        select(table, epoch="first")  # type: ignore[arg-type]


# files ------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, [1])

    def interrupted() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert read_json(path) == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [("x.json", b'{"a": ', read_json), ("x.json", b"\xff", read_json), ("x.parquet", b"PAR1 no", read_parquet)],
)
def test_a_torn_file_is_named(tmp_path: Path, name: str, content: bytes, reader: Any) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedRecord, match=str(tmp_path / name)):
        reader(tmp_path / name)


def test_a_table_that_lost_its_end_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DamagedRecord, match="only these runs are trained anew"):
        read_parquet(path)


@given(st.lists(st.integers() | st.text(max_size=5)), st.binary(max_size=9).filter(lambda tail: b"\n" not in tail))
def test_lines_are_read_up_to_a_torn_one(documents: list[Any], tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        path.write_bytes("".join(json.dumps(one) + "\n" for one in documents).encode() + tail)
        assert read_lines(path) == documents


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "absent.jsonl") == []


@given(st.recursive(st.none() | st.floats() | st.integers() | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
                    max_leaves=8))  # fmt: skip
def test_what_json_has_no_number_for_becomes_null(document: Any) -> None:
    text = json.dumps(finite(document), allow_nan=False)

    def expected(part: Any) -> Any:
        if isinstance(part, float):
            return part if math.isfinite(part) else None
        if isinstance(part, dict):
            return {key: expected(value) for key, value in part.items()}
        return [expected(value) for value in part] if isinstance(part, list) else part

    assert json.loads(text) == expected(document)


def test_groups_of_the_first_schema_had_one_variant_for_all_runs(tmp_path: Path) -> None:
    old = {**GROUP, "variant": "squared=true", "hyperparameters": {"margin": 1.0}}
    del old["variants"]
    write_json(tmp_path / "group.json", old)
    group = read_group(tmp_path)
    assert group["variants"] == ["squared=true"] * 2
    assert group["hyperparameters"] == [{"margin": 1.0}] * 2
