"""Where files are looked for, in which order, and what is said if they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from losscope.data.folders import cache_folder, data_folder, locate
from losscope.errors import InvalidInput, MissingData


def test_the_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_folder() is None
    monkeypatch.setenv("LOSSCOPE_DATA", "/from/environment")
    assert data_folder() == Path("/from/environment")
    assert data_folder(Path("/from/argument")) == Path("/from/argument")


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSCOPE_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("LOSSCOPE_CACHE")
    assert cache_folder() == Path("/xdg/losscope")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "losscope"


def test_the_first_pattern_that_matches_is_taken(tmp_path: Path) -> None:
    for name in ("b-00000-of-00002.parquet", "b-00001-of-00002.parquet", "c.parquet"):
        (tmp_path / name).touch()
    found = locate("d", ["a.parquet", "b-*.parquet", "c.parquet"], tmp_path, "")
    assert [path.name for path in found] == ["b-00000-of-00002.parquet", "b-00001-of-00002.parquet"]


def test_an_absolute_pattern_needs_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "x.idx").touch()
    assert locate("d", ["a", f"{tmp_path}/x.*"], None, "") == [tmp_path / "x.idx"]


def test_missing_data_says_what_where_and_how(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=rf"the birds was not found.*{tmp_path} for a, b/c\*\. Buy them"):
        locate("the birds", ["a", "b/c*"], tmp_path, "Buy them.")
    with pytest.raises(MissingData, match=r"none is set: --data or \$LOSSCOPE_DATA"):
        locate("the birds", ["a"], None, "")


def test_an_absent_shard_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-00000-of-00003.parquet").touch()
    with pytest.raises(InvalidInput, match="holds 1 of 3 shards: train-00000-of-00003"):
        locate("d", ["train-*"], tmp_path, "")
