"""Two records of one run, row by row: the same bits, the same within tolerance, or different.

    tolerance of a row = max(SHARE · s, ROUNDING · |value|)

with s the standard deviation of the same row over the other seeds that are recorded: what is a small share of the spread
that every statement allows for changes none of them. Queries and the plane, whose rows are single samples, are judged by
the mean difference of a split and epoch, against the spread over its samples.

Elsewhere, on another kind of processor or with other libraries, training amplifies rounding until a run is as far from
its record as from another seed. There a diagnostic beyond tolerance is still similar if its differences over all rows are
of the size of the spread: root mean square of the differences ≤ t · that of s, with t the quantile ELSEWHERE (two-sided)
of Student's distribution with one degree of freedom less than there are other seeds; few seeds know little of a spread.
For queries OF_SAMPLES stands for t. A diagnostic without any recorded row is, where the code is another one, one that it
measures since: it is named, and judged by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from losscope.receipts.matching import ABSENT, Rows, matched
from losscope.receipts.recorded import TABLES, RecordedRun, counts, every, rows

SHARE = 0.1
ROUNDING = 1e-5
ELSEWHERE = 0.99
OF_SAMPLES = 1.0
ONE_VALUE = 3.0
"""A row that only one of the two has a value for counts so many times what is allowed: one in nine may."""

Verdict = Literal["identical", "within", "similar", "different", "unrecorded"]

_OF_SAMPLES = ("queries", "plane")


@dataclass(frozen=True)
class Worst:
    """The row of a diagnostic that differs most for its tolerance; of samples, their split and epoch."""

    epoch: int
    step: int | None
    item: int | None
    recorded: float | None  # of samples: the mean
    recomputed: float | None
    difference: float  # absolute; of samples: the mean of absolute differences; infinite where one has no value
    spread: float | None  # standard deviation over seeds, or over samples; None where there is none
    tolerance: float


@dataclass(frozen=True)
class Difference:
    """One diagnostic of one split in two records of a run."""

    kind: str  # "record", "epochs", "steps", "queries" or "plane"
    split: str | None
    diagnostic: str
    rows: int  # in either record
    identical: int  # rows with the same bits
    beyond: int  # rows (of samples: epochs) beyond tolerance
    missing: int  # rows that only the recorded run has
    extra: int  # rows that only the recomputed run has
    largest: float  # absolute difference
    pooled: float | None  # root mean square of the differences over that of the spread; None without any spread
    allowed: float  # of `pooled`, elsewhere
    elsewhere: bool  # whether the two were trained in environments that can't be expected to give the same bits
    other_code: bool  # whether the recomputed run was made by other code, which may measure more
    of_spread: float | None  # the largest difference as a share of the spread; None where no row that differs has one
    worst: Worst | None  # None where all rows are the same

    @property
    def verdict(self) -> Verdict:
        """What the rows come to."""
        if self.identical == self.rows:
            return "identical"
        if self.other_code and self.extra == self.rows:
            return "unrecorded"
        if self.missing or self.extra:
            return "different"
        if not self.beyond:
            return "within"
        if self.elsewhere and self.kind == "plane":  # whose axes may swap
            return "similar"
        return "similar" if self.elsewhere and self.pooled is not None and self.pooled <= self.allowed else "different"


def compare(
    recorded: RecordedRun,
    recomputed: RecordedRun,
    peers: Sequence[RecordedRun],
    *,
    elsewhere: bool = False,
    other_code: bool = False,
) -> tuple[Difference, ...]:
    """Every diagnostic of a run, recorded against recomputed; `peers` are the recorded runs of its cell, of whom all but
    itself give the spread over seeds that tolerances come from. `elsewhere` if the environments differ; `other_code` if the
    recomputed run may have diagnostics that the recorded one's code did not measure."""
    others = [one for one in peers if one.record.run != recorded.record.run]
    found = [_status(recorded, recomputed)]
    found += _of_kind("record", counts(recorded), counts(recomputed), lambda: every(map(counts, others)))
    for kind in TABLES:
        ours, theirs = rows([recorded], kind), rows([recomputed], kind)
        if kind == "plane" and not (ours.num_rows and theirs.num_rows):
            continue  # only the first run of a group has one
        found += _of_kind(kind, ours, theirs, lambda kind=kind: rows(others, kind))  # type: ignore[misc]
    return tuple(replace(one, elsewhere=elsewhere, other_code=other_code) for one in found)


def verdict_of(differences: Sequence[Difference]) -> Verdict:
    """The verdict on a run: that of its worst diagnostic."""
    verdicts = {difference.verdict for difference in differences}
    worst: tuple[Verdict, ...] = ("different", "similar", "within")
    return next((verdict for verdict in worst if verdict in verdicts), "identical")


def _status(recorded: RecordedRun, recomputed: RecordedRun) -> Difference:
    """How the two ended."""
    same = recorded.record.status == recomputed.record.status
    return Difference(
        kind="record",
        split=None,
        diagnostic="status",
        rows=1,
        identical=int(same),
        beyond=int(not same),
        missing=0,
        extra=0,
        largest=0.0 if same else np.inf,
        pooled=None,
        allowed=0.0,
        elsewhere=False,
        other_code=False,
        of_spread=None,
        worst=None,
    )


def _of_kind(kind: str, ours: pa.Table, theirs: pa.Table, others: Callable[[], pa.Table]) -> Iterator[Difference]:
    """Each diagnostic of each split of one kind of rows."""
    for split, diagnostic, part, judged in matched(ours, theirs, None if kind in _OF_SAMPLES else others):
        yield _difference(kind, split or None, diagnostic, part, judged)


def _difference(kind: str, split: str | None, diagnostic: str, part: Rows, judged: Rows) -> Difference:
    """One diagnostic: `part` are its rows, `judged` what the tolerance is for."""
    delta, spread = judged["delta"], judged["spread"]
    tolerance = np.fmax(SHARE * spread, ROUNDING * np.fmax(np.abs(judged["a"]), np.abs(judged["b"])))
    tolerance = np.nan_to_num(tolerance)
    differing = delta > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (delta / spread)[differing & (spread > 0)]
        excess = np.where(differing, delta / tolerance, 0.0)
    worst = int(excess.argmax())
    allowed = OF_SAMPLES if kind in _OF_SAMPLES else most_spreads(int(judged["others"].max()))
    return Difference(
        kind=kind,
        split=split,
        diagnostic=diagnostic,
        rows=len(part["same"]),
        identical=int(part["same"].sum()),
        beyond=int((delta > tolerance).sum()),
        missing=int((part["in_a"] & ~part["in_b"]).sum()),
        extra=int((part["in_b"] & ~part["in_a"]).sum()),
        largest=float(delta.max()),
        pooled=_pooled(delta, spread, allowed),
        allowed=allowed,
        elsewhere=False,
        other_code=False,
        of_spread=float(shares.max()) if len(shares) else None if differing.any() else 0.0,
        worst=_worst(judged, worst, float(tolerance[worst])) if delta[worst] > 0 else None,
    )


def most_spreads(others: int) -> float:
    """How many spreads over so many other seeds a run may be from itself elsewhere; 0 where they have no spread."""
    from scipy.special import stdtrit  # a fifth of a second to import: only who compares pays

    return float(stdtrit(others - 1, (1 + ELSEWHERE) / 2)) if others > 1 else 0.0


def _pooled(delta: np.ndarray, spread: np.ndarray, allowed: float) -> float | None:
    """Differences of all rows as a share of the spread, by root mean squares."""
    known = spread[~np.isnan(spread)]
    size = np.sqrt(np.square(known).mean()) if len(known) else 0.0
    if not size:
        return None
    return float(np.sqrt(np.square(np.where(np.isinf(delta), ONE_VALUE * allowed, delta / size)).mean()))


def _worst(judged: Rows, row: int, tolerance: float) -> Worst:
    def number(name: str) -> float | None:
        return None if np.isnan(judged[name][row]) else float(judged[name][row])

    def key(name: str) -> int | None:
        return None if judged[name][row] == ABSENT else int(judged[name][row])

    return Worst(
        epoch=int(judged["epoch"][row]),
        step=key("step"),
        item=key("item"),
        recorded=number("a"),
        recomputed=number("b"),
        difference=float(judged["delta"][row]),
        spread=number("spread"),
        tolerance=tolerance,
    )
