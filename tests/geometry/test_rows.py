"""What is handed in: every shape, type and bad row has an answer; memory maps give what arrays give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from losscope.errors import InvalidInput, MissingDependency
from losscope.geometry import compare_spaces, describe, plane
from losscope.geometry.rows import Rows


def test_a_memory_map_gives_what_a_tensor_gives(space: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    embeddings, labels = space[0].float(), space[1]
    np.save(tmp_path / "z.npy", embeddings.numpy())
    mapped = np.load(tmp_path / "z.npy", mmap_mode="r")
    one = describe(mapped, labels.numpy(), chunk=31)
    other = describe(embeddings, labels, chunk=31)
    assert one.spectrum.effective_rank == other.spectrum.effective_rank
    assert one.overlap.auc == other.overlap.auc
    np.testing.assert_array_equal(one.per_class.split_p, other.per_class.split_p)
    half = describe(mapped.astype(np.float16), labels.numpy())
    assert half.variance.within == pytest.approx(one.variance.within, rel=1e-2)


@pytest.mark.parametrize(
    ("embeddings", "labels", "keywords", "message"),
    [
        (torch.ones(3), torch.zeros(3, dtype=torch.int64), {}, r"shape \(3,\); expected \(rows, dim\)"),
        (torch.ones(0, 4), torch.zeros(0, dtype=torch.int64), {}, "not empty"),
        (torch.ones(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), {}, "expected floating point"),
        (torch.ones(3, 2), torch.zeros(2, dtype=torch.int64), {}, "one integer for each row"),
        (torch.ones(3, 2), torch.zeros(3), {}, "one integer for each row"),
        (torch.ones(3, 2), torch.zeros(3, dtype=torch.int64), {"similarity": "manhattan"}, "'cosine' or 'euclidean'"),
        (torch.ones(3, 2), torch.zeros(3, dtype=torch.int64), {"k": 0}, "k is 0"),
        (torch.ones(3, 2), torch.zeros(3, dtype=torch.int64), {"sample": 0}, "sample is 0"),
        (torch.ones(3, 2), torch.zeros(3, dtype=torch.int64), {"chunk": 0}, "at least one row"),
    ],
)
def test_what_is_refused(embeddings: Tensor, labels: Tensor, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        describe(embeddings, labels, **keywords)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_bad_rows_are_named(bad: float) -> None:
    embeddings = torch.ones(100, 3)
    embeddings[[41, 77], 1] = bad
    with pytest.raises(InvalidInput, match="rows 41, 77 hold NaN or infinite values"):
        describe(embeddings, torch.zeros(100, dtype=torch.int64))
    with pytest.raises(InvalidInput, match="rows 41 hold"):
        describe(embeddings, torch.zeros(100, dtype=torch.int64), chunk=50)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_cosine_knows_no_scale_and_counts_zero_rows(scale: float) -> None:
    embeddings = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    embeddings[4] = 0
    labels = torch.arange(30) % 3
    one, other = describe(embeddings, labels), describe(embeddings * scale, labels)
    assert one.zero_rows == other.zero_rows == 1
    assert other.variance.within == pytest.approx(one.variance.within, rel=1e-5)
    lengths = torch.linalg.vector_norm(next(Rows(embeddings * scale, labels).chunks())[1], dim=1)
    assert float(lengths[lengths > 0].min()) == pytest.approx(1, rel=1e-6)


def test_degenerate_spaces_are_described() -> None:
    one_row = describe(torch.ones(1, 3), torch.tensor([4]))
    assert (one_row.n, one_row.classes) == (1, 1)
    nobody = describe(torch.eye(4), torch.full((4,), -1))
    assert (nobody.classes, nobody.outliers, len(nobody.per_class)) == (0, 4, 0)
    assert nobody.suspects.total == 0
    single_column = plane(torch.linspace(-1, 1, 20).unsqueeze(1), torch.arange(20) % 2)
    assert single_column.y.tolist() == [0.0] * 20
    alone = describe(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6))
    assert alone.silhouette.mean.value == 0


def test_the_map_is_the_principal_plane(space: tuple[Tensor, Tensor]) -> None:
    from sklearn.decomposition import PCA

    embeddings, labels = space
    found = plane(embeddings, labels, similarity="euclidean")
    fitted = PCA(2).fit(embeddings.numpy())
    expected = fitted.transform(embeddings.numpy())
    np.testing.assert_allclose(np.abs(np.stack([found.x, found.y], 1)), np.abs(expected), rtol=1e-7, atol=1e-9)
    assert found.explained == pytest.approx(fitted.explained_variance_ratio_)
    few = plane(embeddings, labels, sample=50, seed=1)
    assert (np.diff(few.rows) > 0).all()
    assert len(few.rows) == 50
    with pytest.raises(InvalidInput, match="'pca' or 'umap'"):
        plane(embeddings, labels, method="tsne")  # type: ignore[arg-type]


def test_umap_or_how_to_get_it(space: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(MissingDependency, match=r"losscope\[umap\]"):
        plane(*space, method="umap")


def test_comparing_asks_for_the_same_rows() -> None:
    with pytest.raises(InvalidInput, match="3 and 4 rows"):
        compare_spaces(torch.ones(3, 2), torch.ones(4, 2), torch.zeros(3, dtype=torch.int64))
