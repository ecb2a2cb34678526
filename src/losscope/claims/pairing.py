"""Which variants of two losses a claim compares: each reading of the claim is a line of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from losscope.claims.types import Claim
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

Pair = tuple[Subject, Subject, Mapping[str, str]]
"""The claim's loss, the one that it is compared with, and the hyper-parameters that tell this reading from others."""


def pairs(claim: Claim, comparison: Comparison) -> list[Pair]:
    """All pairs of variants that a claim compares here.

    A claim about two losses is judged in every reading: each variant of one against those of the other that agree with it
    in the hyper-parameters that both losses have and that vary, such as the margin. Where variants were chosen on a
    validation split, or a claim is about more losses than two, one variant of each speaks (`Comparison.representatives`).
    """
    found: list[Pair] = []
    two = len(claim.losses) == len(claim.against) == 1
    for loss in claim.losses:
        for against in claim.against:
            ones, others = variants(comparison, loss, all_of_them=two), variants(comparison, against, all_of_them=two)
            shared = _shared(comparison, ones, others)
            equal = [(one, other) for one in ones for other in others if _equal(comparison, one, other, shared)]
            if ones and others and not equal:  # no value in common: those that speak for their losses
                ones, others = variants(comparison, loss), variants(comparison, against)
                equal = [(one, other) for one in ones for other in others]
            found += [(one, other, reading((one, other), shared) if two else {}) for one, other in equal]
    return found


def variants(comparison: Comparison, loss: str, *, all_of_them: bool = False) -> list[Subject]:
    """The variants of a loss, or the one that speaks for it."""
    of_all = comparison.trained if all_of_them and not comparison.tuned else comparison.representatives
    return [subject for subject in of_all if subject.loss == loss]


def extremes(comparison: Comparison, loss: str, setting: str) -> list[Pair]:
    """The variants of a loss with the largest and the smallest value of a hyper-parameter, all else equal."""
    families: dict[str, list[Subject]] = {}
    for subject in comparison.trained:
        settings = comparison.hyperparameters[subject]
        if subject.loss == loss and setting in settings:
            rest = sorted((key, repr(value)) for key, value in settings.items() if key != setting)
            families.setdefault(repr(rest), []).append(subject)
    found: list[Pair] = []
    for family in families.values():
        ordered = sorted(family, key=lambda subject: float(comparison.hyperparameters[subject][setting]))
        if len(ordered) > 1:
            kept = {key: value for key, value in reading((ordered[-1],), ()).items() if not key.endswith(setting)}
            found.append((ordered[-1], ordered[0], {"loss": loss, **kept}))
    return found


def reading(subjects: Sequence[Subject], shared: Sequence[str]) -> dict[str, str]:
    """Hyper-parameter -> value of the variants, under the loss's name where it is not shared.

    >>> from losscope.summary.subjects import subjects
    >>> one, other = subjects([("contrastive", "margin=0.5"), ("triplet", "squared=true,margin=0.5")])
    >>> reading((one, other), ["margin"])
    {'margin': '0.5', 'triplet squared': 'true'}
    """
    found = {}
    for subject in subjects:
        for part in filter(None, subject.variant.split(",")):
            key, _, value = part.partition("=")
            found[key if key in shared else f"{subject.loss} {key}"] = value
    return found


def _shared(comparison: Comparison, ones: Sequence[Subject], others: Sequence[Subject]) -> list[str]:
    """Hyper-parameters that both losses have and that vary among these variants."""
    of = [[comparison.hyperparameters[subject] for subject in side] for side in (ones, others)]
    names = set.intersection(*(set(settings) for side in of for settings in side)) if all(of) else set()
    return sorted(name for name in names if any(len({repr(settings[name]) for settings in side}) > 1 for side in of))


def _equal(comparison: Comparison, one: Subject, other: Subject, shared: Sequence[str]) -> bool:
    first, second = comparison.hyperparameters[one], comparison.hyperparameters[other]
    return all(first[name] == second[name] for name in shared)
