"""What recorded runs were made with, against what is here: which differences let the same bits be expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from losscope.files import read_json
from losscope.table import ENVIRONMENT

DECISIVE = (
    "losscope", "code", "numerics", "python", "packages", "processor", "cpu_capability", "blas", "threads_per_process",
    "device", "cuda", "determinism",
)  # fmt: skip
"""What of an environment can change bits; the name of the system and its release can't."""


_NO_ROUNDING = {"losscope", "code", "python", "pyarrow", "pydantic", "safetensors"}
"""Changes that do not touch how sums are rounded."""


@dataclass(frozen=True)
class Change:
    """One thing that is not here what it was when a run was recorded."""

    what: str
    recorded: Any  # None: not recorded
    present: Any

    def __str__(self) -> str:
        there = "not recorded" if self.recorded is None else self.recorded
        return f"{self.what}: {there} there, {self.present} here"


def recorded_environments(group: Path, manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The environments that a group trained in; of folders before schema 3 those of all invocations, which may be more."""
    path = group / ENVIRONMENT
    told = read_json(path)["environments"] if path.is_file() else manifest.get("invocations", [])
    found: list[Mapping[str, Any]] = []
    for environment in told:
        decisive = {name: environment[name] for name in DECISIVE if name in environment}
        if decisive not in found:
            found.append(decisive)
    return found


def changes(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> tuple[Change, ...]:
    """What differs between two environments, a package at a time."""
    found = []
    pairs: list[tuple[str, Any, Any]]
    for name in DECISIVE:
        there, here = recorded.get(name), present.get(name)
        if isinstance(there, Mapping) and isinstance(here, Mapping) and name == "packages":
            pairs = [(package, there.get(package), here.get(package)) for package in sorted({*there, *here})]
        elif name == "determinism":
            there, here = (side["level"] if isinstance(side, Mapping) else None for side in (there, here))
            pairs = [(name, there, here)]
        else:
            pairs = [(name.replace("_", " "), there, here)]
        found += [Change(*pair) for pair in pairs if pair[1] != pair[2]]
    return tuple(found)


def same_bits_expected(environments: Sequence[Mapping[str, Any]], present: Mapping[str, Any]) -> bool:
    """Whether a run trained in one environment, `present` is the same, and it is one that repeats itself bit for bit."""
    if len(environments) != 1 or changes(environments[0], present):
        return False
    return bool(present["determinism"]["level"] == "bitwise")


def same_code(environments: Sequence[Mapping[str, Any]], present: Mapping[str, Any]) -> bool:
    """Whether nothing but the present code, to a byte, has made a run: then it measured what is measured now."""
    return bool(environments) and all(one.get("code") == present["code"] for one in environments)


def same_machine(environments: Sequence[Mapping[str, Any]], present: Mapping[str, Any]) -> bool:
    """Whether nothing that is known of the environments sets rounding apart; only code may differ, which the digest of a
    run and its numerics version answer for."""
    return (
        bool(environments)
        and present["determinism"]["level"] == "bitwise"
        and not any(
            change.recorded is not None and change.what not in _NO_ROUNDING
            for environment in environments
            for change in changes(environment, present)
        )
    )
