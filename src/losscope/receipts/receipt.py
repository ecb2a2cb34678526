"""What a verification found, as plain frozen objects and as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from losscope.receipts.comparing import ELSEWHERE, OF_SAMPLES, ROUNDING, SHARE, Difference, Verdict, verdict_of
from losscope.receipts.environments import Change
from losscope.receipts.recorded import RecordedRun

Outcome = Literal["passed", "failed", "nothing recomputed"]


@dataclass(frozen=True)
class Checked:
    """One run, recomputed and compared, or the reason why not."""

    run: RecordedRun
    differences: tuple[Difference, ...]  # every diagnostic, also those that are the same
    reason: str | None  # why it was not recomputed
    recorded_environments: tuple[Mapping[str, Any], ...]  # where it was trained; several where that isn't known
    changes: tuple[Change, ...]  # from the last of them to the present one
    same_bits_expected: bool
    seconds: float  # of recomputing

    @property
    def verdict(self) -> Verdict | Literal["not recomputed"]:
        """What became of it."""
        return "not recomputed" if self.reason is not None else verdict_of(self.differences)

    @property
    def largest(self) -> list[Difference]:
        """The diagnostics with any difference, those beyond tolerance first, then by share of the tolerance."""

        def excess(one: Difference) -> tuple[bool, float]:
            if one.worst is None or not one.worst.tolerance:
                return one.verdict == "different", float("inf")
            return one.verdict == "different", one.worst.difference / one.worst.tolerance

        changed = [one for one in self.differences if one.verdict != "identical"]
        return sorted(changed, key=excess, reverse=True)

    def document(self) -> dict[str, Any]:
        """For JSON, without the diagnostics that are bit-identical, which are counted."""
        record = self.run.record
        shown = ("run", "dataset", "protocol", "loss", "variant", "seed", "status")
        return {
            **{name: getattr(record, name) for name in shown},
            "group": self.run.group.name,
            "verdict": self.verdict,
            "reason": self.reason,
            "diagnostics": len(self.differences),
            "diagnostics_identical": sum(one.verdict == "identical" for one in self.differences),
            "rows": sum(one.rows for one in self.differences),
            "rows_identical": sum(one.identical for one in self.differences),
            "differences": [_finite({**asdict(one), "verdict": one.verdict}) for one in self.largest],
            "same_bits_expected": self.same_bits_expected,
            "recorded_environments": list(self.recorded_environments),
            "changes": [asdict(change) for change in self.changes],
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Verification:
    """A seeded sample of a record's runs, recomputed here."""

    folder: Path
    seed: int
    ended: int  # runs that the sample was drawn from
    checked: tuple[Checked, ...]
    damaged: tuple[str, ...]  # a sentence for each damaged file: not in the sample, and a failure of its own
    environment: Mapping[str, Any]  # the present one
    exact: bool  # whether anything but the same bits fails

    @property
    def recomputed(self) -> tuple[Checked, ...]:
        """The runs that were trained anew."""
        return tuple(one for one in self.checked if one.reason is None)

    @property
    def outcome(self) -> Outcome:
        """Passed where at least one run was recomputed, none differs and no file is damaged."""
        allowed = ("identical",) if self.exact else ("identical", "within", "similar")
        if self.damaged or any(one.verdict not in allowed for one in self.recomputed):
            return "failed"
        return "passed" if self.recomputed else "nothing recomputed"

    def document(self) -> dict[str, Any]:
        """For JSON: everything that another reader needs to believe it, or to repeat it."""
        return {
            "outcome": self.outcome,
            "folder": str(self.folder),
            "runs": self.ended,
            "sample": {"runs": len(self.checked), "seed": self.seed},
            "recomputed": len(self.recomputed),
            "identical": sum(one.verdict == "identical" for one in self.checked),
            "exact": self.exact,
            "tolerance": {
                "share_of_spread_over_seeds": SHARE,
                "rounding": ROUNDING,
                "elsewhere_pooled_over_rows": {"quantile_of_t": ELSEWHERE, "of_samples": OF_SAMPLES},
            },
            "checked": [one.document() for one in self.checked],
            "damaged": list(self.damaged),
            "environment": dict(self.environment),
        }


def _finite(value: Any) -> Any:
    """The same document with null for what JSON has no number for."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return value
