"""What goes wrong at the border is told before the work, and what is taken for a dimension, a label or a number."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import losscope
from losscope.diagnosis import door, retrieving
from losscope.diagnosis.gate import holds
from losscope.diagnosis.numbers import numbers
from losscope.errors import InvalidInput, LosscopeError, MissingDependency
from losscope.report.space import content, tables

RANDOM = np.random.default_rng(0)
LABELS = np.repeat(np.arange(10), 6)
GOOD = RANDOM.standard_normal((60, 8)).astype(np.float32)


def write_table(path: Path, extra: dict[str, Any], values: np.ndarray = GOOD) -> Path:
    columns = {**{f"f{place}": values[:, place] for place in range(values.shape[1])}, **extra}
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: np.asarray(column) for name, column in columns.items()}), path)
        return path
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True))
    return path


@pytest.mark.parametrize("file", ["x.csv", "x.parquet"])
def test_labels_and_row_numbers_are_no_dimensions(tmp_path: Path, file: str) -> None:
    extra = {
        "id": np.arange(60),
        "__index_level_0__": np.arange(60),
        "taken": RANDOM.integers(0, 3, 60),
        "kind": LABELS,
    }
    found = losscope.diagnose(write_table(tmp_path / file, extra), "kind")
    assert found.dim == 8
    assert found.map_at_r == pytest.approx(losscope.diagnose(GOOD, LABELS).map_at_r)
    assert any("8 numeric columns are the dimensions, f0 to f7" in note for note in found.notes)
    assert any("taken" in note or "id to kind" in note for note in found.notes)


def test_labels_of_fractions_and_of_a_second_space_are_no_dimensions_either(tmp_path: Path) -> None:
    path = write_table(tmp_path / "x.parquet", {"kind": LABELS.astype(float)})
    expected = losscope.diagnose(GOOD, LABELS).map_at_r
    assert losscope.diagnose(path, f"{path}::kind").map_at_r == pytest.approx(expected)
    found = losscope.diagnose(path, "kind", against=path)
    assert found.comparison is not None
    assert found.comparison["differences"]["map_at_r"]["mean"] == 0


def test_a_table_of_whole_numbers_alone_is_a_matrix(tmp_path: Path) -> None:
    values = (GOOD * 100).astype(np.int64)
    found = losscope.diagnose(write_table(tmp_path / "x.csv", {"id": np.arange(60), "kind": LABELS}, values), "kind")
    assert found.dim == 8
    assert found.map_at_r == pytest.approx(losscope.diagnose(values.astype("f"), LABELS).map_at_r)


def test_parts_without_a_relevant_item_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RANDOM.standard_normal((900, 8)).astype(np.float32)
    labels = np.concatenate([np.arange(400) // 8, np.full(300, -1), np.arange(1000, 1200)])
    sets = [[] if one < 0 else [int(one), int(one)] for one in labels]
    whole = losscope.diagnose(values, labels, exact=True)
    monkeypatch.setattr(retrieving, "PART", 1)  # parts of 256 queries
    for given in (labels, sets):
        found = losscope.diagnose(values, given, exact=True)
        assert found.map_at_r == pytest.approx(whole.map_at_r, abs=1e-12)
        assert found.queries["excluded"] == 500
    with pytest.raises(InvalidInput, match="none of 900 queries has a relevant item"):
        losscope.diagnose(values, np.arange(900), exact=True)
    gallery = losscope.diagnose(values, labels, gallery=values[:40], gallery_labels=labels[:40], exact=True)
    assert gallery.queries["asked"] == 40


@pytest.mark.parametrize("labels", [np.arange(12) // 3, [[int(one)] for one in np.arange(12) // 3]])
def test_a_space_of_zeros_has_no_rank_and_passes_no_gate(tmp_path: Path, labels: Any) -> None:
    zeros = np.zeros((12, 4), np.float32)
    found = losscope.diagnose(zeros, labels, out=tmp_path, against=zeros)
    assert found.effective_rank is None
    assert '"effective_rank": null' in found.to_json()
    assert (tmp_path / "report.html").is_file()
    with pytest.raises(InvalidInput, match=r"'this.effective_rank' does not exist"):
        holds("this.effective_rank < 3", numbers(found.document()))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_no_number(value: float) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        holds("mrr < 3", {"mrr": value})


def test_a_number_too_large_is_told() -> None:
    with pytest.raises(InvalidInput, match="too large"):
        holds("mrr < " + "1" * 400, {"mrr": 1.0})


def test_without_k_1_the_page_says_the_same_of_first_neighbors(tmp_path: Path) -> None:
    values = RANDOM.standard_normal((10, 8))[LABELS] + 0.7 * RANDOM.standard_normal((60, 8))
    usual = losscope.diagnose(values, LABELS)
    found = losscope.diagnose(values, LABELS, ks=(5,), out=tmp_path)
    assert list(found.recall_at_k) == [5]
    assert found.intervals["recall_at_1"] == usual.intervals["recall_at_1"]
    assert not any(one["neighbors"][0]["relevant"] for one in found.failures)
    assert [one["row"] for one in found.failures] == [one["row"] for one in usual.failures]
    missed = int((usual.rows["recall_at_1"].to_numpy() < 1).sum())
    assert f"{missed} of 60 queries fail" in (tmp_path / "report.html").read_text()


def test_relevant_is_told_by_class_not_by_its_name() -> None:
    values = 3 * RANDOM.standard_normal((10, 8))[LABELS] + 2 * RANDOM.standard_normal((60, 8))
    found = losscope.diagnose(values, LABELS, class_names=["x"] * 10)
    shown = [(one["row"], near["row"], near["relevant"]) for one in found.failures for near in one["neighbors"]]
    assert len({LABELS[row] for row, *_ in shown}) > 2
    assert all(relevant == (LABELS[row] == LABELS[other]) for row, other, relevant in shown)


@pytest.mark.parametrize("device", ["foo", "meta", "cuda:99"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(InvalidInput, match="device"):
        losscope.diagnose(GOOD, LABELS, device=device)


def test_arrays_of_any_layout() -> None:
    expected = losscope.diagnose(GOOD, LABELS).map_at_r
    fixed = GOOD.copy()
    fixed.flags.writeable = False
    records = np.zeros(60, [("flag", "i1"), ("z", "f4", 8)])
    records["z"] = GOOD
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given in (GOOD[::-1][::-1], GOOD[:, ::-1], np.asfortranarray(GOOD), GOOD.astype(np.longdouble), fixed,
                      GOOD.astype(">f4"), records["z"]):  # fmt: skip
            assert losscope.diagnose(given, LABELS).map_at_r == pytest.approx(expected, abs=1e-9)
        backwards = losscope.diagnose(GOOD[::-1], LABELS[::-1])
    assert backwards.map_at_r == pytest.approx(expected, abs=1e-9)


def test_every_pass_over_pairs_says_how_far_it_is() -> None:
    said: dict[str, tuple[int, int]] = {}
    losscope.diagnose(GOOD, LABELS, progress=lambda what, done, total: said.update({what: (done, total)}))
    assert said.keys() >= {"queries", "pairs", "neighbors", "threshold"}
    assert all(done == total for done, total in said.values())


def test_names_that_can_be_no_path(tmp_path: Path) -> None:
    for name in ("x" * 300 + ".jpg", "a\0b.jpg"):
        assert losscope.diagnose(GOOD, LABELS, names=[name] * 60).n == 60


def test_more_dimensions_than_matrices_can_hold() -> None:
    with pytest.raises(InvalidInput, match="30,000 dimensions; expected at most 8,192"):
        losscope.diagnose(np.zeros((20, 30_000), np.float32), np.arange(20) // 5)


def test_what_would_fail_after_the_work_fails_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("work began")

    monkeypatch.setattr(door, "retrieve", never)
    monkeypatch.setattr(door, "find_spec", lambda _: None)
    (tmp_path / "file").write_text("")
    cases: list[tuple[dict[str, Any], type[LosscopeError]]] = [
        ({"umap": True}, MissingDependency), ({"out": tmp_path / "file" / "x"}, InvalidInput), ({"ks": ()}, InvalidInput),
        ({"ks": (0,)}, InvalidInput),
    ]  # fmt: skip
    for options, error in cases:
        with pytest.raises(error):
            losscope.diagnose(GOOD, LABELS, **options)


@pytest.mark.parametrize("labels", [LABELS, [[int(one)] for one in LABELS]])
def test_the_other_space_gets_the_numbers_that_it_gets_alone(labels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = RANDOM.standard_normal((60, 5))
    alone = losscope.diagnose(other, labels)
    calls = []
    real = door.described
    monkeypatch.setattr(door, "described", lambda *a, **o: (calls.append(1), real(*a, **o))[1])
    found = losscope.diagnose(GOOD, labels, against=other).comparison
    assert len(calls) == 1
    assert found is not None
    for name in ("intra_class_variance_mean", "inter_class_distance_mean", "effective_rank"):
        assert found["other"][name] == pytest.approx(getattr(alone, name), rel=1e-12)


def test_the_glossary_has_every_measure_of_the_geometry() -> None:
    terms = content._glossary()
    under = {
        "intra_class_variance_mean": "variance", "intra_class_variance_unbiased_mean": "variance",
        "within_class_effective_rank": "effective_rank", "nc2_equinorm": "nc2", "nc2_equiangular": "nc2", "auc": "overlap",
        "coefficient": "overlap", "pi_ratio": "density_ratio", "mean": "silhouette", "skewness": "hubness",
        "antihub_share": "hubness", "bad_share": "hubness",
    }  # fmt: skip
    assert {under.get(name, name) for _, name in tables.GEOMETRY} | {"suspects", "duplicates"} <= terms.keys()


def classes(tmp_path: Path, name: str, lines: list[str]) -> list[str]:
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    found: list[str] = losscope.diagnose(GOOD, tmp_path / name).per_class["label"].to_pylist()
    return found


def test_labels_in_files(tmp_path: Path) -> None:
    assert classes(tmp_path, "a.txt", [["1_0", "10", "007", "7"][row % 4] for row in range(60)]) == [
        "007",
        "10",
        "1_0",
        "7",
    ]
    assert classes(tmp_path, "b.txt", [["cat", "dog", "-1"][row % 3] for row in range(60)]) == ["cat", "dog"]
    assert classes(tmp_path, "c.txt", [["5", "-1", "30"][row % 3] for row in range(60)]) == ["5", "30"]
    lines = ["label", *(["NA", "US", "nan"][row % 3] for row in range(59)), '""']
    assert classes(tmp_path, "d.csv", lines) == ["NA", "US", "nan"]


def test_a_label_that_a_set_repeats_counts_once() -> None:
    found = losscope.diagnose(GOOD, [[int(one), int(one)] for one in LABELS])
    assert found.per_class["n"].to_pylist() == [6] * 10
    assert found.map_at_r == pytest.approx(losscope.diagnose(GOOD, LABELS).map_at_r)
