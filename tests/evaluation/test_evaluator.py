"""The streaming evaluator against naive loops over all orders of ties, and against `retrieval` and `knn_accuracy`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference_retrieval as naive
from losscope.errors import InvalidInput, UnknownName
from losscope.evaluation import MEASURES, Evaluation, LabelSets, evaluate, knn_accuracy, retrieval
from losscope.evaluation import labels as labels_module
from losscope.evaluation import measures as measures_module
from losscope.evaluation import ranking as ranking_module
from losscope.evaluation import votes as votes_module

KS = (1, 2, 5, 10)
SIMILARITIES = ("cosine", "euclidean", "inner_product")
WAYS = [("torch", "all"), ("faiss", "all"), ("torch", ("recall_at_k", "mrr"))]
"""Backends and measures: ranked, searched by faiss, and counted without ranking."""


def flat(scores: dict[str, Any]) -> dict[str, Any]:
    """Measures by k as `name@k`."""
    found = {}
    for name, value in scores.items():
        found |= {f"{name}@{k}": one for k, one in value.items()} if isinstance(value, dict) else {name: value}
    return found


def check(found: Evaluation, similar: np.ndarray, relevant: naive.Relevant, *, same: bool, bounds: bool) -> None:
    """Every number against the naive loops."""
    asked = [query for query, items in enumerate(relevant) if items]
    assert found.queries.tolist() == asked
    assert (found.n, found.gallery) == similar.shape
    assert found.excluded == len(similar) - len(asked)
    each = flat(found.each)
    ways: list[list[dict[str, float]]] = [[], [], []]
    for place, query in enumerate(asked):
        items = [item for item in range(similar.shape[1]) if not (same and item == query)]
        three = naive.expected_scores(similar[query], items, relevant[query], found.ks)
        for way, one in zip(ways, three, strict=True):
            way.append(one)
        for name, values in each.items():
            if not name.startswith("knn_accuracy"):
                assert values[place].item() == pytest.approx(three[0][name], abs=1e-9), (name, query)
    for way, means in zip(ways, (found.means, found.lowest, found.highest), strict=True):
        if means is None:
            assert not bounds
            continue
        for name, value in flat(means).items():
            if not name.startswith("knn_accuracy"):
                assert value == pytest.approx(np.mean([one[name] for one in way]), abs=1e-9), name


# ties, by enumeration ------------------------------------------------------------------------------------------------

POINTS = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0], [2.0, 0.0]])
SCATTERED = np.array([[1.0, 0.1], [0.2, 1.0], [0.61, 0.83], [-1.2, 0.3], [2.0, -0.4]])
"""For Euclidean distance, where only equal rows are tied: unequal rows at equal distances may differ by rounding."""
TIED = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 2)), min_size=2, max_size=6)


@pytest.mark.parametrize(("backend", "measures"), WAYS)
@settings(max_examples=25, deadline=None)
@given(TIED, st.sampled_from(SIMILARITIES))
def test_with_ties_it_is_the_mean_over_all_orders(
    backend: str, measures: Any, listed: list[tuple[int, int]], similarity: Any
) -> None:
    places, labels = zip(*listed, strict=True)
    z = (SCATTERED if similarity == "euclidean" else POINTS)[list(places)]
    relevant = naive.relevant_by_class(labels, labels, same=True)
    given_ = (torch.from_numpy(z), torch.tensor(labels))
    options: dict[str, Any] = {"ks": KS, "similarity": similarity, "measures": measures, "backend": backend}
    if not any(relevant):
        with pytest.raises(InvalidInput, match="has a relevant item"):
            evaluate(*given_, **options)
        return
    found = evaluate(*given_, bounds=True, **options)
    check(found, naive.similarities_of(z, z, similarity), relevant, same=True, bounds=True)


@pytest.mark.parametrize(("backend", "measures"), WAYS)
@settings(max_examples=25, deadline=None)
@given(TIED, TIED, st.sampled_from(SIMILARITIES))
def test_between_two_sets_too(
    backend: str, measures: Any, asked: list[tuple[int, int]], shown: list[tuple[int, int]], similarity: Any
) -> None:
    (places, labels), (others, classes) = zip(*asked, strict=True), zip(*shown, strict=True)
    points = SCATTERED if similarity == "euclidean" else POINTS
    x, y = points[list(places)], points[list(others)]
    relevant = naive.relevant_by_class(labels, classes, same=False)
    if not any(relevant):
        return
    found = evaluate(
        torch.from_numpy(x),
        torch.tensor(labels),
        torch.from_numpy(y),
        torch.tensor(classes),
        ks=KS,
        similarity=similarity,
        measures=measures,
        backend=backend,
        bounds=True,
    )
    check(found, naive.similarities_of(x, y, similarity), relevant, same=False, bounds=True)


@settings(max_examples=30, deadline=None)
@given(TIED, st.integers(1, 9))
def test_votes_share_the_places_of_a_tie(listed: list[tuple[int, int]], k: int) -> None:
    places, labels = zip(*listed, strict=True)
    z = POINTS[list(places)]
    relevant = naive.relevant_by_class(labels, labels, same=True)
    if not any(relevant):
        return
    found = evaluate(torch.from_numpy(z), torch.tensor(labels), ks=(k,), measures=("knn_accuracy",))
    similar = naive.similarities_of(z, z, "cosine")
    for place, query in enumerate(found.queries.tolist()):
        others = [item for item in range(len(z)) if item != query]
        right = naive.vote(similar[query], others, labels, k) == labels[query]
        assert found.each["knn_accuracy"][k][place].item() == right


# without ties, and at sizes where the gallery is sampled -------------------------------------------------------------


def batch(samples: int, seed: int = 0, *, dim: int = 12, classes: int = 5, grid: bool = False) -> tuple[Tensor, Tensor]:
    """Points with some class structure, a class of one sample, some outliers; on a grid there are many ties."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (samples,), generator=random)
    z = torch.randn(classes, dim, generator=random)[labels] + 2 * torch.randn(samples, dim, generator=random)
    labels[3], labels[10:14] = 77, -1
    return (z.round() if grid else z), labels


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("backend", ["torch", "faiss"])
@pytest.mark.parametrize("block", [1, 7, None])
def test_every_query_equals_the_naive_loop(similarity: Any, backend: Any, block: int | None) -> None:
    z, labels = batch(60)
    found = evaluate(z, labels, ks=KS, similarity=similarity, backend=backend, block=block)
    x, listed = z.double().numpy(), labels.tolist()
    relevant = naive.relevant_by_class(listed, listed, same=True)
    check(found, naive.similarities_of(x, x, similarity), relevant, same=True, bounds=False)


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("samples", [700, 3000])
def test_all_ways_give_the_same_to_the_last_bit(samples: int, grid: bool) -> None:
    z, labels = batch(samples, classes=samples // 100, grid=grid)
    for similarity in SIMILARITIES:
        ranked = evaluate(z, labels, similarity=similarity, bounds=True)  # type: ignore[arg-type]
        searched = evaluate(z, labels, similarity=similarity, bounds=True, backend="faiss")  # type: ignore[arg-type]
        counted = evaluate(z, labels, similarity=similarity, bounds=True, measures=("recall_at_k", "mrr"))  # type: ignore[arg-type]
        for name, values in flat(ranked.each).items():
            assert torch.equal(values, flat(searched.each)[name]), (similarity, name)
        for name, values in flat(counted.each).items():
            torch.testing.assert_close(values, flat(ranked.each)[name], rtol=0, atol=1e-12)
        for name, value in flat(counted.lowest or {}).items():
            assert value == pytest.approx(flat(ranked.lowest or {})[name], abs=1e-12)


@pytest.mark.parametrize("grid", [False, True])
def test_it_equals_retrieval(grid: bool) -> None:
    z, labels = batch(3000, classes=30, grid=grid)
    old, new = retrieval(z, labels, KS, bounds=True), evaluate(z, labels, ks=KS, bounds=True)
    assert new.queries.tolist() == old.queries.tolist()
    for k in KS:
        torch.testing.assert_close(new.each["recall_at_k"][k], old.hits[k], rtol=0, atol=1e-12)
    torch.testing.assert_close(new.each["r_precision"], old.query_r_precision, rtol=0, atol=1e-12)
    torch.testing.assert_close(new.each["map_at_r"], old.query_average_precision, rtol=0, atol=1e-12)
    for ours, theirs in ((new.lowest, old.lowest), (new.highest, old.highest)):
        assert ours is not None
        assert theirs is not None
        assert ours["map_at_r"] == pytest.approx(theirs.map_at_r, abs=1e-12)
        assert ours["recall_at_k"] == pytest.approx(theirs.recall_at_k, abs=1e-12)


@pytest.mark.parametrize("grid", [False, True])
def test_votes_equal_those_of_classification(grid: bool) -> None:
    (train, known), (test, truth) = batch(900, 0, grid=grid), batch(400, 1, grid=grid)
    truth[truth == 77] = 0
    for k in (1, 5, 1000):
        found = evaluate(test, truth, train, known, ks=(k,), measures=("knn_accuracy",))
        assert found.means["knn_accuracy"][k] == pytest.approx(knn_accuracy(train, known, test, truth, k=k), abs=1e-12)


def test_the_order_of_rows_and_the_draw_of_the_sample_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    z, labels = batch(3000, classes=20, grid=True)
    found = flat(evaluate(z, labels).means)
    shuffled = torch.randperm(3000, generator=torch.Generator().manual_seed(5))
    assert flat(evaluate(z[shuffled], labels[shuffled]).means) == pytest.approx(found, abs=1e-12)
    monkeypatch.setattr(ranking_module, "SAMPLE", 64)  # a sample so small that many queries must be asked again
    monkeypatch.setattr(ranking_module, "CANDIDATES", 1500)  # and blocks must be split
    assert flat(evaluate(z, labels).means) == pytest.approx(found, abs=1e-12)


def test_what_is_known_of_classes_is_the_mean_of_their_queries() -> None:
    z, labels = batch(300)
    found = evaluate(z, labels, ks=KS)
    assert found.classes.tolist() == [0, 1, 2, 3, 4]
    of_query = labels[found.queries]
    for name, values in flat(found.of_classes).items():
        expected = [flat(found.each)[name][of_query == label].mean().item() for label in range(5)]
        assert values.tolist() == pytest.approx(expected)
    assert found.class_queries.tolist() == [int((of_query == label).sum()) for label in range(5)]


# known answers -------------------------------------------------------------------------------------------------------


def collapsed(classes: int = 10, each: int = 100) -> tuple[Tensor, Tensor]:
    """One point, up to rounding, for all classes: rows sorted by class."""
    noise = 1e-7 * torch.randn(classes * each, 16, generator=torch.Generator().manual_seed(0))
    return torch.ones(classes * each, 16) + noise, torch.arange(classes).repeat_interleave(each)


@pytest.mark.parametrize(("backend", "measures"), WAYS)
def test_a_collapsed_space_scores_what_chance_scores(backend: Any, measures: Any) -> None:
    """Breaking ties by row, class-sorted rows would score 0.99."""
    found = evaluate(*collapsed(), measures=measures, backend=backend, bounds=True)
    chance = 99 / 999
    assert found.means["recall_at_k"][1] == pytest.approx(chance)
    assert found.means["recall_at_k"][10] == pytest.approx(1 - np.prod([(900 - i) / (999 - i) for i in range(10)]))
    first_at = [99 / 999]  # P(rank of the first = r), by recurrence
    for r in range(1, 901):
        first_at.append(first_at[-1] * (901 - r) / (999 - r))
    assert found.means["mrr"] == pytest.approx(sum(p / (r + 1) for r, p in enumerate(first_at)))
    assert found.lowest is not None
    assert found.highest is not None
    assert found.lowest["recall_at_k"] == {1: 0.0, 5: 0.0, 10: 0.0}
    assert found.highest["recall_at_k"] == {1: 1.0, 5: 1.0, 10: 1.0}
    assert found.lowest["mrr"] == pytest.approx(1 / 901)
    if measures == "all":
        assert found.means["precision_at_k"][5] == pytest.approx(chance)
        assert found.means["r_precision"] == pytest.approx(chance)


def test_labels_beyond_float_precision_are_apart() -> None:
    z = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    far = 2**62
    found = evaluate(z, torch.tensor([far, far + 1, far + 1, far]), ks=(1,), measures=("recall_at_k",))
    assert found.means["recall_at_k"][1] == 0
    assert found.classes.tolist() == [far, far + 1]


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("power", [-100, -20, 20, 100])
def test_the_scale_changes_nothing(similarity: Any, power: int) -> None:
    """Squares of float32 numbers of these sizes vanish or overflow."""
    z, labels = batch(200)
    one, other = (evaluate(x, labels, similarity=similarity) for x in (z, z * 2.0**power))
    assert flat(other.means) == flat(one.means)
    doubled = evaluate(z.double() * 2.0 ** (5 * power), labels, similarity=similarity)
    assert flat(doubled.means) == pytest.approx(flat(one.means), abs=1e-9)


def test_euclidean_distance_far_from_the_origin() -> None:
    z, labels = batch(200)
    one, other = (evaluate(x, labels, similarity="euclidean") for x in (z.double(), z.double() + 1e4))
    assert flat(other.means) == pytest.approx(flat(one.means), abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types(dtype: torch.dtype) -> None:
    z, labels = batch(200)
    rounded = z.to(dtype)
    assert flat(evaluate(rounded, labels).means) == flat(evaluate(rounded.float(), labels).means)


# label sets ----------------------------------------------------------------------------------------------------------


SETS = st.lists(st.tuples(st.integers(0, 4), st.sets(st.integers(-3, 2), max_size=3)), min_size=2, max_size=6)


@settings(max_examples=30, deadline=None)
@given(SETS, SETS)
def test_sets_are_relevant_where_they_overlap(
    asked: list[tuple[int, set[int]]], shown: list[tuple[int, set[int]]]
) -> None:
    (places, sets), (others, galleries) = zip(*asked, strict=True), zip(*shown, strict=True)
    x, y = POINTS[list(places)], POINTS[list(others)]
    for same, items, z in ((True, sets, x), (False, galleries, y)):
        relevant = naive.relevant_by_sets(sets, items, same=same)
        if not any(relevant):
            continue
        gallery = () if same else (torch.from_numpy(z), LabelSets.of(items))
        found = evaluate(torch.from_numpy(x), LabelSets.of(sets), *gallery, ks=KS, bounds=True)
        assert "knn_accuracy" not in found.means
        check(found, naive.similarities_of(x, z, "cosine"), relevant, same=same, bounds=True)
        mine = [query for query, found_ in enumerate(relevant) if found_]
        for label, count in zip(found.classes.tolist(), found.class_queries.tolist(), strict=True):
            assert count == sum(label in sets[query] for query in mine)


def test_a_label_that_a_set_repeats_counts_once() -> None:
    z, labels = batch(60)
    once, twice = (evaluate(z, LabelSets.of([[one] * many for one in labels.tolist()])) for many in (1, 2))
    assert twice.class_queries.tolist() == once.class_queries.tolist()
    assert flat(twice.means) == flat(once.means)
    assert flat(twice.of_classes)["map_at_r"].tolist() == flat(once.of_classes)["map_at_r"].tolist()


def test_sets_of_one_label_are_classes() -> None:
    z, labels = batch(3000)
    sets = LabelSets.of([[label] if label != -1 else [] for label in labels.tolist()])
    names = tuple(name for name in MEASURES if name != "knn_accuracy")
    by_class, by_set = evaluate(z, labels, measures=names), evaluate(z, sets, measures=names)
    for name, values in flat(by_class.each).items():
        assert torch.equal(values, flat(by_set.each)[name])
    assert by_class.classes.tolist() == by_set.classes.tolist()


# bad input -----------------------------------------------------------------------------------------------------------

ONES, SAME = torch.ones(4, 2), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("given_", "options", "message"),
    [
        ((torch.ones(4), SAME), {}, r"queries: a tensor \(4,\)"),
        ((np.ones((4, 2)), SAME), {}, "queries: a ndarray"),
        ((ONES.long(), SAME), {}, "torch.int64; expected a floating"),
        ((torch.ones(0, 2), SAME[:0]), {}, "at least one row"),
        ((ONES, SAME[:3]), {}, r"labels are a tensor \(3,\)"),
        ((ONES, SAME.float()), {}, "torch.float32; expected integers"),
        ((ONES, [0, 0, 0, 0]), {}, "labels are a list"),
        ((ONES, LabelSets.of([[1], [1]])), {}, "labels hold 2 sets; expected one for each of 4"),
        ((ONES, SAME, ONES), {}, "a gallery and its labels"),
        ((ONES, SAME, torch.ones(4, 3), SAME), {}, "expected equal dims"),
        ((ONES, SAME, ONES, SAME[:2]), {}, "gallery labels are"),
        ((ONES, SAME, ONES, LabelSets.of([[0]] * 4)), {}, "expected the same kind"),
        ((ONES, SAME), {"ks": ()}, r"ks = \[\]"),
        ((ONES, SAME), {"ks": (0, 1)}, r"ks = \[0, 1\]"),
        ((ONES, SAME), {"block": 0}, "block = 0"),
        ((ONES, SAME), {"measures": ()}, "no measures"),
        ((ONES, LabelSets.of([[0]] * 4)), {"measures": ("knn_accuracy",)}, "knn_accuracy with label sets"),
        ((ONES, torch.arange(4)), {}, "none of 4 queries has a relevant item among other rows"),
        ((ONES, SAME - 1), {}, "none of 4 queries"),
        ((ONES, SAME, ONES, SAME + 1), {"measures": ("mrr",)}, "among 4 rows of the gallery"),
    ],
)
def test_what_can_t_be_evaluated_is_refused(given_: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        evaluate(*given_, **options)


def test_rows_that_are_not_finite_are_named() -> None:
    z = torch.ones(9000, 2)
    z[7, 1], z[8999, 0] = torch.nan, torch.inf
    with pytest.raises(InvalidInput, match=r"in 2 of 9000 rows \(7, 8999\)"):
        evaluate(z, torch.zeros(9000, dtype=torch.int64))


@pytest.mark.parametrize(
    "options",
    [{"measures": ("recall",)}, {"similarity": "cosin"}, {"backend": "fais"}],
    ids=lambda one: next(iter(one)),
)
def test_unknown_names_name_the_nearest(options: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match="did you mean"):
        evaluate(ONES, SAME, **options)


@pytest.mark.parametrize(
    ("offsets", "values"), [([0, 2], [1]), ([1, 1], [1]), ([0, 2, 1], [1]), ([], []), ([0.0, 1.0], [1])]
)
def test_label_sets_that_don_t_fit_are_refused(offsets: list[float], values: list[int]) -> None:
    with pytest.raises(InvalidInput, match="offsets of label sets"):
        LabelSets(torch.tensor(offsets), torch.tensor(values, dtype=torch.int64))


# manners -------------------------------------------------------------------------------------------------------------


def test_it_tells_how_far_it_is_and_leaves_everything_as_it_was() -> None:
    z, labels = batch(2000)
    copy = z.clone().requires_grad_()
    state = torch.get_rng_state()
    torch.set_float32_matmul_precision("medium")
    try:
        for measures in ("all", ("recall_at_k",)):
            told: list[tuple[int, int]] = []
            remember = told.append
            found = evaluate(copy, labels, measures=measures, progress=lambda *done, to=remember: to(done))  # type: ignore[arg-type]
            assert told[-1][0] == told[-1][1] > 0
            assert [done for done, _ in told] == sorted(done for done, _ in told)
            assert not found.each["recall_at_k"][1].requires_grad
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(copy, z)


def test_autocast_does_not_blur_it() -> None:
    z, labels = batch(500)
    expected = flat(evaluate(z, labels).means)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert flat(evaluate(z, labels).means) == expected


def test_a_result_is_frozen_and_readable() -> None:
    found = evaluate(*batch(60), ks=(1, 5), measures=("recall_at_k", "map_at_r"))
    with pytest.raises(AttributeError):
        found.n = 3  # type: ignore[misc]
    assert repr(found).startswith("Evaluation(55 of 60 queries in a gallery of 60: recall_at_k 0.")


# memory and types ----------------------------------------------------------------------------------------------------


def test_one_long_list_does_not_widen_those_of_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zero vector is tied with the whole gallery: only its own list is as long."""
    z, labels = batch(20_000, classes=400)
    z[7] = 0.0
    rows = torch.arange(256)
    widest = []
    sorted_rows = ranking_module.sorted_rows
    monkeypatch.setattr(ranking_module, "sorted_rows", lambda keys: widest.append(keys.numel()) or sorted_rows(keys))
    names = ("map_at_r", "knn_accuracy")
    found = evaluate(z[rows], labels[rows], z, labels, query_rows=rows, measures=names)
    assert max(widest) <= ranking_module.CANDIDATES
    alone = evaluate(z[7:8], labels[7:8], z, labels, query_rows=rows[7:8], measures=names)
    place = found.queries.tolist().index(7)
    assert found.each["map_at_r"][place] == alone.each["map_at_r"][0]
    monkeypatch.setattr(ranking_module, "CANDIDATES", 2**30)
    whole = evaluate(z[rows], labels[rows], z, labels, query_rows=rows, measures=names)
    for name, values in flat(whole.each).items():
        assert torch.equal(values, flat(found.each)[name])


@pytest.mark.parametrize("measures", ["all", ("recall_at_k", "mrr")])
def test_the_unsigned_label_255_is_a_class(measures: Any) -> None:
    z, labels = batch(60)
    labels = torch.where(labels == 0, 255, labels.clamp_min(0))
    found, expected = (evaluate(z, one, measures=measures) for one in (labels.to(torch.uint8), labels))
    assert found.excluded == expected.excluded
    assert flat(found.means) == flat(expected.means)
    assert found.classes.tolist() == expected.classes.tolist()


def test_labels_that_contradict_each_other_are_refused() -> None:
    z, labels = batch(40)
    sets = LabelSets.of([[one] for one in labels.tolist()])
    for names in ("recall_at_k", "map_at_r"):
        with pytest.raises(InvalidInput, match="expected the same kind"):
            evaluate(z, labels, z, sets, measures=names)
    rows = torch.arange(3)
    with pytest.raises(InvalidInput, match="3 queries have another class than their rows of the gallery"):
        evaluate(z[:3], labels[:3] + 50, z, labels, query_rows=rows)
    assert evaluate(z[:3], labels[:3], z, labels, query_rows=rows).n == 3


def test_few_matches_at_a_time_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    z = torch.randn(300, 4, generator=random)
    sets = LabelSets.of([torch.randperm(8, generator=random)[: row % 5].tolist() for row in range(300)])
    whole = evaluate(z, sets)
    monkeypatch.setattr(labels_module, "MATCHES", 100)
    largest = []
    ranges = labels_module.ranges
    monkeypatch.setattr(
        labels_module, "ranges", lambda starts, many: largest.append(int(many.sum())) or ranges(starts, many)
    )
    assert flat(evaluate(z, sets).means) == flat(whole.means)
    assert max(largest) < 1000  # of 45,000: a part and the items of one label, or the labels of all rows


def test_a_collapsed_space_takes_no_vote_and_no_sum_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    z, labels = torch.ones(600, 3), torch.arange(600) % 7
    labels[::50] = -1
    calls = []
    winner, missed = votes_module._winner, measures_module.missed_probability
    monkeypatch.setattr(votes_module, "_winner", lambda *given: calls.append(len(given[1])) or winner(*given))
    terms = []
    monkeypatch.setattr(
        measures_module, "missed_probability", lambda size, *rest: terms.append(len(size)) or missed(size, *rest)
    )
    found = evaluate(z, labels)
    assert 1 not in calls  # one row at a time
    assert max(terms) < 10_000  # of 300,000: one sum for each class
    for k, each in found.each["knn_accuracy"].items():
        others = torch.bincount(labels[labels >= 0], minlength=7)
        for place, query in enumerate(found.queries.tolist()):
            left = others.clone()
            left[labels[query]] -= 1
            assert each[place] == (left.argmax() == labels[query]), k
