"""Where the numbers of a line stand in the record, and the commands that print them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from losscope.claims.types import Rows
from losscope.summary.measures import Measure
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

EPOCHS = {"last": "last", "start": "0", "mean over epochs": "all"}


def rows_of(sides: Sequence[tuple[Subject, Measure]], comparison: Comparison, summary: Summary) -> tuple[Rows, ...]:
    """One selector for each measure of the sides, with the runs of all subjects that it is read from."""
    found = []
    for measure in dict.fromkeys(measure for _, measure in sides):
        subjects = dict.fromkeys(subject for subject, by in sides if by == measure)
        runs = tuple(run.run for subject in subjects for run in comparison.runs_of(subject))
        split = {"evaluation": comparison.evaluation, "training": None}.get(measure.where, measure.where)
        epoch = EPOCHS[measure.when]
        choices = [
            *(["--split", split] if split else []),
            *(["--epoch", epoch] if epoch != "all" else []),
        ]
        commands = tuple(
            shlex.join(["losscope", "table", folder, "--format", "json", "--diagnostic", measure.diagnostic, *choices])
            for folder in _folders(runs, summary)
        )
        found.append(Rows(measure.diagnostic, measure.item, split, epoch, commands, runs))
    return tuple(found)


def _folders(runs: Sequence[str], summary: Summary) -> list[str]:
    """The studies' folders that hold any of the runs, the one with most of them first."""
    counts = {str(study.folder): sum(run.run in runs for run in study.runs) for study in summary.studies}
    return sorted((folder for folder, count in counts.items() if count), key=lambda folder: -counts[folder])


def command_of(study: str) -> str:
    """The command that measures what a study measures.

    >>> command_of("paper_b_cub")
    'losscope study paper_b_cub --out out/paper_b_cub'
    """
    return f"losscope study {study} --out out/{study}"
