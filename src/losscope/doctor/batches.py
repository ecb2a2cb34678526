"""Checks of what a batch is made of: without a positive and a negative there is nothing to learn."""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.doctor.calls import Call
from losscope.doctor.case import Case, share
from losscope.types import OUTLIER

ANCHORS = 0.5
"""Share of samples that should have a positive in their batch."""

EXACT = 2**24
"""Above it, neighboring whole numbers are one number in float32."""


def no_positives(case: Case) -> list[str] | None:
    """Batches in which no two rows belong together, or a miner that finds none."""
    if case.traits.class_vectors or not case.calls:
        return None
    bare = sum(not _has_positive(call) for call in case.calls)
    said = []
    if bare:
        said.append(f"{share(bare, len(case.calls))} have no two samples of a class: no positive pair.")
    empty = [one.mined for one in case.observed if one.mined is not None and one.mined[0] == 0]
    if len(empty) > bare:
        said.append(f"The miner leaves no positive pair or triplet in {share(len(empty), len(case.observed))}.")
    return said


def no_negatives(case: Case) -> list[str] | None:
    """Batches of pairs without a negative one, and miners that leave none."""
    pairs = [call for call in case.calls if call.kind == "pairs"]
    mined = [one.mined for one in case.observed if one.mined is not None]
    if not pairs and not mined:
        return None
    said = []
    if bare := sum(bool(call.positive_pairs.all()) for call in pairs):
        said.append(f"{share(bare, len(pairs))} have targets of positive pairs alone: nothing is pushed apart.")
    if empty := sum(negatives == 0 and positives > 0 for positives, negatives in mined):
        said.append(f"The miner leaves no negative pair in {share(empty, len(mined))}.")
    return said


def single_class(case: Case) -> list[str] | None:
    """Batches whose samples are all of one class."""
    calls = [call for call in case.calls if call.kind in ("labeled", "matched")]
    if not calls:
        return None
    alone = [call for call in calls if len(torch.unique(call.classes)) == 1]
    if not alone:
        return []
    sizes = sorted({len(call.classes) for call in alone})
    return [
        f"{share(len(alone), len(calls))} hold a single class, with {sizes[0]} to {sizes[-1]} samples: no negatives."
    ]


def batch_too_small(case: Case) -> list[str] | None:
    """Batches in which most samples have no positive, since there are too many classes for their size."""
    if case.traits.class_vectors or not case.labeled:
        return None
    anchors = sum(int((call.classes != OUTLIER).sum()) for call in case.labeled)
    partnered = sum(_partnered(call.classes) for call in case.labeled)
    if partnered >= ANCHORS * anchors:
        return []
    seen = len(torch.unique(torch.cat([call.classes for call in case.labeled])))
    size = anchors // len(case.labeled)
    return [
        f"{share(partnered, anchors, 'samples')} have another of their class in the batch, with {size} samples in a batch and "
        f"{seen} classes seen in {len(case.labeled)} batches."
    ]


def positives_as_negatives(case: Case) -> list[str] | None:
    """Equal inputs, or equal embeddings, that count as different classes."""
    calls = [one for one in case.observed if one.call is not None and one.call.kind != "pairs"]
    if not calls:
        return None
    found = [(pairs, batch.call) for batch in calls if batch.call and (pairs := _twins(batch.call, batch.inputs))]
    if not found:
        return []
    pairs, call = found[0]
    (first, second), labels = pairs[0], call.classes
    what = (
        f"rows {first} and {second} are the same and have the labels {labels[first]} and {labels[second]}"
        if call.kind == "labeled"
        else f"samples {first % len(call.parts[0])} and {second % len(call.parts[0])} are the same"
    )
    total = sum(len(of) for of, _ in found)
    return [f"{share(len(found), len(calls))} hold copies that are pushed apart, {total} pairs in all: {what}."]


def unsafe_labels(case: Case) -> list[str] | None:
    """Label ids that float32 can't hold."""
    given = [call.given for call in case.labeled if call.given is not None]
    if not given:
        return None
    ids = torch.cat([one.detach().flatten().cpu().double() for one in given])
    largest = int(ids.abs().max())
    if largest <= EXACT:
        return []
    merged = len(torch.unique(ids)) - len(torch.unique(ids.float()))
    said = f"label ids go up to {largest}, above 2^24 = {EXACT}: in float32 neighbors are one number"
    return [f"{said}; {merged} of the classes seen fall together." if merged else f"{said}."]


def label_shape(case: Case) -> list[str] | None:
    """Labels of shape (samples, 1), which broadcast against (samples,) to all pairs."""
    given = [call.given for call in case.calls if call.given is not None]
    if not given:
        return None
    shapes = {tuple(one.shape) for one in given if one.ndim > 1}
    return [f"labels or targets have the shape {shape}; expected ({shape[0]},)." for shape in sorted(shapes)]


def labels_beyond(case: Case) -> list[str] | None:
    """Labels without a class vector."""
    given = [call.classes for call in case.labeled if call.given is not None]
    count = case.class_vectors
    if not given or count is None:
        return None
    labels = torch.cat(given)
    if int(labels.min()) >= OUTLIER and int(labels.max()) < count:
        return []
    return [f"labels go from {int(labels.min())} to {int(labels.max())} and the criterion has {count} class vectors."]


def few_negatives(case: Case) -> list[str] | None:
    """Gradient accumulation, with a loss whose negatives come from the batch."""
    calls = [call for call in case.calls if call.kind in ("labeled", "matched")]
    if case.accumulation < 2 or case.traits.class_vectors or not calls:
        return None if case.accumulation < 2 or not case.calls else []
    size = len(calls[0].parts[0])
    return [
        f"{case.accumulation} batches of {size} samples are accumulated: every anchor is still compared with at most {size - 1} "
        f"others, not {case.accumulation * size - 1}."
    ]


def _has_positive(call: Call) -> bool:
    if call.kind == "pairs":
        return bool(call.positive_pairs.any())
    return call.kind != "labeled" or _partnered(call.classes) > 0


def _partnered(labels: Tensor) -> int:
    """Samples with another of their class."""
    _, counts = torch.unique(labels[labels != OUTLIER], return_counts=True)
    return int(counts[counts > 1].sum())


def _twins(call: Call, inputs: tuple[object, ...]) -> list[tuple[int, int]]:
    """Pairs of rows that are equal and of different classes; none where everything is equal."""
    tensors = [one for one in inputs if isinstance(one, Tensor) and one.ndim > 1]
    samples = [len(one) for one in tensors]
    known = len(tensors) == len(inputs) > 0 and sum(samples) == len(call.classes)
    rows = torch.cat([one.detach().flatten(1).cpu() for one in tensors]) if known else call.rows.cpu()
    _, group = torch.unique(rows, dim=0, return_inverse=True)
    if int(group.max()) == 0:
        return []
    same = group.unsqueeze(1) == group.unsqueeze(0)
    apart = call.classes.unsqueeze(1) != call.classes.unsqueeze(0)
    if call.kind == "triplets":  # a negative is one of its own triplet alone
        place = torch.arange(len(call.parts[0])).repeat(3)
        apart &= place.unsqueeze(1) == place.unsqueeze(0)
    return [(first, second) for first, second in (same & apart).triu(1).nonzero().tolist()]
