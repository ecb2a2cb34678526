"""`check_loss` accepts a sound loss of one's own and refuses each kind of broken one with its reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from losscope.distances import distances, entries, gram_squared_distances, pair_squared_distances, rows
from losscope.errors import InvalidStudy, UnknownName
from losscope.testing import check_loss
from losscope.types import BatchTriplets, Loss, LossTerms, Pairs, Triplets


def pair_loss(terms: Callable[..., LossTerms], **fields: object) -> Loss:
    return Loss(terms, kind="pair", **{"saturates": True, "reference": "mine", **fields})  # type: ignore[arg-type]


def sound(z: Tensor, pairs: Pairs, *, margin: float = 1.0) -> LossTerms:
    squared = pair_squared_distances(z, pairs.first, pairs.second)
    return LossTerms(torch.where(pairs.same, squared, relu(margin - squared)), pairs.valid)


def soft_triplet(
    z: Tensor, triplets: Triplets | BatchTriplets, *, margin: float = 0.5, shift: float = 0.0
) -> LossTerms:
    if isinstance(triplets, BatchTriplets):
        matrix = distances(gram_squared_distances(z))
        to_positive = entries(matrix, triplets.anchor, triplets.positive).unsqueeze(-1)
        valid = rows(triplets.differs.to(z.dtype), triplets.anchor).bool() & triplets.paired.unsqueeze(-1)
        return LossTerms(softplus(to_positive - rows(matrix, triplets.anchor) + margin + shift), valid)
    to_positive = distances(pair_squared_distances(z, triplets.anchor, triplets.positive))
    to_negative = distances(pair_squared_distances(z, triplets.anchor, triplets.negative))
    return LossTerms(softplus(to_positive - to_negative + margin + shift), triplets.valid)


@pytest.mark.parametrize("stacking", ["vmap", "loop"])
def test_sound_losses_pass(stacking: str) -> None:
    check_loss(pair_loss(sound, stacking=stacking), margin=0.7)
    check_loss(
        Loss(soft_triplet, kind="triplet", saturates=False, reference="mine", stacking=stacking),  # type: ignore[arg-type]
        shift=-0.1,
    )


def bare_root(z: Tensor, pairs: Pairs) -> LossTerms:
    squared = (rows(z, pairs.first) - rows(z, pairs.second)).square().sum(-1)
    return LossTerms(torch.where(pairs.same, squared, relu(1 - squared.sqrt()).square()), pairs.valid)


def broadcast(z: Tensor, pairs: Pairs) -> LossTerms:
    squared = pair_squared_distances(z, pairs.first, pairs.second).unsqueeze(-1)
    same = pairs.same.to(z.dtype)
    return LossTerms(same * squared + (1 - same) * relu(1 - distances(squared)).square(), pairs.valid)


def blind_to_labels(z: Tensor, pairs: Pairs) -> LossTerms:
    squared = pair_squared_distances(z, pairs.first, pairs.second)
    share = pairs.same.to(z.dtype).mean()
    terms = share * squared + (1 - share) * relu(1 - distances(squared)).square()
    return LossTerms(terms, pairs.valid)


def by_coordinates(z: Tensor, pairs: Pairs) -> LossTerms:
    gap = (rows(z, pairs.first) - rows(z, pairs.second)).abs().sum(-1)
    return LossTerms(torch.where(pairs.same, gap.square(), relu(1 - gap).square()), pairs.valid)


def by_place(z: Tensor, pairs: Pairs) -> LossTerms:
    terms, valid = sound(z, pairs)
    return LossTerms(terms * (1 + pairs.first), valid)


def counts_invalid(z: Tensor, pairs: Pairs) -> LossTerms:
    terms, valid = sound(z, pairs)
    return LossTerms(terms * (1 + terms.mean()), valid)


def detached(z: Tensor, pairs: Pairs) -> LossTerms:
    return sound(z.detach() * 0.5 + z * 0.5, pairs)


def other_shape(z: Tensor, pairs: Pairs) -> LossTerms:
    terms, valid = sound(z, pairs)
    return LossTerms(terms.unsqueeze(-1), valid.unsqueeze(-1))


def everything_valid(z: Tensor, pairs: Pairs) -> LossTerms:
    return LossTerms(sound(z, pairs).values, torch.ones_like(pairs.valid))


def in_double(z: Tensor, pairs: Pairs) -> LossTerms:
    terms, valid = sound(z, pairs)
    return LossTerms(terms.double(), valid)


def across_runs(z: Tensor, pairs: Pairs) -> LossTerms:
    """Meant for one run, said to be native: the mean runs over all of them."""
    terms, valid = sound(z, pairs)
    return LossTerms(torch.where(valid, terms * z.square().sum(-1).mean() + z.mean() * 0, 0.0) * len(z), valid)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (pair_loss(bare_root), "the gradient is not finite"),
        (pair_loss(broadcast), "from \\(B, 1\\) meeting \\(B,\\)"),
        (pair_loss(other_shape), "one entry for each term"),
        (pair_loss(in_double), "of type torch.float64"),
        (pair_loss(everything_valid), "marked valid whose tuple is not"),
        (pair_loss(blind_to_labels), "at equal label mean"),
        (pair_loss(by_coordinates), "under a rotation"),
        (pair_loss(by_place), "when the batch was reordered"),
        (pair_loss(counts_invalid), "what invalid tuples point at"),
        (pair_loss(sound, stacking="native"), "invalid terms are not 0"),
        (pair_loss(across_runs, stacking="native"), "run 0 of a stack of 3"),
        (pair_loss(detached), "not the derivative"),
        (pair_loss(sound, saturates=False), "expected saturates = True"),
    ],
)
def test_broken_losses_are_refused_with_the_reason(loss: Loss, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason) as refusal:
        check_loss(loss)
    assert f"loss '{loss.terms.__name__}'" in str(refusal.value)


def test_saturation_that_is_claimed_must_be_there() -> None:
    loss = Loss(soft_triplet, kind="triplet", saturates=True, reference="mine")
    with pytest.raises(AssertionError, match="expected saturates = False"):
        check_loss(loss)


def test_hyperparameters_are_bound_first() -> None:
    with pytest.raises(UnknownName, match="did you mean 'margin'"):
        check_loss(pair_loss(sound), magrin=1.0)
    with pytest.raises(InvalidStudy, match="positive, finite number"):
        check_loss(pair_loss(sound), margin=-1.0)
