"""What is known of paper B, as data, and its names for our losses."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from losscope.summary.subjects import HUES, Subject

SEVEN = tuple(HUES)
"""The losses that the paper compares, in the order of every table."""


@cache
def paper() -> Mapping[str, Any]:
    """What the paper calls the losses."""
    return tomllib.loads((files("losscope.report") / "paper_b.toml").read_text(encoding="utf-8"))


def named(loss: str) -> str:
    """A loss, with the paper's name of it where it is another.

    >>> named("sup_con"), named("triplet")
    ('sup_con (SCL)', 'triplet')
    """
    name = paper()["names"].get(loss)
    return f"{loss} ({name})" if name else loss


def cited(subject: Subject) -> str:
    """A subject's label, with the paper's name of the loss where it is another: "sup_con (SCL) temperature=0.1"."""
    if subject.kind != "trained":
        return subject.label
    return f"{named(subject.loss)} {subject.label.removeprefix(subject.loss).strip()}".strip()


def under_cited_names(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    """The subjects for a legend beside which the paper is cited."""
    return tuple(replace(subject, name=cited(subject)) for subject in subjects)
