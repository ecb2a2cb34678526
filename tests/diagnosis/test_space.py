"""The border: what is wrong with embeddings and labels is said with rows and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from losscope.diagnosis.space import spaces
from losscope.errors import InvalidInput, MissingData

GOOD = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
LABELS = np.repeat(np.arange(4), 10)


def with_value(row: int, value: float, array: np.ndarray = GOOD) -> np.ndarray:
    changed = array.copy()
    changed[row, 1] = value
    return changed


@pytest.mark.parametrize(
    ("embeddings", "labels", "words"),
    [
        (with_value(7, np.nan), LABELS, r"NaN or infinite in 1 of 40 rows \(row 7, counted from 0\)"),
        (with_value(39, -np.inf), LABELS, "row 39"),
        (with_value(3, 1e39, GOOD.astype(np.float64)), LABELS, "row 3"),
        (GOOD, LABELS[:-1], "40 rows of embeddings and 39 labels"),
        (GOOD, np.zeros(40, int), "the single class '0'; expected at least two"),
        (GOOD, np.full(40, -1), "no class at all"),
        (GOOD[:0], LABELS[:0], r"shape \(0, 4\)"),
        (GOOD[0], LABELS, r"shape \(4,\)"),
        (GOOD.astype(str), LABELS, "expected real numbers"),
        (GOOD.astype(complex), LABELS, "expected real numbers"),
        (GOOD.astype(object), LABELS, "expected real numbers"),
        (GOOD, None, "embeddings have no labels"),
    ],
)
def test_what_cannot_be_used(embeddings: np.ndarray, labels: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        spaces((embeddings, labels, "embeddings"))


def test_rows_that_overflow_in_sum_only_are_fine() -> None:
    _, [space] = spaces((np.full((40, 4), 3e38, np.float32), LABELS, "embeddings"))
    assert len(space) == 40


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
def test_tensors(kind: torch.dtype) -> None:
    given = (torch.from_numpy(GOOD) * 10).to(kind).requires_grad_(kind.is_floating_point)
    _, [space] = spaces((given, LABELS.tolist(), "embeddings"))
    np.testing.assert_allclose(space.embeddings.astype(float), given.detach().double().numpy())
    assert space.embeddings.dtype.kind == "f"


def test_zero_rows_are_counted() -> None:
    zero = GOOD.copy()
    zero[[3, 17]] = 0
    assert spaces((zero, LABELS, "embeddings"))[1][0].zero_rows == 2


def test_columns_beside_the_embeddings(tmp_path: Path) -> None:
    table = {"embedding": list(GOOD), "label": LABELS, "kind": [f"k{one}" for one in LABELS], "id": np.arange(40)}
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    np.savez(tmp_path / "x.npz", z=GOOD, label=LABELS)
    for file in ("x.parquet", "x.npz"):
        classes, [space] = spaces((tmp_path / file, None, "embeddings"))
        assert classes.values == (0, 1, 2, 3)
        np.testing.assert_array_equal(space.embeddings, GOOD)
    classes, _ = spaces((f"{tmp_path}/x.parquet::embedding", "kind", "embeddings"))
    assert classes.values == ("k0", "k1", "k2", "k3")
    classes, _ = spaces((tmp_path / "x.npz", f"{tmp_path}/x.parquet::kind", "embeddings"))
    assert classes.values == ("k0", "k1", "k2", "k3")


def test_a_csv_spreads_a_matrix_over_its_columns(tmp_path: Path) -> None:
    lines = [",".join([*map(repr, row.tolist()), f"class {label}"]) for row, label in zip(GOOD, LABELS, strict=True)]
    (tmp_path / "x.csv").write_text("a,b,c,d,label\n" + "\n".join(lines))
    classes, [space] = spaces((tmp_path / "x.csv", None, "embeddings"))
    np.testing.assert_array_equal(space.embeddings.astype(np.float32), GOOD)
    assert classes.names[0] == "class 0"


@pytest.mark.parametrize(
    ("embeddings", "labels", "words"),
    [
        ("x.npz::other", "label", r"x\.npz has no 'other'; it holds z, label"),
        ("t.csv", "label", "no number in row 1 of 'b'"),
        ("n.csv", "x.npz::label", "and no numbers"),
    ],
)
def test_files_without_what_is_asked_for(tmp_path: Path, embeddings: str, labels: str, words: str) -> None:
    np.savez(tmp_path / "x.npz", z=GOOD, label=LABELS)
    (tmp_path / "t.csv").write_text("a,b,label\n1,2,x\n3,,y\n")
    (tmp_path / "n.csv").write_text("a,b\nu,v\nw,x\n")
    labels = f"{tmp_path}/{labels}" if "npz" in labels else labels
    with pytest.raises(InvalidInput, match=words):
        spaces((f"{tmp_path}/{embeddings}", labels, "embeddings"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"none\.npy was not found"):
        spaces((tmp_path / "none.npy", None, "embeddings"))
    np.save(tmp_path / "x.npy", GOOD)
    with pytest.raises(MissingData, match=r"labls was not found"):
        spaces((tmp_path / "x.npy", "labls", "embeddings"))
