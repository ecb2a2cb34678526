"""Lists of queries that are their own gallery: each pair once, and the numbers of every query by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from losscope.evaluation import evaluate
from losscope.evaluation import mirrored as mirrored_module
from losscope.evaluation import ranking as ranking_module
from losscope.evaluation.labels import LabelSets
from losscope.evaluation.mirrored import SIDE, MirroredRanking
from losscope.evaluation.ranking import Ranking
from losscope.types import OUTLIER

ROWS = 1900  # four tiles, the last one partly filled


def batch(rows: int = ROWS, *, classes: int = 12, outliers: int = 40) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    labels = torch.randint(0, classes, (rows,), generator=random)
    z = torch.nn.functional.one_hot(labels, 16).float() + 0.6 * torch.randn(rows, 16, generator=random)
    labels[torch.randperm(rows, generator=random)[:outliers]] = OUTLIER
    z[:30] = z[0]  # a tie across classes
    return z, labels


def same_as_block_by_block(z: Tensor, labels: Tensor | LabelSets) -> None:
    found = evaluate(z, labels, bounds=True)
    expected = evaluate(z, labels, bounds=True, block=100)
    assert torch.equal(found.queries, expected.queries)
    for one, other in ((found.lowest, expected.lowest), (found.highest, expected.highest)):
        assert one == other
    for name, values in expected.each.items():
        for k, value in values.items() if isinstance(values, dict) else [(None, values)]:
            mine = found.each[name] if k is None else found.each[name][k]
            assert torch.equal(mine, value), (name, k)


def tiles_taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fills with the first place of each tile that is taken from now on."""
    taken: list[int] = []
    usual = MirroredRanking._tiles

    def noted(self, *given):
        for first, part in usual(self, *given):
            taken.append(first)
            yield first, part

    monkeypatch.setattr(MirroredRanking, "_tiles", noted)
    return taken


def test_each_query_gets_what_it_gets_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tiles_taken(monkeypatch)
    same_as_block_by_block(*batch())
    assert taken == [0, SIDE, 2 * SIDE, 3 * SIDE]


def test_in_panels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored_module, "WAITING", 100_000)
    taken = tiles_taken(monkeypatch)
    z, labels = batch()
    ranking = MirroredRanking(*[torch.nn.functional.normalize(z)] * 2, (labels, labels), torch.arange(ROWS))
    wanted = ranking.relevance.count
    assert ranking._panel(wanted[wanted > 0]) == 2 * SIDE
    same_as_block_by_block(z, labels)
    assert taken == [0, SIDE, 2 * SIDE, 3 * SIDE]


def test_rows_with_several_labels() -> None:
    z, labels = batch(outliers=0)
    other = (labels * 7 + torch.arange(ROWS) % 5) % 12
    sets = LabelSets(torch.arange(0, 2 * ROWS + 1, 2), torch.stack([labels, other], dim=1).flatten())
    same_as_block_by_block(z, sets)


def half_collapsed() -> tuple[Tensor, Tensor]:
    """Half of all rows are one point: far more candidates than a sample of columns promises."""
    z, labels = batch()
    z[: ROWS // 2] = z[0]
    return z, labels


def test_a_collapsed_space_is_left_to_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tiles_taken(monkeypatch)
    same_as_block_by_block(*half_collapsed())
    assert not taken


def test_ties_that_the_sample_does_not_show_end_it_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored_module, "TIED", 1e9)
    monkeypatch.setattr(mirrored_module, "WAITING", 200_000)
    taken = tiles_taken(monkeypatch)
    same_as_block_by_block(*half_collapsed())
    assert len(taken) < 4


def test_a_tile_in_which_nobody_asks() -> None:
    z, labels = batch(2 * SIDE + 1)
    last = int(torch.randperm(len(z), generator=torch.Generator().manual_seed(0))[-1])  # alone in its tile
    labels[last] = OUTLIER
    same_as_block_by_block(z, labels)


def test_queries_whose_level_was_too_high_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking_module, "SLACK", -2)  # most levels are
    again: list[int] = []
    usual = Ranking.lists

    def noted(self, rows, depth, **given):
        again.append(len(rows))
        return usual(self, rows, depth, **given)

    monkeypatch.setattr(Ranking, "lists", noted)
    z, labels = batch()
    found = evaluate(z, labels)
    assert again[0] > ROWS // 2
    monkeypatch.undo()
    assert found.means == evaluate(z, labels).means


def test_few_queries_or_few_rows_go_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tiles_taken(monkeypatch)
    z, labels = batch()
    few = labels.where(torch.arange(ROWS) < 300, OUTLIER)
    same_as_block_by_block(z, few)
    same_as_block_by_block(z[:400], labels[:400])
    assert not taken
