"""Inside other people's training loops: what a loss does there, measured without changing anything.

tap         hooks on a criterion: what it gets, what comes back           batch      its arguments as embeddings and labels
encoded     what a loss of sentence-transformers encodes itself           call       one call, until backward has come
terms       the active ratio before a reducer                             gathering  the rows of all processes
buffer      steps wait, to be measured together                           measuring  what steps say
series      their lines, and the means of an epoch                        space      what an epoch's embeddings say
record      the same table as a study's
"""

from losscope.monitor.guard import LosscopeWarning
from losscope.monitor.monitor import Monitor
from losscope.monitor.schedule import ALWAYS, OFTEN, RARELY, Schedule, every, first_then_every, never
from losscope.monitor.tapping import tap

__all__ = [
    "ALWAYS", "OFTEN", "RARELY", "LosscopeWarning", "Monitor", "Schedule", "every", "first_then_every", "never", "tap",
]  # fmt: skip
