"""What a person is told when the disk is full, and what a write that failed leaves behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from dying import STUDY, study_file

import losscope
from losscope.cli import main
from losscope.files import append, atomic, disk, line_of, read_json, read_lines, write_bytes, write_json
from losscope.study import parse
from losscope.table import damage_in, read_runs


def full(descriptor: int, data: memoryview) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half(descriptor: int, data: memoryview) -> int:
    if len(data) < 2:
        return full(descriptor, data)
    return os.write(descriptor, data[: len(data) // 2])


@pytest.mark.parametrize("write", [full, half])
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
    document, lines = tmp_path / "x.json", tmp_path / "x.jsonl"
    write_json(document, {"schema": 3, "a": 1})
    append(lines, line_of({"epoch": 1}))
    before = lines.read_bytes()
    monkeypatch.setattr(disk, "write", write)
    with pytest.raises(OSError, match=f"No space left on device.*{document}"):
        write_json(document, {"schema": 3, "a": 2})
    with pytest.raises(OSError, match=f"No space left on device.*{lines}"):
        append(lines, line_of({"epoch": 2}))
    assert read_json(document) == {"schema": 3, "a": 1}
    assert lines.read_bytes() == before
    assert read_lines(lines, sealed=True) == [{"epoch": 1}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.json", "x.jsonl"]


def test_a_write_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may write less than it was given."""
    monkeypatch.setattr(disk, "write", lambda descriptor, data: os.write(descriptor, data[:7]))
    write_bytes(tmp_path / "x", b"0123456789" * 5, memoryview(b"end"))
    append(tmp_path / "x", b" and more than seven")
    assert (tmp_path / "x").read_bytes() == b"0123456789" * 5 + b"end and more than seven"


def test_everything_is_synced_before_it_takes_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def sync(descriptor: int) -> None:
        calls.append(f"sync {'folder' if os.path.isdir(f'/proc/self/fd/{descriptor}') else 'file'}")

    monkeypatch.setattr(disk, "sync", sync)
    monkeypatch.setattr(disk, "write", lambda descriptor, data: calls.append("write") or os.write(descriptor, data))
    monkeypatch.setattr(disk, "rename", lambda path, target: calls.append("rename") or os.replace(path, target))
    write_bytes(tmp_path / "a", b"1")
    assert calls == ["write", "sync file", "rename", "sync folder"]
    calls.clear()
    append(tmp_path / "b", b"1")
    append(tmp_path / "b", b"2")
    assert calls == ["write", "sync file", "sync folder", "write", "sync file"]
    calls.clear()
    with atomic(tmp_path / "c") as temporary:
        temporary.write_bytes(b"others write")
    assert calls == ["sync file", "rename", "sync folder"]


@pytest.mark.parametrize(
    ("allowed", "code", "said"),
    [
        (0, 2, "can't write to"),  # before anything
        (3, 1, "No space left on device"),  # while a group trains
    ],
)
def test_a_person_is_told_in_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    allowed: int,
    code: int,
    said: str,
) -> None:
    """Exit code 2 where nothing began, 1 where runs failed; no traceback; the next call goes on."""
    out, written = tmp_path / "out", []

    def write(descriptor: int, data: memoryview) -> int:
        written.append(len(data))
        return os.write(descriptor, data) if len(written) <= allowed else full(descriptor, data)

    monkeypatch.setattr(disk, "write", write)
    monkeypatch.setattr("sys.argv", ["losscope", "study", str(study_file(tmp_path)), "--out", str(out), "--jobs", "1"])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr().err
    assert end.value.code == code, told
    assert said in told.replace("\n", " ")
    assert "Traceback" not in told
    assert not out.exists() or damage_in(out) == []
    monkeypatch.undo()
    result = losscope.run(parse(STUDY), out, jobs=1)
    assert result.failed == ()
    assert {record.status for record in read_runs(out)} == {"done"}
