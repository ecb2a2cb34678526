"""Files of records: checksums that others can recompute, what older schemas had, and what is left of writers that died."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from losscope.errors import DamagedRecord
from losscope.files import (
    NO_DIGEST,
    append,
    check_seal,
    check_tensors,
    line_of,
    make_folder,
    open_parquet,
    read_json,
    read_lines,
    read_parquet,
    remove_unfinished,
    seal_of,
    truncate,
    write_bytes,
    write_json,
    write_table,
    write_tensors,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
KEYS = st.text(st.characters(codec="utf-8"), max_size=4).filter(lambda key: key not in ("schema", "sha256", "crc32"))


# documents ------------------------------------------------------------------------------------------------------


@settings(deadline=None)  # files on a busy disk
@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_a_document_is_read_as_it_was_written_and_its_digest_is_that_of_its_bytes(content: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        write_json(path, {"schema": 3, **content})
        assert read_json(path) == {"schema": 3, **content}
        plain = json.loads(path.read_text("utf-8"))
        zeros = path.read_bytes().replace(plain["sha256"].encode(), b"0" * 64)
        assert plain["sha256"] == hashlib.sha256(zeros).hexdigest()


def test_a_document_that_was_read_can_be_written_again(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"schema": 3, "a": 1})
    before = (tmp_path / "x.json").read_bytes()
    write_json(tmp_path / "x.json", json.loads(before))
    assert (tmp_path / "x.json").read_bytes() == before


@pytest.mark.parametrize(
    "document", [{"a": 1}, {"schema": 2, "sha256": "mine"}, [1, 2], {"schema": "3"}, {"sha256": 5}]
)
def test_what_is_of_no_or_an_older_schema_has_no_checksum(tmp_path: Path, document: Any) -> None:
    write_json(tmp_path / "x.json", document)
    assert json.loads((tmp_path / "x.json").read_text()) == document
    assert read_json(tmp_path / "x.json") == document


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"a": 1', '"a": 3'),
        ('"schema": 3', '"schema": 2'),  # no way out of the check
        ("sha256", "sha257"),
        ('"a": 1', '"a":  1'),  # not even space
        (', "b": 2', ""),
    ],
)
def test_a_document_that_was_changed_is_named(tmp_path: Path, old: str, new: str) -> None:
    write_json(tmp_path / "x.json", {"schema": 3, "a": 1, "b": 2})
    text = (tmp_path / "x.json").read_text().replace(',\n "b"', ', "b"')
    (tmp_path / "x.json").write_text(text.replace(old, new, 1))
    with pytest.raises(DamagedRecord, match=f"{tmp_path / 'x.json'} is damaged.*losscope repair"):
        read_json(tmp_path / "x.json")


# lines ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.dictionaries(KEYS, JSON, min_size=1, max_size=3), max_size=4), st.binary(max_size=30))
def test_lines_are_read_as_they_were_written_up_to_a_torn_one(documents: list[dict[str, Any]], tail: bytes) -> None:
    tail = tail.replace(b"\n", b"")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        append(path, b"".join(map(line_of, documents)))
        whole = path.stat().st_size
        append(path, tail)
        assert read_lines(path, sealed=True) == documents
        assert read_lines(path, sealed=True, size=whole) == documents


def test_the_checksum_of_a_line_is_that_of_what_follows_it() -> None:
    line = line_of({"epoch": 2, "loss": [0.5, None]})
    assert json.loads(line) == {"crc32": f"{zlib.crc32(line[22:-1]):08x}", "epoch": 2, "loss": [0.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        line_of({"loss": float("nan")})


def test_lines_without_a_checksum_are_those_of_older_records(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"epoch": 1}\n')
    append(path, line_of({"epoch": 2}))  # an older record goes on
    assert read_lines(path) == [{"epoch": 1}, {"epoch": 2}]
    with pytest.raises(DamagedRecord, match="line 1 is damaged"):
        read_lines(path, sealed=True)


def test_a_line_whose_newline_changed_is_no_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(line_of({"epoch": 1}) + line_of({"epoch": 2}))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"\x0b")
    with pytest.raises(DamagedRecord, match="line 2 does not end where it was written to end"):
        read_lines(path, sealed=True)
    path.write_bytes(data[:-1])  # torn just there, it is dropped like any other
    assert read_lines(path, sealed=True) == [{"epoch": 1}]


def test_lines_that_are_needed_and_not_there_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    append(path, line_of({"epoch": 1}))
    size = path.stat().st_size
    assert read_lines(path, size=size) == [{"epoch": 1}]
    for wanted in (size + 1, size - 1):
        with pytest.raises(DamagedRecord, match=re.escape(str(path))):
            read_lines(path, size=wanted)
    with pytest.raises(DamagedRecord, match="has 0 bytes where 5 were written"):
        read_lines(tmp_path / "absent.jsonl", size=5)


# tables and tensors ---------------------------------------------------------------------------------------------


def test_a_table_has_the_seal_of_its_file(tmp_path: Path) -> None:
    path, table = tmp_path / "x.parquet", pa.table({"a": [1, 2, 3]})
    seal = write_table(path, table)
    assert (
        seal == {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} == seal_of(path)
    )
    assert read_parquet(path, seal).equals(table)
    assert open_parquet(path, seal).metadata.num_rows == 3
    check_seal(path, seal)
    path.write_bytes(path.read_bytes() + b"x")
    for reader in (read_parquet, open_parquet, check_seal):
        with pytest.raises(DamagedRecord, match=f"{path} has .* bytes where .* were written"):
            reader(path, seal)
    path.unlink()
    for reader in (read_parquet, open_parquet, check_seal):
        with pytest.raises(DamagedRecord, match=f"{path} is missing"):
            reader(path, seal)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_carry_a_checksum_that_other_readers_ignore(tmp_path: Path, dtype: torch.dtype) -> None:
    path, tensors = tmp_path / "x.safetensors", {"a": torch.arange(6).reshape(2, 3).to(dtype), "sha256": torch.zeros(0)}
    write_tensors(path, save(tensors, {"state": '{"sha256":"' + "0" * 64 + '"}', "sha256": NO_DIGEST}))
    metadata, data = check_tensors(path, sealed=True)
    assert data == path.read_bytes()
    assert len(metadata["sha256"]) == 64
    assert metadata["sha256"] != NO_DIGEST
    assert (
        metadata["sha256"] == hashlib.sha256(data.replace(metadata["sha256"].encode(), NO_DIGEST.encode())).hexdigest()
    )
    assert all(torch.equal(part, tensors[name]) for name, part in load_file(path).items())


def test_tensors_without_a_checksum_are_those_of_older_records(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": torch.ones(2)}, {"state": "{}"}))
    assert check_tensors(path, sealed=False)[0] == {"state": "{}"}
    with pytest.raises(DamagedRecord, match="is damaged"):
        check_tensors(path, sealed=True)
    for content in (b"", b"no checkpoint", b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 20):
        path.write_bytes(content)
        with pytest.raises(DamagedRecord, match="can't be read"):
            check_tensors(path, sealed=False)


# places ---------------------------------------------------------------------------------------------------------


def test_what_writers_that_died_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".x.json.123.partial", ".lock", "x.json", "y.partial"):
        write_bytes(tmp_path / name, b"1")
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "x.json", "y.partial"]


def test_folders_are_made_with_those_above_and_files_are_cut(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    write_bytes(tmp_path / "a" / "b" / "x", b"0123456789")
    truncate(tmp_path / "a" / "b" / "x", 4)
    assert (tmp_path / "a" / "b" / "x").read_bytes() == b"0123"
