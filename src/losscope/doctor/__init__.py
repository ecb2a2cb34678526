"""What is wrong with a training set-up, before its first step and while it runs: named checks with evidence and fix.

check      looks at a few batches, and changes nothing     watch   looks at what a monitor measured
calls      a criterion's call, and variations of it        traits  what a criterion says of itself
observing  batches go through                              table   one function and one line for each check

>>> from losscope.doctor import CHECKS
>>> CHECKS[4].code, CHECKS[4].severity
('single-class-batches', 'issue')
"""

from losscope.doctor.checking import check
from losscope.doctor.finding import Check, Diagnosis, Finding
from losscope.doctor.live import watch
from losscope.doctor.table import CHECKS

__all__ = ["CHECKS", "Check", "Diagnosis", "Finding", "check", "watch"]
