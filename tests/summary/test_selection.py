"""What is chosen on validation classes, against a naive reading of the table, and known answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from losscope.summary import summarize
from losscope.summary.types import Selection
from planted_strict import LAST, class_splits, drawn


def by_loss(folder: Any) -> dict[str, Selection]:
    (comparison,) = summarize(folder).comparisons
    return {found.loss: found for found in comparison.selections}


def naive(
    loss: str, variants: Iterable[str], seeds: int, by: str, epochs: Iterable[int]
) -> tuple[str, list[int], float]:
    """Variant, epoch of each seed and mean test value of the choice by one split."""
    best = []
    for variant in variants:
        curves = [[drawn(by, loss, variant, seed, epoch) for epoch in epochs] for seed in range(seeds)]
        places = [int(np.argmax(curve)) for curve in curves]
        mean = np.mean([curve[place] for curve, place in zip(curves, places, strict=True)])
        best.append((mean, variant, [list(epochs)[place] for place in places]))
    _, variant, chosen = max(best)
    return variant, chosen, float(np.mean([drawn("test", loss, variant, seed, at) for seed, at in enumerate(chosen)]))


def test_choices_are_those_of_a_naive_reading(strict_record: Any) -> None:
    found = by_loss(strict_record())
    for loss, margins in (("contrastive", ("0.5", "1.0")), ("triplet", ("0.1", "0.2", "0.5"))):
        selection = found[loss]
        variants = [f"margin={margin}" for margin in margins]
        assert (selection.variants, selection.epochs, selection.left_out) == (len(variants), (1, 2, 3, 4), ())
        for choice, by, epochs in (
            (selection.last, "validation", [LAST]),
            (selection.chosen, "validation", [1, 2, 3, 4]),
            (selection.peeked, "test", [1, 2, 3, 4]),
        ):
            variant, chosen, test = naive(loss, variants, 5, by, epochs)
            assert (choice.subject.variant, list(choice.epochs.values())) == (variant, chosen)
            assert np.mean(list(choice.test.values())) == pytest.approx(test)
        gain = selection.peeking_gain
        each = [selection.peeked.test[seed] - selection.chosen.test[seed] for seed in range(5)]
        assert (gain.n, gain.interval.mean) == (5, pytest.approx(np.mean(each)))
        assert gain.interval.mean >= 0


def test_where_validation_and_test_agree_nothing_is_gained(strict_record: Any) -> None:
    def alike(split: str, *place: Any) -> float:
        return drawn("either", *place)

    for selection in by_loss(strict_record(level=alike)).values():
        assert selection.chosen == selection.peeked
        assert selection.peeking_gain.interval.mean == 0


def test_of_equals_the_first_epoch_and_the_first_variant(strict_record: Any) -> None:
    flat = by_loss(strict_record(level=lambda *place: 0.5))["triplet"]
    assert flat.chosen.subject.variant == "margin=0.1"
    assert set(flat.chosen.epochs.values()) == {1}
    assert set(flat.last.epochs.values()) == {LAST}


def test_peeking_gains_what_the_test_split_knows_better(strict_record: Any) -> None:
    def level(split: str, loss: str, variant: str, seed: int, epoch: int) -> float:
        wanted = 2 if split == "validation" else 3  # validation points at epoch 2, test is best at epoch 3
        return 0.5 + 0.1 * (epoch == wanted) + 0.01 * seed

    selection = by_loss(strict_record(level=level))["contrastive"]
    assert set(selection.chosen.epochs.values()) == {2}
    assert selection.peeking_gain.interval.mean == pytest.approx(0.1)
    assert (selection.peeking_gain.interval.low, selection.peeking_gain.interval.high) == pytest.approx((0.1, 0.1))


def test_a_variant_that_lost_seeds_is_no_candidate(strict_record: Any) -> None:
    def level(split: str, loss: str, variant: str, seed: int, epoch: int) -> float:
        return 0.9 if variant == "margin=0.2" else 0.5

    lost = {("triplet", "margin=0.2", 3): "diverged"}
    selection = by_loss(strict_record(level=level, status=lost))["triplet"]
    assert [one.variant for one in selection.left_out] == ["margin=0.2"]
    assert (selection.variants, selection.chosen.subject.variant) == (2, "margin=0.1")


def test_one_lucky_seed_does_not_speak_for_a_loss(strict_record: Any) -> None:
    def level(split: str, loss: str, variant: str, seed: int, epoch: int) -> float:
        return 0.9 if variant == "margin=0.2" else 0.6 if variant == "margin=0.5" else 0.5

    lost = {("triplet", "margin=0.2", seed): "diverged" for seed in range(1, 5)}
    (comparison,) = summarize(strict_record(level=level, status=lost)).comparisons
    assert comparison.tuned
    chosen = {one.loss: one.last.subject for one in comparison.selections}
    assert {one.loss: one for one in comparison.representatives} == chosen
    assert chosen["triplet"].variant == "margin=0.5"


def test_epochs_that_only_some_runs_evaluated_are_no_candidates(strict_record: Any) -> None:
    def level(split: str, loss: str, variant: str, seed: int, epoch: int) -> float | None:
        return None if (split, variant, seed, epoch) == ("validation", "margin=0.5", 1, 2) else 0.5

    assert by_loss(strict_record(level=level))["triplet"].epochs == (1, 3, 4)


def test_without_validation_classes_nothing_is_chosen(write_record: Any) -> None:
    assert [part.selections for part in summarize(write_record()).comparisons] == [()]


def test_class_splits_of_one_data_set_are_told(strict_record: Any) -> None:
    assert [
        (part.base_dataset, part.class_split) for part in summarize(strict_record(**class_splits(2))).comparisons
    ] == [
        ("digits/class_disjoint_validation", 1),
        ("digits/class_disjoint_validation", 2),
    ]
