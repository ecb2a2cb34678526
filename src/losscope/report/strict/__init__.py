"""The strict protocol: what each loss reaches when validation classes choose, and what peeking would have gained."""

from __future__ import annotations

from losscope.report.strict.class_splits import class_splits
from losscope.report.strict.differences import differences_table
from losscope.report.strict.reached import reached_table
from losscope.report.tables import Table
from losscope.summary.types import Summary


def strict_tables(summary: Summary) -> tuple[Table, ...]:
    """What each loss reaches, and the differences between losses; nothing without validation classes."""
    found = class_splits(summary)
    return tuple(filter(None, [reached_table(found), differences_table(found)])) if found else ()
