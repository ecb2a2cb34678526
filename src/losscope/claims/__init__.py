"""The claims of the literature as executable hypotheses: a ledger of what holds, by the rows of a record.

>>> from losscope.claims import claims
>>> [claim.name for claim in claims()][:2]
['absolute_variance', 'relative_variance']

Plain data; never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from losscope.claims.source import claims

if TYPE_CHECKING:
    from losscope.claims.types import Ledger
    from losscope.summary.types import Summary

__all__ = ["claims", "judge", "ledger"]


def ledger(folders: Sequence[Path | str] | Path | str, *, anytime: bool = False) -> Ledger:
    """Every claim judged on what can be read of the studies in `folders`; the ledger names what can't.

    With `anytime` verdicts stay valid where seeds were added after looking at those before, at the price of wider intervals.

    Raises MissingData if a folder holds no study, DamagedRecord if a study's own file can't be read.
    """
    from losscope.summary import summarize

    return judge(summarize(folders, tolerant=True), anytime=anytime)


def judge(summary: Summary, *, anytime: bool = False) -> Ledger:
    """Every claim judged on a summary."""
    from losscope.claims.judging import entry
    from losscope.claims.printed import printed_numbers
    from losscope.claims.types import Ledger

    judged = tuple(entry(claim, summary, anytime=anytime) for claim in claims())
    return Ledger(judged, printed_numbers(summary), summary.damaged, anytime)
