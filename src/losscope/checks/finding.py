"""What a check is, and what it finds: an issue, a note, nothing, or that it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from losscope.summary.types import Summary

Severity = Literal["issue", "note"]
"""An issue: a number or an order of the report can't be taken as it stands until it is mended. A note: it holds by
construction or by design, and says what the numbers mean."""

Outcome = Literal["issue", "note", "passed", "not applicable"]


@dataclass(frozen=True)
class Check:
    """One check. Its function returns sentences, the first of which says it all: none if it passes, None if there is
    nothing to check. `detects`, `why` and `remedy` say how it is found, why it matters and what to do."""

    code: str
    severity: Severity
    detects: str
    why: str
    remedy: str
    function: Callable[[Summary], list[str] | None]


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: Check
    outcome: Outcome
    sentences: tuple[str, ...] = ()

    @property
    def fired(self) -> bool:
        """Whether the check found an issue or has something to note."""
        return bool(self.sentences)

    @property
    def applies(self) -> bool:
        """Whether there was something to check."""
        return self.outcome != "not applicable"
