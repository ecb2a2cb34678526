"""The active ratio of a criterion's terms, read where the terms are: before they are reduced.

    losscope.Criterion             its terms, caught as it computes them
    pytorch-metric-learning        what the loss hands to its reducer, caught there
    torch.nn                       TripletMarginLoss, TripletMarginWithDistanceLoss, CosineEmbeddingLoss, by their formulas
    anything else                  has no terms to see: the row-level ratio (`active_rows`) is all there is

Nothing here changes what the criterion computes, its state or a random number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from losscope.criterion import Criterion
from losscope.diagnostics import active_ratio, active_ratio_negative, active_ratio_positive
from losscope.diagnostics.greediness import ACTIVE_ABOVE
from losscope.types import LossTerms, Pairs, Tuples

Scalars = dict[str, Tensor]
"""Diagnostic -> its value for one step, ()."""

Reader = Callable[[Sequence[Any], Mapping[str, Any]], Scalars]
"""From the arguments of a call to the activity of its terms."""


def reader_of(criterion: object) -> Reader | None:
    """How to read the terms of a criterion from its arguments; None where that is not known."""
    if isinstance(criterion, nn.TripletMarginLoss | nn.TripletMarginWithDistanceLoss):
        return lambda arguments, keywords: _of_triplets(criterion, *arguments, **keywords)
    if isinstance(criterion, nn.CosineEmbeddingLoss):
        return lambda arguments, keywords: _of_cosines(criterion, *arguments, **keywords)
    return None


@torch.no_grad()
def _of_triplets(
    criterion: nn.TripletMarginLoss | nn.TripletMarginWithDistanceLoss, anchor: Tensor, positive: Tensor, negative: Tensor
) -> Scalars:  # fmt: skip
    if isinstance(criterion, nn.TripletMarginLoss):
        values = F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=criterion.margin,
            p=criterion.p,
            eps=criterion.eps,
            swap=criterion.swap,
            reduction="none",
        )
    else:
        values = F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=criterion.distance_function,
            margin=criterion.margin,
            swap=criterion.swap,
            reduction="none",
        )
    return {"active_ratio": _ratio(values)}


@torch.no_grad()
def _of_cosines(criterion: nn.CosineEmbeddingLoss, first: Tensor, second: Tensor, target: Tensor) -> Scalars:
    values = F.cosine_embedding_loss(first, second, target, margin=criterion.margin, reduction="none")
    terms = LossTerms(values, torch.ones_like(values, dtype=torch.bool))
    same = target > 0
    return {
        "active_ratio": active_ratio(terms),
        "active_ratio_positive": active_ratio_positive(terms, same),
        "active_ratio_negative": active_ratio_negative(terms, same),
    }


def _ratio(values: Tensor) -> Tensor:
    return active_ratio(LossTerms(values, torch.ones_like(values, dtype=torch.bool)))


def catcher_of(criterion: object) -> Terms | Reduced | None:
    """What catches terms inside of a criterion, between `arm` and `take`; None where there is nothing to catch, and
    where it is compiled: what is caught would be compiled again."""
    if not isinstance(criterion, nn.Module) or hasattr(criterion, "_orig_mod"):
        return None
    ours = next((part for part in criterion.modules() if isinstance(part, Criterion)), None)
    if ours is not None:
        return Terms(ours)
    return Reduced(criterion) if any(_reducer(part) is not None for part in criterion.modules()) else None


class Terms:
    """Catches the terms that a `losscope.Criterion` computes: its method `terms` is stood in for, during one call."""

    def __init__(self, criterion: Criterion) -> None:
        self._criterion = criterion
        self._found: tuple[LossTerms, Tuples] | None = None

    def arm(self) -> None:
        """Catch the next call."""
        self._found = None
        vars(self._criterion)["terms"] = self._caught

    def take(self) -> Scalars:
        """The activity of what was caught; nothing is caught from now on."""
        self.remove()
        found, self._found = self._found, None
        if found is None:
            return {}
        terms, tuples = found
        if not isinstance(tuples, Pairs):
            return {"active_ratio": active_ratio(LossTerms(terms.values.detach(), terms.valid))}
        # As diagnostics.active_ratio and those of the two sides, with each mask and each sum once.
        active = (terms.values.detach() > ACTIVE_ABOVE) & terms.valid
        whole, of = active.sum(), terms.valid.sum()
        positive, of_positive = (active & tuples.same).sum(), (terms.valid & tuples.same).sum()
        return {
            "active_ratio": whole / of,
            "active_ratio_positive": positive / of_positive,
            "active_ratio_negative": (whole - positive) / (of - of_positive),
        }

    def remove(self) -> None:
        """Leave the criterion as it was."""
        vars(self._criterion).pop("terms", None)

    def _caught(self, embeddings: Tensor, labels: Tensor) -> tuple[LossTerms, Tuples]:
        self.remove()  # also where the call fails
        self._found = self._criterion.terms(embeddings, labels)
        return self._found


class Reduced:
    """Catches what losses of pytorch-metric-learning hand to their reducers, between `arm` and `take`."""

    def __init__(self, criterion: nn.Module) -> None:
        reducers = {id(one): one for part in criterion.modules() if isinstance(one := _reducer(part), nn.Module)}
        self._hooks = [one.register_forward_pre_hook(self._caught, with_kwargs=True) for one in reducers.values()]
        self._armed = False
        self._found: list[Mapping[str, Any]] = []

    def arm(self) -> None:
        """Catch from now on."""
        self._armed, self._found = True, []

    def take(self) -> Scalars:
        """The activity of what was caught; nothing is caught from now on."""
        self._armed = False
        parts = [part for found in self._found for part in found.values()]
        self._found = []
        values = {"": [part["losses"] for part in parts]}
        for side, kind in (("_positive", "pos_pair"), ("_negative", "neg_pair")):
            values[side] = [part["losses"] for part in parts if part["reduction_type"] == kind]
        return {
            f"active_ratio{side}": (torch.cat(of) > ACTIVE_ABOVE).double().mean()
            for side, losses in values.items()
            if (of := [one.flatten() for one in losses if isinstance(one, Tensor)])
        }

    def remove(self) -> None:
        """Leave the criterion as it was."""
        for hook in self._hooks:
            hook.remove()

    def _caught(self, module: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        found = arguments[0] if arguments else keywords.get("loss_dict")
        if self._armed and isinstance(found, Mapping) and _whole(found):
            self._found.append(
                {
                    name: {
                        "reduction_type": part["reduction_type"],
                        "losses": part["losses"].detach() if isinstance(part["losses"], Tensor) else None,
                    }
                    for name, part in found.items()
                }
            )


def _reducer(module: nn.Module) -> Any:
    """The reducer of a loss; of MultipleReducers the outer one, which sees all parts."""
    return getattr(module, "reducer", None) if hasattr(module, "compute_loss") else None


def _whole(found: Mapping[str, Any]) -> bool:
    """Whether it is what a loss hands to its reducer, and no other module's arguments."""
    return all(isinstance(part, Mapping) and {"losses", "reduction_type"} <= part.keys() for part in found.values())
