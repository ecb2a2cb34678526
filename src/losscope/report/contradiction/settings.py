"""Settings of the map: what was told to both families of losses, read from protocols and hyper-parameters, never from names.

A setting is a triplet loss under a protocol; its partner is the contrastive loss that was told the same, as far as both
know it. What only triplets know (`squared`, mining) leaves the contrastive loss as it is, so that one contrastive run may
be the partner of several triplet losses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from losscope.study import Batch, Protocol
from losscope.summary.reading import protocols
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

CONTRASTIVE, TRIPLET = "contrastive", "triplet"
OF_TRIPLETS = ("squared", "mining")
"""Factors that a contrastive loss does not know."""

NO_FACTORS = {"name", "data", "loss", "chunk", "evaluate_at", "evaluate_every", "epochs", "batch", "labels"}
"""Keys of a protocol that decide no result, or are factors under a name of their own."""

FEWEST = 8
"""Settings of one data set from which there is a map."""


@dataclass(frozen=True)
class Arm:
    """One loss variant in one comparison."""

    comparison: Comparison
    subject: Subject


@dataclass(frozen=True)
class Setting:
    """One setting of one data set. `levels` holds the factors that vary on this data set."""

    levels: Mapping[str, str]
    contrastive: Arm
    triplet: Arm
    away: tuple[str, ...]  # factors in which it differs from the center of the map

    @property
    def title(self) -> str:
        """What differs from the center."""
        return ", ".join(f"{name} {self.levels[name]}" for name in self.away) or "the center"


@dataclass(frozen=True)
class Map:
    """All settings of one data set. The center has the commonest level of each factor."""

    dataset: str
    center: Mapping[str, str]
    settings: tuple[Setting, ...]

    @property
    def factors(self) -> tuple[str, ...]:
        """The factors that vary."""
        return tuple(self.center)


def maps(summary: Summary) -> tuple[Map, ...]:
    """One map for each data set with enough settings that both families were trained under."""
    found = []
    for dataset in dict.fromkeys(part.dataset for part in summary.comparisons):
        pairs = list(_pairs(summary, dataset))
        if len(pairs) >= FEWEST:
            found.append(_map(dataset, pairs))
    return tuple(found)


def _map(dataset: str, pairs: Sequence[tuple[Mapping[str, str], Arm, Arm]]) -> Map:
    counts: dict[str, Counter[str]] = {}
    for levels, _, _ in pairs:
        for name, level in levels.items():
            counts.setdefault(name, Counter())[level] += 1
    center = {name: count.most_common(1)[0][0] for name, count in counts.items() if len(count) > 1}
    settings = []
    for levels, contrastive, triplet in pairs:
        varied = {name: levels[name] for name in center}
        away = tuple(name for name in center if varied[name] != center[name])
        settings.append(Setting(varied, contrastive, triplet, away))
    return Map(dataset, center, tuple(sorted(settings, key=lambda one: _order(one, center))))


def _order(setting: Setting, center: Mapping[str, str]) -> tuple[int, list[int]]:
    """The center first, then settings that differ in one factor, in the order of factors, then in two."""
    return len(setting.away), [list(center).index(name) for name in setting.away]


def _pairs(summary: Summary, dataset: str) -> Iterator[tuple[Mapping[str, str], Arm, Arm]]:
    """Levels, contrastive and triplet arm of every setting of a data set, each once."""
    told = protocols(summary.studies)
    arms = [
        (levels(told[part.protocol], part.hyperparameters[subject]), Arm(part, subject))
        for part in summary.comparisons
        if part.dataset == dataset and part.protocol in told and not part.shuffled
        for subject in part.trained
        if subject.loss in (CONTRASTIVE, TRIPLET)
    ]
    partners: dict[frozenset[tuple[str, str]], Arm] = {}
    for of, arm in arms:
        if arm.subject.loss == CONTRASTIVE and of["mining"] == "none":
            partners.setdefault(_shared(of), arm)
    seen = set()
    for of, arm in arms:
        partner = partners.get(_shared(of))
        if arm.subject.loss == TRIPLET and partner and (key := frozenset(of.items())) not in seen:
            seen.add(key)
            yield of, partner, arm


def _shared(of: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """The levels that both families know."""
    return frozenset((name, level) for name, level in of.items() if name not in OF_TRIPLETS)


def levels(protocol: Protocol, hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    """Factor -> level, as a reader sees them: the map's own factors, then every other setting that decides a result."""
    batch = protocol.batch
    named = {
        "margin": hyperparameters.get("margin"),
        "squared": hyperparameters.get("squared"),
        "sampler": _sampler(batch),
        "mining": batch.mining,
        "balance": batch.balance,
        "labels": protocol.labels,
        "tuples per anchor": batch.tuples_per_anchor,
        "updates": f"{protocol.epochs} epochs" + (", batches of anchors" if batch.counts == "anchors" else ""),
    }
    size = batch.terms if batch.draws_partners else (batch.classes or 0) * (batch.per_class or 0) or batch.samples
    rest = {
        **{key: value for key, value in hyperparameters.items() if key not in named},
        "batch size": size,
        "outliers": batch.outliers,
        **protocol.model_dump(exclude=NO_FACTORS),
    }
    return {name: _words(value) for name, value in {**named, **rest}.items()}


def _sampler(batch: Batch) -> str:
    if batch.draws_partners:
        return batch.sampling
    composed = f", {batch.classes} x {batch.per_class}" if batch.classes else ""
    return ("all_in_batch" if batch.sampling == "all_in_batch" else f"{batch.sampling} in the batch") + composed


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
