"""Many files are one space: equal to one file, wherever the tasks run; what does not fit together is named."""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

import losscope
from losscope.diagnosis import door, engine, shards
from losscope.diagnosis.packing import packed
from losscope.diagnosis.shards import Shards, open_shards, pieces
from losscope.errors import InvalidInput, MissingData, UnknownName
from losscope.tasks import in_turn

ROWS, CUTS = 300, [0, 1, 90, 91, 220, 300]


def space(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(-1, 8, ROWS)
    z = draw.standard_normal((9, 6))[labels] + 0.7 * draw.standard_normal((ROWS, 6))
    z[40:60] = z[40]
    return z.astype(np.float32), labels


def write(folder: Path, kind: str, z: np.ndarray, labels: np.ndarray) -> str:
    """Shards of a kind with labels beside the embeddings; the pattern of their names."""
    folder.mkdir(exist_ok=True)
    cuts = [0, 90, ROWS] if kind == "parquet" else CUTS  # a process reads each parquet file
    for number, (start, stop) in enumerate(itertools.pairwise(cuts)):
        path, part, own = folder / f"part-{number}.{kind}", z[start:stop], labels[start:stop]
        if kind == "npz":
            np.savez_compressed(path, embeddings=part, labels=own)
        elif kind == "safetensors":
            save_file({"embeddings": part, "labels": own}, path)
        elif kind == "parquet":
            pq.write_table(pa.table({"embeddings": list(part), "labels": own}), path)
        elif kind == "csv":
            lines = ["a,b,c,d,e,f,label", *(",".join([*map(repr, row.tolist()), f"class {one}"]) for row, one in zip(part, own, strict=True))]  # fmt: skip
            path.write_text("\n".join(lines) + "\n")
        else:
            np.save(path, part)
            np.save(folder / f"labels-{number}.npy", own)
    return str(folder / f"part-*.{kind}")


def numbers(found: Any) -> dict[str, Any]:
    """All that is said of a space, but for where it came from and how sums were rounded."""
    document = json.loads(found.to_json())
    for name in ("source", "notes"):
        document.pop(name)
    return document


def assert_close(found: Any, expected: Any, place: str = "") -> None:
    assert type(found) is type(expected), place
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for name in expected:
            assert_close(found[name], expected[name], f"{place}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_close(one, other, f"{place}[{number}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), place
    else:
        assert found == expected, place


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "parquet"])
def test_many_files_are_one_space(tmp_path: Path, kind: str) -> None:
    z, labels = space()
    pattern = write(tmp_path / kind, kind, z, labels)
    theirs = str(tmp_path / kind / "labels-*.npy") if kind == "npy" else None
    found = losscope.diagnose(pattern, theirs)
    expected = losscope.diagnose(z, labels)
    assert_close(numbers(found), numbers(expected))
    assert found.source["embeddings"] in {f"{n} files, part-0.{kind} to part-{n - 1}.{kind}" for n in (2, 5)}
    for name in ("row", "label", "recall_at_1", "map_at_r", "knn_accuracy_5"):
        assert found.frame()[name].to_pylist() == expected.frame()[name].to_pylist()


def test_a_column_of_csv_files(tmp_path: Path) -> None:
    z, labels = space()
    found = losscope.diagnose(write(tmp_path / "csv", "csv", z, labels), "label")
    expected = losscope.diagnose(z, [f"class {one}" for one in labels])
    assert found.map_at_r == pytest.approx(expected.map_at_r, rel=1e-12)
    assert found.classes == expected.classes
    assert "6 numeric columns are the dimensions" in found.notes[0]


def test_of_csv_files_only_columns_of_labels_are_kept(tmp_path: Path) -> None:
    z = np.random.default_rng(0).standard_normal((2000, 30)).astype(np.float32)
    header = ",".join([*(f"d{place}" for place in range(30)), "label", "kind"])
    for number in range(3):
        path = tmp_path / f"{number}.csv"
        np.savetxt(path, np.c_[z, np.arange(2000) % 5, np.arange(2000) % 3], delimiter=",", header=header, comments="")
    before = pa.total_allocated_bytes()
    found, columns, *_ = open_shards(sorted(tmp_path.glob("*.csv")), None, ["kind"], "embeddings")
    assert found.shape == (6000, 30)
    assert columns[2].take("label").to_pylist() == [one % 5 for one in range(2000)]
    assert columns[2].take("kind").to_pylist() == [one % 3 for one in range(2000)]
    assert pa.total_allocated_bytes() - before < 3 * 2000 * 8 * 4  # 2 of 32 columns


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_rows_are_those_of_the_joined_array(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "WHOLE", 0)  # one decoded shard at a time
    z, labels = space()
    write(tmp_path / kind, kind, z, labels)
    paths = sorted((tmp_path / kind).glob(f"part-*.{kind}"))
    found, _, _, zero_rows = open_shards(paths, None, [], "embeddings")
    assert (found.shape, found.ndim, found.size, zero_rows) == ((ROWS, 6), 2, ROWS * 6, 0)
    rows = np.random.default_rng(1).integers(0, ROWS, 500)
    for one in (found, pickle.loads(pickle.dumps(found))):
        np.testing.assert_array_equal(one, z)
        np.testing.assert_array_equal(one[85:225], z[85:225])
        np.testing.assert_array_equal(one[3:200:7], z[3:200:7])
        np.testing.assert_array_equal(one[300:], z[300:])
        np.testing.assert_array_equal(one[rows], z[rows])
        part = one.part(50, 250)
        np.testing.assert_array_equal(part, z[50:250])
        np.testing.assert_array_equal(part.part(30, 60)[np.array([29, 0, 15])], z[80:110][[29, 0, 15]])
    assert sum(stop - start for start, stop in pieces(found)) == ROWS
    monkeypatch.setattr(shards, "PIECE", 100)
    assert pieces(found) == [(0, 91), (91, 220), (220, 300)]
    assert pieces(z) == [(0, 100), (100, 200), (200, 300)]


def test_where_tasks_run_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PIECE", 64)
    z, labels = space()
    pattern = write(tmp_path / "s", "safetensors", z, labels)
    options: dict[str, Any] = {"sample": 120}
    here = losscope.diagnose(pattern, **options)
    there = losscope.diagnose(pattern, on="local", jobs=2, **options)
    assert there.to_json() == here.to_json()
    assert there.frame().equals(here.frame())
    expected = losscope.diagnose(z, labels, **options)
    assert_close(numbers(here), numbers(expected))


@pytest.mark.parametrize("similarity", ["euclidean", "inner_product"])
def test_a_gallery_of_many_files(tmp_path: Path, similarity: Any) -> None:
    (z, labels), (shown, own) = space(), space(3)
    own[7] = 99
    pattern = write(tmp_path / "g", "npz", shown, own)
    found = losscope.diagnose(z, labels, gallery=pattern, similarity=similarity)
    expected = losscope.diagnose(z, labels, gallery=shown, gallery_labels=own, similarity=similarity)
    assert_close(numbers(found)["intervals"], numbers(expected)["intervals"])
    assert found.reverse is not None
    assert expected.reverse is not None
    assert_close(found.reverse["intervals"], expected.reverse["intervals"])


def test_sets_of_labels_in_many_files(tmp_path: Path) -> None:
    z, labels = space()
    sets = [[] if one < 0 else [int(one), 10 + int(one) % 2] for one in labels]
    for number, (start, stop) in enumerate(itertools.pairwise([0, 90, ROWS])):
        pq.write_table(pa.table({"x": list(z[start:stop]), "labels": sets[start:stop]}), tmp_path / f"{number}.parquet")
    found = losscope.diagnose(f"{tmp_path}/*.parquet::x")
    assert found.map_at_r == pytest.approx(losscope.diagnose(z, sets).map_at_r, rel=1e-12)


def wrong_dim(folder: Path) -> tuple[str, str | None]:
    np.save(folder / "part-5.npy", np.ones((3, 7), np.float32))
    return str(folder / "part-*.npy"), str(folder / "labels-*.npy")


def not_finite(folder: Path) -> tuple[str, str | None]:
    np.save(folder / "part-3.npy", np.full((129, 6), np.nan, np.float32))
    return str(folder / "part-*.npy"), str(folder / "labels-*.npy")


def other_kind(folder: Path) -> tuple[str, str | None]:
    np.save(folder / "labels-2.npy", np.array(["a"]))
    return str(folder / "part-*.npy"), str(folder / "labels-*.npy")


def too_few_labels(folder: Path) -> tuple[str, str | None]:
    (folder / "labels-0.npy").unlink()
    return str(folder / "part-*.npy"), str(folder / "labels-*.npy")


def no_file(folder: Path) -> tuple[str, str | None]:
    return str(folder / "none-*.npy"), None


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (wrong_dim, InvalidInput, r"part-0\.npy has rows of 6 numbers and .*part-5\.npy of 7"),
        (not_finite, InvalidInput, r"part-3\.npy are NaN or infinite in 129 of 129 rows"),
        (other_kind, InvalidInput, "some files hold whole numbers and others strings"),
        (too_few_labels, InvalidInput, "300 rows of embeddings and 299 labels"),
        (no_file, MissingData, r"no file is named like .*none-\*\.npy"),
    ],
)
def test_what_does_not_fit_together(
    tmp_path: Path, spoil: Callable[[Path], tuple[str, str | None]], error: type[Exception], words: str
) -> None:
    write(tmp_path, "npy", *space())
    with pytest.raises(error, match=words):
        losscope.diagnose(*spoil(tmp_path))


def test_a_shard_that_changes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "WHOLE", 0)
    write(tmp_path, "npz", *space())
    paths = sorted(tmp_path.glob("*.npz"))
    found, *_ = open_shards(paths, "embeddings", [], "embeddings")
    np.savez(paths[1], embeddings=np.ones((4, 6), np.float32))
    with pytest.raises(InvalidInput, match="had another when it was first read"):
        found[50:60]


def test_engines_that_do_not_exist() -> None:
    z, labels = space()
    with pytest.raises(UnknownName, match="'lokal'; did you mean 'local'"):
        losscope.diagnose(z, labels, on="lokal")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="jobs = 0"):
        losscope.diagnose(z, labels, on="local", jobs=0)


def test_results_of_processes_come_as_they_end() -> None:
    with engine.engine("local", jobs=2) as run:
        assert dict(run(divmod, [(one, 3) for one in range(9)])) == {one: divmod(one, 3) for one in range(9)}
        with pytest.raises(ZeroDivisionError):
            list(run(divmod, [(1, 0)]))


def shared(given: torch.Tensor) -> tuple[bool, bool, torch.Tensor]:
    """Whether the tensor came through shared memory, and with how much more than its own."""
    return given.is_shared(), given.untyped_storage().nbytes() > given.nbytes, given


def test_tensors_go_to_processes_without_shared_memory_or_the_rest_of_theirs() -> None:
    whole = torch.arange(60.0).view(20, 3)
    with engine.engine("local", jobs=2) as run:
        for _, (through, more, back) in run(shared, [(whole[4:6],), (whole.T[1],)]):
            assert (through, more, back.is_shared()) == (False, False, False)
    assert not whole.is_shared()
    assert torch.equal(pickle.loads(packed(whole.T)), whole.T)
    assert torch.equal(pickle.loads(packed(whole.bfloat16())), whole.bfloat16())


def test_a_script_without_a_guard_may_use_processes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np, losscope\n"
        "z = np.random.default_rng(0).standard_normal((200, 4))\n"
        "print(losscope.diagnose(z, np.arange(200) % 5, on='local', jobs=2).n)\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout) == (0, "200\n"), ended.stderr


def test_batches_of_tasks_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PLACED", 4)
    found = list(engine._in_batches(in_turn, divmod, ((one, 3) for one in range(10))))
    assert found == [(one, divmod(one, 3)) for one in range(10)]


def test_an_array_of_shards_is_never_joined_by_a_diagnosis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def joined(*_: Any, **__: Any) -> None:
        raise AssertionError("all rows were read at once")

    monkeypatch.setattr(Shards, "__array__", joined)
    monkeypatch.setattr(door, "EXACT_UP_TO", 100)  # beyond it there is no table of all pairs
    pattern = write(tmp_path, "safetensors", *space())
    assert losscope.diagnose(pattern, sample=50, out=tmp_path / "out").n == ROWS


@pytest.mark.ray
def test_ray_gives_what_this_process_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(shards, "PIECE", 64)
    pattern = write(tmp_path / "s", "safetensors", *space())
    here = losscope.diagnose(pattern, sample=120)
    there = losscope.diagnose(pattern, sample=120, on="ray", jobs=2)
    assert there.to_json() == here.to_json()
    assert there.frame().equals(here.frame())
