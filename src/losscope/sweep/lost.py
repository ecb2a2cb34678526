"""Groups whose worker ended without a word: recorded as failed; the next invocation resumes them."""

from __future__ import annotations

from contextlib import suppress

from losscope.sweep.plan import Unit
from losscope.table import RunRecord, has_ended, read_ending, write_failure


def lost(unit: Unit, reason: str) -> list[RunRecord]:
    """Records that say why a group's runs failed, also in its folder if that can be written; those that are there, if it
    has ended after all."""
    if has_ended(unit.folder):
        return list(read_ending(unit.folder / "runs.json").records)
    group = unit.group
    shared = {name: group[name] for name in ("dataset", "protocol", "loss")}
    records = [
        RunRecord(
            run=run,
            variant=variant,
            seed=seed,
            **shared,
            status="failed",
            epochs=0,
            updates=0,
            samples=0,
            terms=0,
            seconds=0.0,
            cpu_seconds=0.0,
            data_fingerprint=fingerprint,
            error=reason,
        )
        for run, variant, seed, fingerprint in zip(
            *(group[name] for name in ("runs", "variants", "seeds", "data_fingerprints")), strict=True
        )
    ]
    with suppress(OSError):  # a full disk may be why
        write_failure(unit.folder, records)
    return records
