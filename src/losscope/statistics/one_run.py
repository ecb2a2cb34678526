"""Paper A's own test, a paired t test over the classes of one run, computed in order to be labeled.

The classes of one network share its weights, its data and one frame of centroids: they are pseudo-replicates (Hurlbert,
"Pseudoreplication and the Design of Ecological Field Experiments", 1984). Another seed may turn the sign at any p.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from losscope.errors import InvalidInput
from losscope.statistics.intervals import Interval, mean_interval
from losscope.statistics.paired import t_test_p

PSEUDO_REPLICATION = "pseudo-replication: the classes of this one run; says nothing about other seeds"


@dataclass(frozen=True)
class OneRunTest:
    """`second - first` over the classes of one run. No verdict rests on it."""

    classes: tuple[int, ...]
    interval: Interval
    p: float | None
    population: str = PSEUDO_REPLICATION


def one_run_test(first: Mapping[int, float], second: Mapping[int, float]) -> OneRunTest:
    """The paired t test of one value for each class, as paper A ran it. Raises InvalidInput if no class is in both.

    >>> found = one_run_test({0: 1.0, 1: 2.0, 2: 3.0}, {0: 2.0, 1: 3.5, 2: 4.0})
    >>> round(found.p, 3), found.population.split(":")[0]
    (0.02, 'pseudo-replication')
    """
    classes = tuple(sorted(first.keys() & second.keys()))
    if not classes:
        raise InvalidInput(f"the classes {sorted(first)} and {sorted(second)} share none; expected two losses that were "
                           "measured on the same classes")  # fmt: skip
    differences = [second[one] - first[one] for one in classes]
    return OneRunTest(classes, mean_interval(differences), t_test_p(differences))
