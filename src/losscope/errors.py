"""The exception tree: every error that losscope raises on purpose.

    LosscopeError
    ├─ InvalidStudy (ValueError)          a study says something impossible
    │  └─ UnknownName                     a name or key that does not exist; names the nearest
    ├─ InvalidInput (ValueError)          shapes, dtypes, labels or NaN handed in by a caller
    ├─ IncomparableRuns (ValueError)      runs of different protocols were asked to be compared
    ├─ MissingDependency (ImportError)    which extra to install
    ├─ MissingData (FileNotFoundError)    what was looked for, where, and how to get it
    └─ DamagedRecord (OSError)            which file, which row, what to do

A message has three parts: what was found, what was expected, what to do. Divergence of a run is a status,
not an exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LosscopeError(Exception):
    """Base of all errors that losscope raises on purpose."""


class InvalidStudy(LosscopeError, ValueError):
    """A study says something impossible."""


class UnknownName(InvalidStudy):
    """A name or key that does not exist."""

    @classmethod
    def of(cls, what: str, name: str, known: Iterable[str]) -> UnknownName:
        """The error for `name`, with the nearest of the `known` names.

        >>> print(UnknownName.of("loss", "triplett", ["contrastive", "triplet"]))
        unknown loss 'triplett'; did you mean 'triplet'? Known: contrastive, triplet.
        """
        known = sorted(known)
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        return cls(f"unknown {what} '{name}'{hint} Known: {', '.join(known) or 'none'}.")


class InvalidInput(LosscopeError, ValueError):
    """Shapes, dtypes, labels or NaN handed in by a caller."""


class IncomparableRuns(LosscopeError, ValueError):
    """Runs of different protocols were asked to be compared."""


class MissingDependency(LosscopeError, ImportError):
    """An optional package is not installed."""

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> MissingDependency:
        """The error for an absent `package` that `purpose` needs and `extra` brings."""
        return cls(f"{purpose} needs the package '{package}', which is not installed: pip install 'losscope[{extra}]'.")


class MissingData(LosscopeError, FileNotFoundError):
    """A data set is not where it was looked for."""


class DamagedRecord(LosscopeError, OSError):
    """A record on disk can't be read; whatever is intact stays readable."""
