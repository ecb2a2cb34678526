"""Where loggers, records or a monitor itself fail: the user's error is the one that is seen, and all hooks go."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

import losscope
from losscope.monitor import LosscopeWarning, Monitor, every
from losscope.table import read_runs

LABELS = torch.arange(8) % 2


class Failing:
    def log(self, values: Mapping[str, float], step: int) -> None:
        raise OSError(f"no answer after {step} tries")


class Listening:
    def __init__(self) -> None:
        self.steps: list[int] = []

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.steps.append(step)


def call(criterion: losscope.Criterion, labels: torch.Tensor = LABELS) -> None:
    criterion(torch.randn(8, 4, requires_grad=True), labels).backward()


def hooks(criterion: torch.nn.Module) -> int:
    return len(criterion._forward_hooks) + len(criterion._forward_pre_hooks)


def test_a_strict_monitor_that_fails_as_it_closes_leaves_no_hook(tmp_path: Path) -> None:
    criterion = losscope.Criterion("contrastive")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    monitor = Monitor(criterion, optimizer=optimizer, full=every(5), out=tmp_path / "run", strict=True)
    call(criterion)
    monitor.settle()
    call(criterion)
    monitor.loggers = (Failing(),)
    with pytest.raises(OSError, match="no answer"):
        monitor.close()
    assert hooks(criterion) == 0
    assert not optimizer._optimizer_step_pre_hooks
    monitor.close()
    call(criterion)
    assert monitor.count == 2
    (run,) = read_runs(tmp_path / "run")
    assert (run.status, run.updates) == ("done", 2)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.filterwarnings("ignore::losscope.monitor.LosscopeWarning")
def test_the_users_own_error_is_the_one_that_is_seen(strict: bool) -> None:
    criterion = losscope.Criterion("contrastive")

    def train() -> None:
        with Monitor(criterion, strict=strict) as monitor:
            call(criterion)
            monitor.settle()
            call(criterion)
            monitor.loggers = (Failing(),)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as seen:
        train()
    assert hooks(criterion) == 0
    notes = getattr(seen.value, "__notes__", [])
    assert ["OSError: no answer" in note for note in notes] == [True] * strict


def test_of_a_run_that_was_broken_off_it_is_not_said_that_no_backward_came() -> None:
    criterion = losscope.Criterion("contrastive")

    def train() -> None:
        with Monitor(criterion):
            criterion(torch.randn(8, 4, requires_grad=True), LABELS)
            raise ValueError("mine")

    with warnings.catch_warnings(record=True) as said, pytest.raises(ValueError, match="mine"):
        train()
    assert not said


def test_a_logger_that_fails_keeps_nothing_from_the_doctor_the_record_and_other_loggers(tmp_path: Path) -> None:
    criterion, other = losscope.Criterion("contrastive", margin=2.0), Listening()
    with (
        warnings.catch_warnings(record=True) as said,
        Monitor(criterion, out=tmp_path / "run", loggers=[Failing(), other]) as monitor,
    ):
        warnings.simplefilter("always")
        for _ in range(5):
            call(criterion, torch.zeros(8, dtype=torch.int64))
        monitor.epoch(torch.randn(8, 4), LABELS)
    assert ["OSError: no answer" in str(one.message) for one in said] == [True]
    assert "single-class-batches" in [one.code for one in monitor.findings]
    assert other.steps == [0, 1, 2, 3, 4, 5]  # the last is the epoch's
    assert (read_runs(tmp_path / "run")[0].updates, len(monitor.lines)) == (5, 5)


def test_one_kind_of_error_is_said_once_whatever_its_counts() -> None:
    monitor = Monitor()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for bad in range(1, 6):
            points = torch.randn(8, 4)
            points[:bad] = torch.nan
            monitor.epoch(points, LABELS)
        monitor.epoch(torch.randn(8, 4), LABELS[:3])
        monitor.close()
    assert [one.category for one in said] == [LosscopeWarning] * 2
    assert "got 1 of 8 rows with NaN" in str(said[0].message)
    assert "expected (samples, dim)" in str(said[1].message)
    assert len(monitor.guarded._said) == 2
