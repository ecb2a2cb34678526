"""Files of every kind hold the same columns; what is wrong with one is said in a sentence that names it."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from losscope.diagnosis.reading import open_columns, stored
from losscope.errors import InvalidInput, MissingData

VALUES = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)


def write_npy(path: Path) -> Path:
    np.save(path / "x.npy", VALUES)
    return path / "x.npy"


def write_fortran(path: Path) -> Path:
    np.save(path / "f.npy", np.asfortranarray(VALUES))
    return path / "f.npy"


def write_npz(path: Path) -> Path:
    np.savez_compressed(path / "x.npz", array=VALUES)
    return path / "x.npz"


def write_safetensors(path: Path) -> Path:
    save_file({"array": VALUES}, path / "x.safetensors")
    return path / "x.safetensors"


def write_parquet(path: Path) -> Path:
    pq.write_table(pa.table({"array": list(VALUES)}), path / "x.parquet", row_group_size=3)
    return path / "x.parquet"


WRITERS = [write_npy, write_fortran, write_npz, write_safetensors, write_parquet]


@pytest.mark.parametrize("write", WRITERS)
def test_a_matrix_comes_back_as_it_was(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    columns = open_columns(write(tmp_path))
    assert columns.names == ("array",)
    found = columns.matrix("array")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize("write", [write_npy, write_fortran, write_safetensors, write_parquet])
def test_rows_are_read_when_they_are_asked_for(
    tmp_path: Path, write: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "WHOLE", 0)
    found = open_columns(write(tmp_path)).matrix("array")
    assert isinstance(found, np.memmap if write is write_fortran else stored.Stored)
    assert (found.shape, found.ndim, found.size, len(found)) == (VALUES.shape, 2, VALUES.size, len(VALUES))
    np.testing.assert_array_equal(found, VALUES)
    np.testing.assert_array_equal(found[2:5], VALUES[2:5])
    np.testing.assert_array_equal(found[5:2], VALUES[5:2])
    np.testing.assert_array_equal(found[::2], VALUES[::2])
    np.testing.assert_array_equal(found[np.array([6, 0, 1, 6, 2])], VALUES[[6, 0, 1, 6, 2]])
    np.testing.assert_array_equal(found[np.array([], np.int64)], VALUES[[]])
    np.testing.assert_array_equal(found[3], VALUES[3])
    np.testing.assert_array_equal(found.astype(np.float64)[1:3], VALUES[1:3].astype(np.float64))


def test_a_part_is_the_rows_in_between(tmp_path: Path) -> None:
    part = open_columns(write_npy(tmp_path)).matrix("array").part(2, 6)
    np.testing.assert_array_equal(part, VALUES[2:6])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).part(1, 3), VALUES[3:5])
    with pytest.raises(IndexError, match="rows 0 to 4 of 4"):
        part[np.array([0, 4])]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_types_are_kept(tmp_path: Path, kind: type) -> None:
    np.save(tmp_path / "x.npy", VALUES.astype(kind))
    save_file({"array": VALUES.astype(kind)}, tmp_path / "x.safetensors")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(VALUES.astype(kind).ravel()), 3)
    pq.write_table(pa.table({"array": lists}), tmp_path / "x.parquet")
    for name in ("x.npy", "x.safetensors", "x.parquet"):
        found = open_columns(tmp_path / name).matrix("array")
        assert found.dtype == kind
        np.testing.assert_array_equal(found, VALUES.astype(kind))


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    content = (VALUES.view("<u4") >> 16).astype("<u2").tobytes()
    header = json.dumps({"x": {"dtype": "BF16", "shape": [7, 3], "data_offsets": [0, len(content)]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + content)
    found = open_columns(tmp_path / "x.safetensors").matrix("x")
    np.testing.assert_array_equal(found, (VALUES.view("<u4") >> 16 << 16).view("<f4"))


def test_numbers_with_leading_zeros_are_names(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("code,count,zero,negative\n007,7,0,-01\n7,10,0,1\n,100,-0,2\n")
    columns = open_columns(tmp_path / "x.csv")
    assert columns.take("code").to_pylist() == ["007", "7", ""]
    assert columns.take("negative").to_pylist() == ["-01", "1", "2"]
    assert (columns.take("count").to_pylist(), columns.take("zero").to_pylist()) == ([7, 10, 100], [0, 0, 0])
    (tmp_path / "y.tsv").write_text("01\t1.5\n2\t2.5\n")
    assert open_columns(tmp_path / "y.tsv").take("column_0").to_pylist() == ["01", "2"]


def test_csv_with_and_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b,label\n1,2.5,cat\n3,4,dog\n")
    columns = open_columns(tmp_path / "x.csv")
    assert columns.names == ("a", "b", "label")
    assert columns.take("label").to_pylist() == ["cat", "dog"]
    (tmp_path / "y.csv").write_text("1,2.5\n3,4\n")
    assert open_columns(tmp_path / "y.csv").names == ("column_0", "column_1")
    (tmp_path / "y.txt").write_text("3\n-1\n1099511627776\n")
    assert open_columns(tmp_path / "y.txt").take("array").to_pylist() == [3, -1, 2**40]
    (tmp_path / "z.txt").write_text("cat\n\ndog")
    assert open_columns(tmp_path / "z.txt").take("array").to_pylist() == ["cat", "", "dog"]


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (exec, ("raise SystemExit('unpickled')",))


def test_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    array = np.empty(2, object)
    array[:] = [Bomb(), Bomb()]
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    content.write(pickle.dumps(array))
    (tmp_path / "x.npy").write_bytes(content.getvalue())
    with pytest.raises(InvalidInput, match=r"x\.npy holds pickled Python objects"):
        open_columns(tmp_path / "x.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", content.getvalue())
    with pytest.raises(InvalidInput, match="pickled"):
        open_columns(tmp_path / "x.npz").take("a")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_truncated_files_are_named(tmp_path: Path, write: Callable[[Path], Path], share: float) -> None:
    path = write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InvalidInput, match=path.name):
        open_columns(path).matrix("array")


def test_a_header_that_promises_more_than_there_is_costs_nothing(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**20)})
    (tmp_path / "x.npy").write_bytes(content.getvalue() + b"12345678")
    with pytest.raises(InvalidInput, match=r"holds 8 bytes of an array .* that needs 9,223,372,036,854,775,808"):
        open_columns(tmp_path / "x.npy").take("array")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", content.getvalue())
    with pytest.raises(InvalidInput, match=r"x\.npz"):
        open_columns(tmp_path / "x.npz").take("a")


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_npy(tmp_path)
    rows = open_columns(path).matrix("array")
    labels = tmp_path / "labels.npy"
    np.save(labels, np.arange(100))
    columns = open_columns(labels)
    real = stored.os.stat(labels)
    monkeypatch.setattr(stored.os, "stat", lambda _: real)
    for one in (path, labels):
        one.write_bytes(one.read_bytes()[:-20])
    np.testing.assert_array_equal(rows[:5], VALUES[:5])
    for read in (lambda: rows[3:], lambda: rows[np.array([0, 6])], lambda: columns.take("array")):
        with pytest.raises(InvalidInput, match="became shorter while it was read"):
            read()
    path.unlink()
    with pytest.raises(InvalidInput, match="can't be read any more"):
        rows[0]


def test_a_parquet_reader_has_a_limit_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content beyond the limit is refused by the reading process, which dies of it alone."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(200_000_000, np.float64)), 2_000_000)
    pq.write_table(pa.table({"x": lists}), tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 1_000_000
    with pytest.raises(InvalidInput, match=r"x\.parquet can't be read"):
        open_columns(tmp_path / "x.parquet").matrix("x")


def test_lists_of_different_lengths_are_named_by_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [[1.0, 2.0], [3.0, 4.0], [5.0]]}), tmp_path / "x.parquet")
    with pytest.raises(InvalidInput, match="2 numbers in row 0 and 1 in row 2"):
        open_columns(tmp_path / "x.parquet").matrix("x")
    pq.write_table(pa.table({"x": [[1.0, 2.0], None]}), tmp_path / "x.parquet")
    with pytest.raises(InvalidInput, match="no value in row 1"):
        open_columns(tmp_path / "x.parquet").matrix("x")


def test_what_is_no_file_or_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="was not found"):
        open_columns(tmp_path / "none.npy")
    with pytest.raises(MissingData, match="is a folder"):
        open_columns(tmp_path)
    (tmp_path / "x.pkl").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"ends in '\.pkl'; expected one of \.npy"):
        open_columns(tmp_path / "x.pkl")
