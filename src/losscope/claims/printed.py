"""Printed numbers held against one another: what can't be, what doesn't follow, and the paper's own test on our runs.

For unit-length embeddings with class centroids μ_c and g the mean of the centroids, exactly (both sides over C classes):

    mean over pairs of |μ_c - μ_c'|² = 2C/(C - 1) · (1 - intra - |g|²)

so that a printed mean distance m, unbiased variance s² over the P = C(C - 1)/2 pairs and intra-class variance leave

    |g|² = 1 - intra - (C - 1)/(2C) · (m² + s²·(P - 1)/P),  which is never negative.

Rounding is granted: the digits behind the printed ones are taken as what suits the paper best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from losscope.claims.pairing import pairs
from losscope.claims.source import claims, document
from losscope.claims.types import LineVerdict, PrintedNumber
from losscope.statistics import one_run_test, paired_difference
from losscope.statistics.one_run import PSEUDO_REPLICATION
from losscope.summary.formatting import number, p_text
from losscope.summary.measures import INTRA_TRAIN
from losscope.summary.pairing import Side, on_equal_data, seeds_of_other_data
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

PAPER = "paper A (arXiv 2510.02161)"
PRINTED_P = 0.001
BLIND = 0.02
"""A loss this near to m²/4, as a share of it, can't see the labels."""


def printed_numbers(summary: Summary) -> tuple[PrintedNumber, ...]:
    """What the papers print, held against itself, then the printed test on the runs of the summary."""
    found = document("printed.toml")
    return (
        *(_row(row) for row in found["row"]),
        *(_test(test) for test in found["test"]),
        *(_over_classes(entry) for entry in found["over_classes"]),
        *(_label_blind(entry) for entry in found["label_blind"]),
        *(number for part in summary.given for number in _own_test(part)),
    )


def mean_centroid_squared(intra: float, distance: float, spread: float, classes: int) -> float:
    """|g|² that the identity leaves; negative if no unit-length embeddings have these numbers.

    >>> round(mean_centroid_squared(0.074, 1.4399, 0.0342, 10), 3)
    -0.022
    """
    pairs_of_classes = classes * (classes - 1) / 2
    squared = distance**2 + spread * (pairs_of_classes - 1) / pairs_of_classes
    return 1 - intra - (classes - 1) / (2 * classes) * squared


def least(printed: str) -> float:
    """The smallest number that rounds to the printed one.

    >>> least("0.074")
    0.0735
    """
    value = Decimal(printed)
    return float(value - Decimal(1).scaleb(int(value.as_tuple().exponent)) / 2)


def p_is(p: float) -> str:
    """A p value in a sentence.

    >>> p_is(0.0019), p_is(1e-9)
    ('p = 0.0019', 'p < 0.0001')
    """
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _row(row: Mapping[str, Any]) -> PrintedNumber:
    left = {
        classes: mean_centroid_squared(least(row["intra"]), least(row["inter"]), least(row["spread"]), classes)
        for classes in row["classes"]
    }
    possible = max(left.values()) >= 0
    said = " or ".join(f"{value:.3f} with {classes} classes" for classes, value in left.items())
    return PrintedNumber(
        what=f"Table 1's row of {row['loss']} loss on {row['data']} can come from one set of unit-length embeddings.",
        source=f"{PAPER}, Table 1, inter-class distance read as unsquared, as its numbers on MNIST are",
        printed=f"intra {row['intra']}, inter {row['inter']} and {row['spread']}",
        follows=f"the mean centroid would have the squared length {said}"
        + ("" if possible else "; it can't be negative"),
        verdict="holds" if possible else "does not hold",
    )


def _test(test: Mapping[str, Any]) -> PrintedNumber:
    from scipy.special import stdtr

    p = 2 * float(stdtr(test["classes"] - 1, -float(test["t"])))
    return PrintedNumber(
        what=f"The difference of intra-class variance on {test['data']} has p < {test['below']} over the classes of the run.",
        source=f"{PAPER}, Table 1, against the stored values of each class",
        printed=f"p < {test['below']}",
        follows=f"t = {test['t']} of {test['classes']} classes gives {p_is(p)}; {PSEUDO_REPLICATION}",
        verdict="holds" if p < float(test["below"]) else "does not hold",
    )


def _over_classes(entry: Mapping[str, Any]) -> PrintedNumber:
    variance = float(entry["stored"]) ** 2
    unit = Decimal(1).scaleb(int(Decimal(entry["printed"]).as_tuple().exponent))
    return PrintedNumber(
        what=f"The intra-class variance of {entry['loss']} loss on {entry['data']} varies over classes as printed.",
        source=f"{PAPER}, Table 1, against the stored standard deviation over classes",
        printed=f"variance {entry['printed']}",
        follows=f"a standard deviation of {entry['stored']} is a variance of {number(variance)}",
        verdict="holds" if abs(variance - float(entry["printed"])) <= float(unit) / 2 else "does not hold",
    )


def _label_blind(entry: Mapping[str, Any]) -> PrintedNumber:
    floor = float(entry["margin"]) ** 2 / 4
    sees = abs(float(entry["stored"]) - floor) > BLIND * floor
    return PrintedNumber(
        what=f"The accuracy of contrastive loss on {entry['data']} is of a network that was trained by its labels.",
        source=f"{PAPER}, Table 3, against the stored log of its run",
        printed=entry["accuracy"],
        follows=f"the run's loss ends at {entry['stored']}; one that can't see the labels stays at m²/4 = {floor:g}",
        verdict="holds" if sees else "does not hold",
    )


def _own_test(comparison: Comparison) -> Iterator[PrintedNumber]:
    """The paper's t test over the classes of one run, in every run here: whatever its p, it can't tell."""
    claim = next(claim for claim in claims() if claim.name == "absolute_variance")
    for triplet, contrastive, _ in pairs(claim, comparison):
        tests = _tests_by_seed(comparison, contrastive, triplet)
        if not tests:
            continue
        both = on_equal_data(Side(comparison, contrastive), Side(comparison, triplet), INTRA_TRAIN)
        paired = paired_difference(*both) if both else None
        over_seeds = f"; over seeds {p_is(paired.p)}, n = {paired.n}" if paired and paired.p is not None else ""
        below = sum(p < PRINTED_P for p in tests)
        open_: LineVerdict = "cannot tell"
        yield PrintedNumber(
            what=f"The printed test on this record, {comparison.title}: {triplet.label} against {contrastive.label}.",
            source=f"{PAPER}, Table 1, its paired t test over the classes of one run",
            printed=f"p < {PRINTED_P:g}",
            follows=f"p < {PRINTED_P:g} in {below} of {len(tests)} runs, the largest {p_is(max(tests))}{over_seeds}; "
            f"{PSEUDO_REPLICATION}",
            verdict=open_,
        )


def _tests_by_seed(comparison: Comparison, first: Subject, second: Subject) -> list[float]:
    """p of the test in each run that has classes of both, and the same data."""
    other_data = seeds_of_other_data(Side(comparison, first), Side(comparison, second))
    sides = [comparison.class_variances.get(subject, {}) for subject in (first, second)]
    found = []
    for seed in sorted({seed for of in sides for seeds in of.values() for seed in seeds} - other_data):
        one, other = ({label: values[seed] for label, values in of.items() if seed in values} for of in sides)
        if one.keys() & other.keys() and (p := one_run_test(one, other).p) is not None:
            found.append(p)
    return found
