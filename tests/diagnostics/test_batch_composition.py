"""Composition of batches, against counting by hand."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from losscope.diagnostics import batch_classes, batch_negative_share, batch_positive_share


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=12))
def test_a_batch_is_counted_as_a_person_would(labels: list[int]) -> None:
    count = len(labels)
    positives = sum(
        any(i != j and labels[i] == labels[j] != -1 for j in range(count)) for i in range(count)
    )  # fmt: skip
    negatives = sum(
        any(i != j and (labels[i] != labels[j] or labels[i] == -1) for j in range(count)) for i in range(count)
    )
    given_labels = torch.tensor(labels)
    assert batch_classes(given_labels).item() == len({*labels} - {-1})
    assert batch_positive_share(given_labels).item() == positives / count
    assert batch_negative_share(given_labels).item() == negatives / count


def test_steps_are_counted_apart() -> None:
    labels = torch.tensor([[0, 0, 1, 1], [2, 2, 2, 2], [-1, -1, -1, -1]])
    assert batch_classes(labels).tolist() == [2, 1, 0]
    assert batch_positive_share(labels).tolist() == [1, 1, 0]
    assert batch_negative_share(labels).tolist() == [1, 0, 1]
