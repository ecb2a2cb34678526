"""What a check of a training set-up is, what it finds, and all findings together: the diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from losscope.errors import UnknownName

if TYPE_CHECKING:
    from losscope.doctor.case import Case

Severity = Literal["issue", "note"]
"""An issue: training can't do what is meant until it is mended. A note: it may be meant, and says what follows."""

Outcome = Literal["issue", "note", "passed", "not applicable"]


@dataclass(frozen=True)
class Check:
    """One check. Its function returns sentences of evidence, the first of which says it all: none if it passes, None
    if there is nothing to check. `detects`, `why` and `fix` say how it is found, why it matters and what to do."""

    code: str
    severity: Severity
    detects: str
    why: str
    fix: str
    function: Callable[[Case], list[str] | None] | None = None


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: Check
    outcome: Outcome
    evidence: tuple[str, ...] = ()

    @classmethod
    def of(cls, check: Check, evidence: list[str] | None) -> Finding:
        """From what a check's function returned."""
        if evidence is None:
            return cls(check, "not applicable")
        return cls(check, check.severity, tuple(evidence)) if evidence else cls(check, "passed")

    @property
    def code(self) -> str:
        """The code of its check."""
        return self.check.code

    def __str__(self) -> str:
        if not self.evidence:
            return f"{self.outcome}: {self.code}"
        return "\n  ".join([f"{self.outcome}: {self.code}", *self.evidence, f"Fix: {self.check.fix}"])


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """All findings about a training set-up, in the order of the table of checks.

    `diagnosis["no-positives"]` is one of them by its code; UnknownName for a code that does not exist.
    """

    findings: tuple[Finding, ...]
    batches: int  # that were looked at

    @property
    def issues(self) -> tuple[Finding, ...]:
        """What must be mended."""
        return self._with("issue")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What should be known."""
        return self._with("note")

    @property
    def passed(self) -> tuple[Finding, ...]:
        """What was looked at and is in order."""
        return self._with("passed")

    @property
    def not_applicable(self) -> tuple[Finding, ...]:
        """What there was nothing to check of."""
        return self._with("not applicable")

    def __getitem__(self, code: str) -> Finding:
        found = {one.code: one for one in self.findings}
        if code not in found:
            raise UnknownName.of("check", code, found)
        return found[code]

    def __repr__(self) -> str:
        return "\n".join([*map(str, (*self.issues, *self.notes)), self.summary])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{one.outcome}</td><td><code>{one.code}</code></td>"
            f"<td>{'<br>'.join(map(escape, one.evidence))}</td><td>{escape(one.check.fix)}</td></tr>"
            for one in (*self.issues, *self.notes)
        )
        head = "<tr><th>outcome</th><th>check</th><th>evidence</th><th>fix</th></tr>"
        return f"<table>{head}{rows}</table><p>{escape(self.summary)}</p>" if rows else f"<p>{self.summary}</p>"

    @property
    def summary(self) -> str:
        """Counts, in one line."""
        counts = {
            "issue": len(self.issues), "note": len(self.notes), "passed": len(self.passed),
            "not applicable": len(self.not_applicable),
        }  # fmt: skip
        plural = {"issue": "issues", "note": "notes"}
        shown = (f"{n} {plural.get(word, word) if n != 1 else word}" for word, n in counts.items())
        return f"{', '.join(shown)}; {self.batches} {'batch' if self.batches == 1 else 'batches'} looked at."

    def document(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "batches": self.batches,
            "issues": len(self.issues),
            "notes": len(self.notes),
            "findings": [
                {
                    "code": one.code,
                    "outcome": one.outcome,
                    "evidence": list(one.evidence),
                    "detects": one.check.detects,
                    "why": one.check.why,
                    "fix": one.check.fix,
                }
                for one in self.findings
            ],
        }

    def _with(self, outcome: Outcome) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.outcome == outcome)
