"""For whom do the differences speak? Other seeds, other classes, or one run alone.

Retrieval crossed over seeds and classes, from the results of single queries; and paper A's own test, which speaks for one
run, beside the test over seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

from losscope.report.populations.crossed import crossed_table, left_out
from losscope.report.populations.own_test import OwnTest, own_test_table, own_tests
from losscope.report.tables import Table
from losscope.summary.crossing import Crossings, crossed_differences
from losscope.summary.types import Summary


@dataclass(frozen=True)
class Populations:
    """What a report says of it."""

    crossings: Crossings
    own_tests: tuple[OwnTest, ...]
    crossed: Table | None
    left_out: tuple[str, ...]  # where nothing could be crossed, and why
    own_test: Table | None


def populations(summary: Summary) -> Populations | None:
    """None if there is nothing to compare."""
    crossings, tests = crossed_differences(summary), own_tests(summary)
    if not (crossings.differences or crossings.left_out or tests):
        return None
    return Populations(
        crossings=crossings,
        own_tests=tests,
        crossed=crossed_table(summary, crossings),
        left_out=left_out(crossings),
        own_test=own_test_table(tests),
    )
