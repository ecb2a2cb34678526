"""Evaluation over a gallery in pieces equals one pass, to the bit: ties, lone labels, no class, sets, any similarity."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.evaluation import LabelSets, evaluate, floors, pieces, standings, tallies
from losscope.evaluation.pieces import evaluate_pieces

KS = (1, 3, 10)


def scene(rows: int = 700, dim: int = 24, classes: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of many classes, some without one, some lone, and groups of equal rows."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, classes, (rows,), generator=draw)
    z = torch.randn(classes + 1, dim, generator=draw)[labels] + torch.randn(rows, dim, generator=draw)
    z[100:140] = z[100]
    z[200:204] = 0
    labels[5] = classes  # alone
    return z, labels


def cuts(rows: int, count: int, seed: int) -> list[tuple[int, int]]:
    ends = [0, *sorted(random.Random(seed).sample(range(1, rows), count - 1)), rows]
    return list(itertools.pairwise(ends))


def assert_same(found: Any, expected: Any) -> None:
    assert found.excluded == expected.excluded
    assert torch.equal(found.queries, expected.queries)
    assert found.each.keys() == expected.each.keys()
    for name, value in expected.each.items():
        for k, one in value.items() if isinstance(value, dict) else [(None, value)]:
            other = found.each[name] if k is None else found.each[name][k]
            assert torch.equal(other, one), (name, k)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_pieces_equal_one_pass(similarity: Any, count: int) -> None:
    z, labels = scene()
    expected = evaluate(z, labels, ks=KS, similarity=similarity)
    rows = torch.arange(len(z))
    found = evaluate_pieces(
        z, labels, z, labels, cuts(len(z), count, count), ks=KS, similarity=similarity, query_rows=rows
    )
    assert_same(found, expected)
    torch.testing.assert_close(found.means["map_at_r"], expected.means["map_at_r"], rtol=1e-12, atol=0)
    assert torch.equal(found.class_queries, expected.class_queries)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_some_queries_and_another_gallery(similarity: Any) -> None:
    z, labels = scene()
    shown, their_labels = scene(seed=1)
    some = torch.arange(0, len(z), 3)
    part = evaluate_pieces(z[some], labels[some], z, labels, cuts(len(z), 4, 0), ks=KS, similarity=similarity, query_rows=some)  # fmt: skip
    assert_same(part, evaluate(z[some], labels[some], z, labels, ks=KS, similarity=similarity, query_rows=some))
    other = evaluate_pieces(z, labels, shown, their_labels, cuts(len(shown), 5, 2), ks=KS, similarity=similarity)
    assert_same(other, evaluate(z, labels, shown, their_labels, ks=KS, similarity=similarity))


def test_sets_of_labels() -> None:
    z, labels = scene()
    sets = LabelSets.of([[] if one < 0 else [one, one % 3 + 20] for one in labels.tolist()])
    found = evaluate_pieces(z, sets, z, sets, cuts(len(z), 3, 1), ks=KS, query_rows=torch.arange(len(z)))
    assert_same(found, evaluate(z, sets, ks=KS))


def test_collapsed_rows_take_no_room() -> None:
    z, labels = torch.ones(3000, 8), torch.arange(3000) % 30
    rows = torch.arange(0, 3000, 10)
    found = evaluate_pieces(z[rows], labels[rows], z, labels, cuts(3000, 3, 1), ks=KS, query_rows=rows)
    assert_same(found, evaluate(z[rows], labels[rows], z, labels, ks=KS, query_rows=rows))
    assert float(found.each["recall_at_k"][1].mean()) == pytest.approx(99 / 2999)


def test_a_bad_guess_and_little_room_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    z, labels = scene(rows=5000, classes=200)
    rows = torch.arange(0, 5000, 7)
    options: dict[str, Any] = {"ks": KS, "query_rows": rows}
    expected = evaluate(z[rows], labels[rows], z, labels, **options)
    monkeypatch.setattr(standings, "WAITING", 1000)
    monkeypatch.setattr(tallies, "PLACES", 5000)
    assert_same(evaluate_pieces(z[rows], labels[rows], z, labels, cuts(5000, 3, 0), **options), expected)
    monkeypatch.setattr(floors, "_level", lambda tile, depth, offered: tile.amax(1).div(2.0**-20).round())
    assert_same(evaluate_pieces(z[rows], labels[rows], z, labels, cuts(5000, 3, 0), **options), expected)


def test_pieces_in_any_order_and_progress() -> None:
    z, labels = scene()
    rows = torch.arange(len(z))

    def backwards(function: Any, arguments: Any) -> Any:
        return reversed([(place, function(*given)) for place, given in enumerate(arguments)])

    seen: list[tuple[int, int]] = []
    found = evaluate_pieces(z, labels, z, labels, cuts(len(z), 6, 3), ks=KS, query_rows=rows, run=backwards,
                            progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert_same(found, evaluate(z, labels, ks=KS))
    assert seen[-1] == (len(found.queries), len(found.queries))


@pytest.mark.parametrize("dim", [3, 128, 1280])
def test_levels_are_those_of_one_pass_in_any_dimension(dim: int) -> None:
    z, labels = scene(rows=1500, dim=dim)
    rows = torch.arange(len(z))
    found = evaluate_pieces(z, labels, z, labels, cuts(len(z), 4, 3), ks=KS, query_rows=rows)
    assert_same(found, evaluate(z, labels, ks=KS))


def test_progress_ends_with_the_last_task(monkeypatch: pytest.MonkeyPatch) -> None:
    z, labels = scene()
    monkeypatch.setattr(floors, "_level", lambda tile, depth, offered: tile.amax(1).div(2.0**-20).round())  # too high
    monkeypatch.setattr(pieces, "TOGETHER", 100)
    seen: list[int] = []
    found = evaluate_pieces(z, labels, z, labels, cuts(len(z), 4, 3), query_rows=torch.arange(len(z)),
                            progress=lambda done, _: seen.append(done))  # fmt: skip
    assert seen == sorted(seen)
    assert seen.index(len(found.queries)) == len(seen) - 1


def test_classes_of_any_numbers() -> None:
    z, labels = scene()
    given = torch.where(labels < 0, -1, torch.tensor([-(2**62), -7, 2**45, *range(2**62, 2**62 + 10)])[labels])
    rows = torch.arange(0, len(z), 3)
    found = evaluate_pieces(z[rows], given[rows], z, given, cuts(len(z), 3, 1), ks=KS, query_rows=rows)
    expected = evaluate(z[rows], given[rows], z, given, ks=KS, query_rows=rows)
    assert_same(found, expected)
    assert torch.equal(found.classes, expected.classes)
    strangers = torch.where(rows % 2 == 0, given[rows], 12345)
    found = evaluate_pieces(z[rows], strangers, z, given, cuts(len(z), 3, 1), ks=KS)
    assert_same(found, evaluate(z[rows], strangers, z, given, ks=KS))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"query_labels": torch.arange(20) + 50}, "none of 20 queries has a relevant item among 20 rows"),
        ({"query_labels": torch.full((20,), -1), "gallery_labels": torch.full((20,), -1)}, "none of 20 queries"),
        ({"queries": torch.full((20, 4), torch.nan)}, "queries hold NaN or infinite values in 20 of 20 rows"),
        ({"queries": torch.ones(20, 5)}, r"queries \(20, 5\) and a gallery \(20, 4\)"),
        ({"gallery": torch.ones(0, 4)}, r"a gallery \(0, 4\); expected at least one row"),
        ({"query_labels": torch.zeros(20)}, "labels are a tensor .*float32; expected integers"),
        ({"gallery_labels": torch.zeros(19, dtype=torch.int64)}, r"gallery labels are a tensor \(19,\)"),
        ({"gallery_labels": LabelSets.of([[1]] * 20)}, "one of queries and gallery has classes, the other label sets"),
        ({"query_rows": torch.arange(20) + 1}, "query_rows from 1 to 20; expected rows 0 to 19"),
        ({"ks": ()}, r"ks = \[\]"),
        ({"pieces": []}, "pieces that end at row 0 of a gallery of 20 rows; expected each row in one piece"),
        ({"pieces": [(12, 20), (0, 10)]}, "a piece from row 12 to 20 where the ones before it end at row 10"),
        ({"pieces": [(0, 12), (10, 20)]}, "a piece from row 10 to 20 where the ones before it end at row 12"),
        ({"pieces": [(0, 10), (10, 5)]}, "a piece from row 10 to 5 where"),
        ({"pieces": [(0, 10), (10, 19)]}, "pieces that end at row 19"),
        ({"pieces": [(0, 10), (10, 21)]}, "pieces that end at row 21"),
    ],
)
def test_bad_input(changed: dict[str, Any], words: str) -> None:
    labels = torch.arange(20) % 4
    given = {"queries": torch.randn(20, 4), "query_labels": labels, "gallery": torch.randn(20, 4)}
    given |= {"gallery_labels": labels, "pieces": [(0, 10), (10, 20)]}
    with pytest.raises(InvalidInput, match=words):
        evaluate_pieces(**given | changed)
