"""Verification: does one threshold tell pairs of one class from pairs of two?

Pairs i < j of rows with a class are genuine (one class) or impostors (two). At a threshold t a pair is accepted if its
similarity is at least t. FMR(t) is the share of impostors accepted, FNMR(t) the share of genuine pairs rejected
(ISO/IEC 19795-1); the equal error rate (EER) is where the two curves cross, on the line between the thresholds around it.

OPIS, the operating-point inconsistency score (Zhang et al., "Threshold-Consistent Margin Loss for Open-World Deep
Metric Learning", ICLR 2024, arXiv 2307.04047): the mean over classes c and over thresholds t of (U_c(t) - Ū(t))², where
U_c = 2 TPR_c TNR_c / (TPR_c + TNR_c) is the utility of class c's own pairs, Ū its mean over classes, and t runs evenly
over the similarities between two FMRs of all pairs. It is 0 where one threshold serves all classes alike.

Similarities are counted in histograms with bins of 2⁻²⁰ for all pairs, and of 2⁻¹⁴ for the pairs of each class (wider
beyond 100 classes, so that they take at most 64 MB): exact at these resolutions, in one pass over blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.evaluation.labels import LabelSets, checked_labels
from losscope.evaluation.points import Similarity, check_embeddings, longest_of, points_of
from losscope.evaluation.precision import exact_products
from losscope.neighbors import RESOLUTION, level_of
from losscope.types import OUTLIER

COARSE = 2**6  # levels, at least, in a bin of a class's histogram
CELLS = 2**23  # bins of all classes' histograms, at most
SPAN = {"cosine": (-1.0, 1.0), "euclidean": (-2.0, 0.0)}
BLOCK = 1024


@dataclass(frozen=True)
class Verification:
    """Error rates of one threshold for all pairs. Thresholds are cosines or Euclidean distances."""

    genuine: int  # pairs of one class
    impostors: int  # pairs of two classes
    eer: float
    eer_threshold: float
    fnmr_at_fmr: dict[float, float]  # at the most permissive threshold whose FMR is at most the key
    threshold_at_fmr: dict[float, float]
    opis: float
    opis_classes: int  # classes with both kinds of pairs
    resolution: (
        float  # of similarities (for Euclidean distance, of half the squared distance over the longest vector's)
    )
    opis_resolution: float  # the same, for OPIS


def verification(
    embeddings: Tensor,
    labels: Tensor,
    *,
    fmrs: Sequence[float] = (1e-2, 1e-3, 1e-4),
    calibration: tuple[float, float] = (1e-3, 1e-1),
    similarity: Similarity = "cosine",
    progress: Callable[[int, int], object] | None = None,
) -> Verification:
    """Error rates of all pairs of embeddings (n, dim) with classes (n,), by cosine or Euclidean distance.

    Rows of the class -1 form no pairs. `calibration` is the range of FMRs over whose thresholds OPIS is taken. Raises
    InvalidInput without a pair of either kind, for inner products, and as `evaluate` does.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> found = verification(z, torch.tensor([0, 0, 1, 1]))
    >>> found.eer, found.genuine, found.impostors
    (0.0, 2, 4)
    """
    if similarity not in SPAN:
        raise InvalidInput(f"similarity '{similarity}' has no threshold for all queries; expected cosine or euclidean")
    if not all(0 < one < 1 for one in (*fmrs, *calibration)) or calibration[0] >= calibration[1]:
        raise InvalidInput(f"fmrs {tuple(fmrs)} and calibration {calibration}; expected shares between 0 and 1, rising")
    check_embeddings(embeddings, "embeddings")
    classed = checked_labels(labels, len(embeddings), "labels")
    if isinstance(classed, LabelSets):
        raise InvalidInput("labels are sets; expected integers, one class for each row")
    with exact_products(embeddings.device), torch.no_grad():
        known = classed != OUTLIER
        if int(known.sum()) < 2:
            raise InvalidInput(f"{int(known.sum())} rows with a class; expected at least one pair of either kind")
        points, shown = points_of(embeddings[known], None, similarity)
        classes, place = torch.unique(classed[known], return_inverse=True)
        counts = _histograms(points, shown, place, len(classes), SPAN[similarity], progress)
        scale = longest_of(embeddings[known], None) if similarity == "euclidean" else None
    return _rates(counts, tuple(fmrs), calibration, scale)


@dataclass(frozen=True)
class _Counts:
    """Histograms of levels, from `low` on upwards: of all pairs, and of the pairs that each class has a part in;
    impostors first, then genuine pairs."""

    pairs: Tensor  # (2, bins) int64
    of_classes: Tensor  # (2, classes, coarse bins) int64
    low: int  # level of the first bin
    coarse: int  # levels in a coarse bin


def _histograms(
    points: Tensor,
    shown: Tensor,
    place: Tensor,
    classes: int,
    span: tuple[float, float],
    progress: Callable[[int, int], object] | None,
) -> _Counts:
    low, high = (round(end / RESOLUTION) for end in span)
    bins, coarse = high - low + 1, COARSE
    while 2 * classes * (bins // coarse + 1) > CELLS and coarse < bins:
        coarse *= 2
    columns_of_class = (bins - 1) // coarse + 1
    pairs = torch.zeros(2 * bins, dtype=torch.int64, device=points.device)
    of_classes = torch.zeros(2 * classes * columns_of_class, dtype=torch.int64, device=points.device)
    one = torch.ones(1, dtype=torch.int64, device=points.device)
    for start in range(0, len(points), BLOCK):
        mine = place[start : start + BLOCK]
        for begin in range(start, len(points), BLOCK):
            theirs = place[begin : begin + BLOCK]
            product = points[start : start + BLOCK] @ shown[begin : begin + BLOCK].T
            level = level_of(product).clamp_(low, high).long().sub_(low)
            same = (mine.unsqueeze(1) == theirs).long()
            once = torch.ones_like(same, dtype=torch.bool).triu_(1) if begin == start else torch.ones_like(same).bool()
            pairs.index_add_(0, (same * bins + level)[once], one.expand(int(once.sum())))
            cell = same * (classes * columns_of_class) + level // coarse
            first = (cell + mine.unsqueeze(1) * columns_of_class)[once]
            of_classes.index_add_(0, first, one.expand(len(first)))
            second = (cell + theirs * columns_of_class)[once & (same == 0)]  # a genuine pair is its class's once
            of_classes.index_add_(0, second, one.expand(len(second)))
        if progress is not None:
            progress(min(start + BLOCK, len(points)), len(points))
    return _Counts(pairs.view(2, bins), of_classes.view(2, classes, columns_of_class), low, coarse)


def _accepted(counts: Tensor) -> Tensor:
    """Share (..., bins + 1) of the counts (..., bins) that is in each bin or above it; 0 beyond the last."""
    above = torch.cat([counts.flip(-1).cumsum(-1).flip(-1), counts.new_zeros(*counts.shape[:-1], 1)], dim=-1)
    return above.double() / above[..., :1]


def _rates(
    counts: _Counts, fmrs: Sequence[float], calibration: tuple[float, float], scale: float | None
) -> Verification:
    impostors, genuine = (int(number) for number in counts.pairs.sum(1))
    if not impostors or not genuine:
        raise InvalidInput(
            f"{genuine} pairs of one class and {impostors} of two; expected both: at least two classes, one of them "
            "with two rows"
        )
    fmr, tpr = _accepted(counts.pairs)
    fnmr = 1 - tpr

    def threshold(place: int) -> float:
        similarity = (counts.low + place) * RESOLUTION
        return similarity if scale is None else scale * math.sqrt(max(0.0, -2 * similarity))

    def place_at(rate: float) -> int:
        return int((fmr <= rate).int().argmax())

    crossing = int((fnmr >= fmr).int().argmax())
    before, after = (fmr - fnmr)[crossing - 1].item(), (fnmr - fmr)[crossing].item()
    share = before / (before + after)
    eer = fmr[crossing - 1].item() + share * (fmr[crossing] - fmr[crossing - 1]).item()
    opis, classes = _opis(counts, place_at(calibration[1]), place_at(calibration[0]))
    return Verification(
        genuine=genuine,
        impostors=impostors,
        eer=eer,
        eer_threshold=threshold(crossing),
        fnmr_at_fmr={rate: fnmr[place_at(rate)].item() for rate in fmrs},
        threshold_at_fmr={rate: threshold(place_at(rate)) for rate in fmrs},
        opis=opis,
        opis_classes=classes,
        resolution=RESOLUTION,
        opis_resolution=RESOLUTION * counts.coarse,
    )


def _opis(counts: _Counts, first: int, last: int) -> tuple[float, int]:
    """OPIS between two places of the fine histogram, and the number of classes that it is of."""
    both = (counts.of_classes.sum(2) > 0).all(0)
    accepted = _accepted(counts.of_classes[:, both])[:, :, first // counts.coarse : last // counts.coarse + 1]
    tpr, tnr = accepted[1], 1 - accepted[0]
    total = tpr + tnr
    utility = torch.where(total > 0, 2 * tpr * tnr / torch.where(total > 0, total, 1.0), 0.0)
    return (utility - utility.mean(0)).square().mean().item(), int(both.sum())
