"""Moments of classes in one pass: equal to the naive loop and to any split of the rows into chunks, shards and ranks."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from torch import Tensor

from losscope.diagnostics import effective_rank, within_class_effective_rank
from losscope.diagnostics.variance import class_deviations, class_statistics
from losscope.errors import InvalidInput
from losscope.geometry import ClassMoments, Moments, SpectrumMoments
from losscope.geometry.spectrum import Spectrum

LARGE = 2**53 + 1


def scene(dtype: torch.dtype = torch.float64, rows: int = 400, dim: int = 7) -> tuple[Tensor, Tensor]:
    """Rows with outliers, a class of one row, labels that float64 can't tell apart, and a common offset."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(-1, 9, (rows,), generator=generator)
    labels = torch.where(labels == 8, LARGE, torch.where(labels == 7, LARGE - 1, labels))
    labels[17] = 1000
    rows_ = torch.randn(rows, dim, generator=generator, dtype=torch.float64) + 3 + labels.remainder(5).unsqueeze(1)
    return rows_.to(dtype), labels


def one_pass(embeddings: Tensor, labels: Tensor, second_moment: bool = True) -> Moments:
    moments = ClassMoments(second_moment=second_moment)
    moments.update(embeddings, labels)
    return moments.compute()


def assert_equal(found: Moments, expected: Moments) -> None:
    assert torch.equal(found.labels, expected.labels)
    assert torch.equal(found.counts, expected.counts)
    assert found.outliers == expected.outliers
    for name in ("centroids", "squares", "outlier_sum", "scatter", "outlier_scatter"):
        one, other = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12 * float(other.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("second_moment", [False, True])
def test_equals_the_naive_loop(dtype: torch.dtype, second_moment: bool) -> None:
    embeddings, labels = scene(dtype)
    found = one_pass(embeddings, labels, second_moment)
    classes = sorted({int(label) for label in labels} - {-1})
    assert found.labels.tolist() == classes
    assert found.outliers == int((labels == -1).sum())
    within = torch.zeros(7, 7, dtype=torch.float64)
    for place, label in enumerate(classes):
        rows = [row for row, own in zip(embeddings.double(), labels.tolist(), strict=True) if own == label]
        center = sum(rows) / len(rows)
        squares = sum(float(((row - center) ** 2).sum()) for row in rows)
        within += sum((torch.outer(row - center, row - center) for row in rows), torch.zeros(7, 7))
        assert found.counts[place] == len(rows)
        torch.testing.assert_close(found.centroids[place], center, rtol=1e-12, atol=1e-12)
        assert float(found.squares[place]) == pytest.approx(squares, rel=1e-12, abs=1e-12)
    if second_moment:
        torch.testing.assert_close(found.within, within, rtol=1e-11, atol=1e-11)
        z = embeddings.double()
        torch.testing.assert_close(found.second, z.T @ z, rtol=1e-12, atol=1e-9)
        torch.testing.assert_close(found.covariance, torch.cov(z.T, correction=0), rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(found.mean, embeddings.double().mean(0), rtol=1e-12, atol=1e-12)


def test_the_study_side_finds_the_same() -> None:
    embeddings, labels = scene()
    found, expected = one_pass(embeddings, labels), class_statistics(embeddings, labels)
    for name in ("classes", "counts", "centroids", "variances"):
        torch.testing.assert_close(getattr(found.statistics, name), getattr(expected, name), rtol=1e-12, atol=1e-12)
    deviations = class_deviations(embeddings, labels)
    torch.testing.assert_close(found.within, deviations.T @ deviations, rtol=1e-11, atol=1e-11)
    assert float(within_class_effective_rank(embeddings, labels)) > 1 < float(effective_rank(embeddings))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_any_shards_in_any_order_give_what_one_pass_gives(seed: int, dtype: torch.dtype) -> None:
    embeddings, labels = scene(dtype)
    draw = random.Random(seed)
    order = torch.tensor(draw.sample(range(len(labels)), len(labels)))
    shards = [ClassMoments(second_moment=True) for _ in range(4)]
    for chunk in order.split(37):
        draw.choice(shards).update(embeddings[chunk], labels[chunk])
    sent = [ClassMoments.from_state(shard.state_dict()) for shard in shards]
    total = ClassMoments(second_moment=True)
    for shard in sent:
        total.merge(shard)
    assert_equal(total.compute(), one_pass(embeddings, labels))
    total.update(embeddings, labels)  # a merged state goes on
    assert_equal(total.compute(), one_pass(embeddings.repeat(2, 1), labels.repeat(2)))


def test_merging_leaves_the_other_as_it_is() -> None:
    embeddings, labels = scene()
    first, second = ClassMoments(second_moment=True), ClassMoments(second_moment=True)
    first.update(embeddings[:100], labels[:100])
    second.update(embeddings[100:], labels[100:])
    before = second.compute()
    first.merge(second).merge(ClassMoments(second_moment=True))
    assert_equal(second.compute(), before)
    first.update(embeddings[:50], labels[:50])
    assert_equal(second.compute(), before)


@pytest.mark.parametrize("offset", [1.0, 1e3])
def test_tiny_variances_far_from_zero_keep_their_digits(offset: float) -> None:
    steps = torch.arange(64, dtype=torch.float64) * 2.0**-30
    embeddings = torch.stack([offset + steps, offset - steps], dim=1)
    found = one_pass(embeddings, torch.zeros(64, dtype=torch.int64), second_moment=False)
    assert float(found.variances[0]) == pytest.approx(2 * float(steps.var(correction=0)), rel=1e-10)


def test_equal_rows_have_no_variance_whatever_the_type() -> None:
    row = torch.nn.functional.normalize(torch.randn(1, 33, generator=torch.Generator().manual_seed(1)), dim=1)
    for dtype in (torch.float16, torch.float32, torch.float64):
        for second_moment in (False, True):
            found = one_pass(row.to(dtype).repeat(1001, 1), torch.zeros(1001, dtype=torch.int64), second_moment)
            assert found.variances.tolist() == [0.0]


def test_one_row_and_no_class() -> None:
    alone = one_pass(torch.ones(1, 3), torch.tensor([5]))
    assert alone.variances.tolist() == [0.0]
    assert alone.unbiased_variances.isnan().all()
    assert len(alone.statistics.classes) == 0
    nobody = one_pass(torch.ones(4, 3), torch.full((4,), -1))
    assert (len(nobody.labels), nobody.outliers, nobody.rows) == (0, 4, 4)
    assert nobody.mean.tolist() == [1.0, 1.0, 1.0]


def test_what_is_refused() -> None:
    moments = ClassMoments()
    with pytest.raises(InvalidInput, match="at least one update"):
        moments.compute()
    assert moments.state_dict() == {}
    with pytest.raises(InvalidInput, match=r"expected floating point \(rows, dim\)"):
        moments.update(torch.ones(3, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(InvalidInput, match="expected integers"):
        moments.update(torch.ones(3, 2), torch.zeros(3))
    moments.update(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InvalidInput, match="rows of 2 and of 5"):
        moments.update(torch.ones(3, 5), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InvalidInput, match="second_moment=True"):
        _ = moments.compute().within
    richer = ClassMoments(second_moment=True)
    richer.update(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InvalidInput, match="both or neither"):
        moments.merge(richer)
    with pytest.raises(InvalidInput, match=r"as state_dict\(\) gives"):
        ClassMoments.from_state({"labels": torch.zeros(1)})


def spectrum_of(embeddings: Tensor, labels: Tensor | None = None) -> Spectrum:
    moments = SpectrumMoments()
    moments.update(embeddings, labels)
    return moments.compute()


def assert_same_spectrum(found: Spectrum, expected: Spectrum) -> None:
    for name, value in vars(expected).items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("labeled", [False, True])
def test_spectra_of_shards_merge(labeled: bool) -> None:
    embeddings, labels = scene()
    embeddings = embeddings + 100  # far from 0
    total = SpectrumMoments()
    for start in range(0, 400, 130):
        part = SpectrumMoments()
        part.update(embeddings[start : start + 130], labels[start : start + 130] if labeled else None)
        total.merge(SpectrumMoments.from_state(part.state_dict()))
    total.merge(SpectrumMoments())
    assert_same_spectrum(total.compute(), spectrum_of(embeddings, labels if labeled else None))
    torch.testing.assert_close(total.covariance(), torch.cov(embeddings.T, correction=0), rtol=1e-10, atol=1e-11)
    around = embeddings - embeddings.mean(0)
    singular = torch.linalg.svdvals(embeddings).numpy()
    np.testing.assert_allclose(total.compute().singular_values, singular, rtol=1e-7)
    values = torch.linalg.eigvalsh(around.T @ around)
    expected = float(values.sum() ** 2 / values.square().sum())
    assert total.compute().participation_ratio == pytest.approx(expected, rel=1e-9)


def _rank(rank: int, ranks: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    embeddings, labels = scene()
    moments = ClassMoments(second_moment=True)
    if rank < ranks - 1:  # the last rank has no rows
        moments.update(embeddings[rank :: ranks - 1], labels[rank :: ranks - 1])
    torch.save(moments.all_gather().state_dict(), f"{folder}/{rank}.pt")
    unlabeled = SpectrumMoments()
    if rank < ranks - 1:
        unlabeled.update(embeddings[rank :: ranks - 1])
    torch.save(unlabeled.all_gather().state_dict(), f"{folder}/spectrum-{rank}.pt")
    distributed.destroy_process_group()


def test_ranks_give_what_one_pass_gives_and_agree_to_the_bit(tmp_path: Path) -> None:
    multiprocessing.spawn(_rank, args=(3, str(tmp_path)), nprocs=3)
    states = [torch.load(tmp_path / f"{rank}.pt") for rank in range(3)]
    for state in states[1:]:
        assert all(torch.equal(state[name], part) for name, part in states[0].items())
    assert_equal(ClassMoments.from_state(states[0]).compute(), one_pass(*scene()))
    gathered = [SpectrumMoments.from_state(torch.load(tmp_path / f"spectrum-{rank}.pt")) for rank in range(3)]
    assert torch.equal(gathered[0].covariance(), gathered[2].covariance())
    assert_same_spectrum(gathered[0].compute(), spectrum_of(scene()[0]))
