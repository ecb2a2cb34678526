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


def ledger(folders: Sequence[Path | str] | Path | str) -> Ledger:
    """Every claim judged on what can be read of the studies in `folders`; the ledger names what can't.

    Raises MissingData if a folder holds no study, DamagedRecord if a study's own file can't be read.
    """
    from losscope.summary import summarize

    return judge(summarize(folders, tolerant=True))


def judge(summary: Summary) -> Ledger:
    """Every claim judged on a summary."""
    from losscope.claims.judging import entry
    from losscope.claims.printed import printed_numbers
    from losscope.claims.types import Ledger

    return Ledger(tuple(entry(claim, summary) for claim in claims()), printed_numbers(summary), summary.damaged)
