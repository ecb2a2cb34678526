"""The claims as the package's files have them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from losscope.claims.types import Claim
from losscope.errors import InvalidStudy, UnknownName
from losscope.summary.measures import BY_KEY, Measure

FILES = ("paper_a.toml", "paper_b.toml", "opposite.toml")
KINDS = ("losses", "course", "level", "setting", "lead", "association")
REQUIRED = ("name", "text", "source", "tag", "kind", "measures", "direction", "study", "would_change")
OPTIONAL = ("losses", "against", "beside", "level", "setting", "denies", "data", "note", "printed")


@cache
def claims() -> tuple[Claim, ...]:
    """All claims that ship with the package, in the order of their files."""
    return tuple(claim for name in FILES for claim in parse(document(name), name))


@cache
def document(name: str) -> Mapping[str, Any]:
    """One file of the package."""
    return tomllib.loads((files("losscope.claims") / name).read_text(encoding="utf-8"))


def parse(found: Mapping[str, Any], where: str) -> tuple[Claim, ...]:
    """The claims of a document. Raises InvalidStudy for a claim that can't be decided, UnknownName for a key or measure
    that doesn't exist: a key for an expected verdict is one of them."""
    return tuple(_claim(entry, f"{where}, claim {entry.get('name', '?')}") for entry in found.get("claim", ()))


def _claim(entry: Mapping[str, Any], where: str) -> Claim:
    for key in entry:
        if key not in (*REQUIRED, *OPTIONAL):
            raise UnknownName.of(f"key of a claim ({where})", key, (*REQUIRED, *OPTIONAL))
    missing = [key for key in REQUIRED if not entry.get(key)]
    if missing:
        raise InvalidStudy(f"{where} has no {', '.join(missing)}; a claim needs {', '.join(REQUIRED)}")
    if entry["kind"] not in KINDS or entry["direction"] not in ("larger", "smaller"):
        raise InvalidStudy(f"{where} is of kind {entry['kind']!r} and direction {entry['direction']!r}; expected one of "
                           f"{', '.join(KINDS)}, and larger or smaller")  # fmt: skip
    claim = Claim(
        name=entry["name"],
        text=entry["text"],
        source=entry["source"],
        tag=entry["tag"],
        kind=entry["kind"],
        measures=tuple(_measure(key, where) for key in entry["measures"]),
        direction=entry["direction"],
        losses=tuple(entry.get("losses", ())),
        against=tuple(entry.get("against", ())),
        beside=_measure(entry["beside"], where) if "beside" in entry else None,
        level=entry.get("level"),
        setting=entry.get("setting", ""),
        denies=entry.get("denies", False),
        data=tuple((place["name"], place["study"]) for place in entry.get("data", ())),
        study=entry["study"],
        would_change=entry["would_change"],
        note=entry.get("note", ""),
        printed=entry.get("printed", ""),
    )
    lacking = [
        name
        for kinds, name, there in (
            (("losses", "lead", "course", "level", "setting"), "losses", claim.losses),
            (("losses", "lead"), "against", claim.against),
            (("lead", "association"), "beside", claim.beside),
            (("level",), "level", claim.level is not None),
            (("setting",), "setting", claim.setting),
        )
        if claim.kind in kinds and not there
    ]
    if lacking:
        raise InvalidStudy(f"{where} has no {', '.join(lacking)}; a claim of kind {claim.kind} needs it")
    return claim


def _measure(key: str, where: str) -> Measure:
    if key not in BY_KEY:
        raise UnknownName.of(f"measure ({where})", key, BY_KEY)
    return BY_KEY[key]
