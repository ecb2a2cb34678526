"""Two records of one run, row by row: the same bits, the same within tolerance, or different.

    tolerance of a row = max(SHARE · s, ROUNDING · |value|)

with s the standard deviation of the same row over the seeds that are recorded: what is a small share of the spread that
every statement allows for changes none of them. Queries and the plane, whose rows are single samples, are judged by the
mean difference of a split and epoch, against the spread over its samples.

Elsewhere, on another kind of processor or with other libraries, training amplifies rounding until a run is as far from
its record as from another seed. There a diagnostic beyond tolerance is still similar if its differences over all rows are
of the size of the spread: root mean square of the differences ≤ ELSEWHERE · that of s (OF_SAMPLES for queries). A diagnostic without any recorded row is one
that the code measures since: it is named, and judged by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from losscope.receipts.recorded import KEYS, TABLES, RecordedRun, counts, rows

SHARE = 0.1
ROUNDING = 1e-5
ELSEWHERE = 3.0
OF_SAMPLES = 1.0
ONE_VALUE = 10.0

Verdict = Literal["identical", "within", "similar", "different", "unrecorded"]

_ABSENT = np.iinfo(np.int64).min
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
    elsewhere: bool  # whether the two were trained in environments that can't be expected to give the same bits
    of_spread: float | None  # the largest difference as a share of the spread; None where no row that differs has one
    worst: Worst | None  # None where all rows are the same

    @property
    def verdict(self) -> Verdict:
        """What the rows come to."""
        if self.identical == self.rows:
            return "identical"
        if self.extra == self.rows:
            return "unrecorded"
        if self.missing or self.extra:
            return "different"
        if not self.beyond:
            return "within"
        if self.elsewhere and self.kind == "plane":  # whose axes may swap
            return "similar"
        most = OF_SAMPLES if self.kind in _OF_SAMPLES else ELSEWHERE
        return "similar" if self.elsewhere and self.pooled is not None and self.pooled <= most else "different"


def compare(
    recorded: RecordedRun, recomputed: RecordedRun, peers: Sequence[RecordedRun], *, elsewhere: bool = False
) -> tuple[Difference, ...]:
    """Every diagnostic of a run, recorded against recomputed; `peers` are the recorded runs of its cell, itself among
    them, whose spread over seeds the tolerances come from. `elsewhere` if the environments differ."""
    status = _status(recorded, recomputed)
    told = _compared("record", counts(recorded), counts(recomputed), lambda: pa.concat_tables(map(counts, peers)))
    found = [status, *told]
    for kind in TABLES:
        ours, theirs = rows([recorded], kind), rows([recomputed], kind)
        if kind == "plane" and not (ours.num_rows and theirs.num_rows):
            continue  # only the first run of a group has one
        found += _compared(kind, ours, theirs, lambda kind=kind: rows(peers, kind))  # type: ignore[misc]
    return tuple(replace(one, elsewhere=elsewhere) for one in found)


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
        elsewhere=False,
        of_spread=None,
        worst=None,
    )


def _compared(kind: str, ours: pa.Table, theirs: pa.Table, peers: Callable[[], pa.Table]) -> Iterator[Difference]:
    """Each diagnostic of each split of one kind of rows."""
    if not ours.num_rows + theirs.num_rows:
        return
    joined = _keyed(ours, "a").join(_keyed(theirs, "b"), list(KEYS), join_type="full outer")
    if kind not in _OF_SAMPLES and not _facts(joined)["same"].all():
        joined = joined.join(_spreads(peers()), list(KEYS), join_type="left outer")
    facts = _facts(joined)
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, label in enumerate(zip(joined["split"].to_pylist(), joined["diagnostic"].to_pylist(), strict=True)):
        rows_of.setdefault(label, []).append(row)
    for (split, diagnostic), chosen in sorted(rows_of.items()):
        part = {name: values[chosen] for name, values in facts.items()}
        judged = _by_epoch(part) if kind in _OF_SAMPLES else part
        yield _difference(kind, split or None, diagnostic, part, judged)


def _difference(
    kind: str, split: str | None, diagnostic: str, part: Mapping[str, np.ndarray], judged: Mapping[str, np.ndarray]
) -> Difference:
    """One diagnostic: `part` are its rows, `judged` what the tolerance is for."""
    delta, spread = judged["delta"], judged["spread"]
    tolerance = np.fmax(SHARE * spread, ROUNDING * np.fmax(np.abs(judged["a"]), np.abs(judged["b"])))
    tolerance = np.nan_to_num(tolerance)
    differing = delta > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (delta / spread)[differing & (spread > 0)]
        excess = np.where(differing, delta / tolerance, 0.0)
    worst = int(excess.argmax())
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
        pooled=_pooled(delta, spread),
        elsewhere=False,
        of_spread=float(shares.max()) if len(shares) else None if differing.any() else 0.0,
        worst=_worst(judged, worst, float(tolerance[worst])) if delta[worst] > 0 else None,
    )


def _pooled(delta: np.ndarray, spread: np.ndarray) -> float | None:
    """Differences of all rows as a share of the spread, by root mean squares; rows that only one has a value for count
    ONE_VALUE spreads."""
    known = spread[~np.isnan(spread)]
    size = np.sqrt(np.square(known).mean()) if len(known) else 0.0
    if not size:
        return None
    return float(np.sqrt(np.square(np.where(np.isinf(delta), ONE_VALUE, delta / size)).mean()))


def _worst(judged: Mapping[str, np.ndarray], row: int, tolerance: float) -> Worst:
    def number(name: str) -> float | None:
        return None if np.isnan(judged[name][row]) else float(judged[name][row])

    def key(name: str) -> int | None:
        return None if judged[name][row] == _ABSENT else int(judged[name][row])

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


def _facts(joined: pa.Table) -> dict[str, np.ndarray]:
    """Columns of a join as arrays; `delta` is infinite where only one side has a value, and 0 for rows of one side
    alone, which are counted apart."""
    in_a, in_b = (joined[name].is_valid().to_numpy() for name in ("in_a", "in_b"))
    a, b = _values(joined["a"]), _values(joined["b"])
    same_bits = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
    delta = np.where(same_bits | ~(in_a & in_b), 0.0, np.abs(a - b))
    return {
        "a": a,
        "b": b,
        "in_a": in_a,
        "in_b": in_b,
        "same": in_a & in_b & same_bits,
        "delta": np.where(np.isnan(delta), np.inf, delta),
        "spread": _values(joined["spread"]) if "spread" in joined.column_names else np.full(len(a), np.nan),
        **{name: joined[name].to_numpy() for name in ("epoch", "step", "item")},
    }


def _by_epoch(part: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Samples taken together: a row for each epoch, with means and the spread of the recorded values."""
    found: dict[str, list[Any]] = {name: [] for name in ("a", "b", "delta", "spread", "epoch", "step", "item")}
    for epoch in np.unique(part["epoch"]):
        rows = part["epoch"] == epoch
        a, b = part["a"][rows], part["b"][rows]
        for name, value in {
            "a": _mean(a),
            "b": _mean(b),
            "delta": part["delta"][rows].mean(),
            "spread": _mean(np.abs(a - _mean(a)) ** 2) ** 0.5,
            "epoch": epoch,
            "step": _ABSENT,
            "item": _ABSENT,
        }.items():
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def _mean(values: np.ndarray) -> float:
    """Mean of what is there; NaN where nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else np.nan


def _spreads(peers: pa.Table) -> pa.Table:
    """Standard deviation over seeds of every row that at least two runs have."""
    values = _keyed(peers, "value").group_by(list(KEYS)).aggregate([("value", "stddev", pc.VarianceOptions(ddof=1))])
    return values.rename_columns([*KEYS, "spread"])


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """Values as float64; null becomes NaN."""
    return np.asarray(pc.fill_null(column, np.nan), np.float64)


def _keyed(table: pa.Table, side: str) -> pa.Table:
    """A table whose keys have no nulls, which a join takes for different, with its values named after its side."""
    filled = [pc.fill_null(table[name], "" if pa.types.is_string(table[name].type) else _ABSENT) for name in KEYS]
    columns = [*filled, table["value"], pa.array(np.ones(table.num_rows, bool))]
    return pa.table(columns, [*KEYS, side, f"in_{side}"])
