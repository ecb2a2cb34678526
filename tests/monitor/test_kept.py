"""What a monitor keeps while steps wait: no more memory than it counts, no hook longer than a step, no shared numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import losscope
from losscope.monitor import Monitor, every, never

LABELS = torch.arange(16) % 4


def storages(monitor: Monitor) -> dict[int, int]:
    """Bytes of each storage that waiting steps hold on to, by address."""
    steps = [(one.embeddings, one.gradient, one.labels, one.loss) for one in monitor._buffer.steps]
    tensors = [one for step in steps for one in step if one is not None]
    tensors += [loss for _, loss in monitor._buffer.losses]
    return {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}


@pytest.mark.parametrize("halves", [False, True])
def test_of_a_slice_the_rows_are_kept_and_not_what_they_are_a_slice_of(halves: bool) -> None:
    criterion: Any = nn.TripletMarginLoss() if halves else losscope.Criterion("contrastive")
    with Monitor(criterion, full=never, strict=True) as monitor:
        for _ in range(5):
            hidden = torch.randn(16, 50, 8, requires_grad=True) * 2
            cls = hidden[:, 0]
            arguments = (cls, hidden[:, 1], hidden[:, 2]) if halves else (cls, LABELS)
            criterion(*arguments).backward()
        monitor.settle()
        assert len(monitor._buffer.steps) == 5
        rows = 16 * (3 if halves else 1)
        assert sum(storages(monitor).values()) == 5 * (2 * rows * 8 * 4 + rows * 8 + 4)
        assert monitor._buffer._bytes == sum(storages(monitor).values())


def test_of_labels_in_a_table_and_of_a_loss_among_several_no_more_is_kept() -> None:
    table, margins = torch.arange(1600).view(16, 100) % 4, torch.tensor([0.1, 0.2])
    with Monitor(batch=every(2), terms=never, full=never, strict=True) as monitor:
        for _ in range(2):
            points = torch.randn(16, 8, requires_grad=True)
            several = points.square().mean() * margins
            monitor.watch(points, table[:, 0], loss=several[0])
            several[0].backward()
        monitor.settle()
        assert sum(storages(monitor).values()) == 2 * 16 * 8 * 4 + 16 * 8 + 2 * 4


def test_embeddings_that_are_parameters_keep_no_hook() -> None:
    points = nn.Parameter(torch.randn(16, 8))
    criterion = losscope.Criterion("contrastive")
    with Monitor(criterion, batch=every(2), terms=never, full=never, strict=True) as monitor:
        for _ in range(6):
            criterion(points, LABELS).backward()
            assert len(hooks(points)) <= 1
        criterion(points, LABELS)  # no backward follows: a call that is no step
        criterion(points, LABELS)
        for _ in range(4):
            monitor.watch(points, LABELS)
    assert monitor.count == 6
    assert not hooks(points)


def test_calls_that_fail_keep_no_hook() -> None:
    points = nn.Parameter(torch.randn(16, 8))
    criterion = losscope.Criterion("contrastive")
    with Monitor(criterion, strict=True):
        for _ in range(3):
            with pytest.raises(losscope.errors.InvalidInput):
                criterion(points, LABELS[:3])
            assert len(hooks(points)) <= 1
    assert not hooks(points)


@pytest.mark.parametrize("measured", [False, True])
def test_a_loss_that_is_kept_keeps_no_hook(measured: bool) -> None:
    model, kept, criterion = nn.Linear(8, 4), [], losscope.Criterion("contrastive")
    with Monitor(criterion, batch=every(1) if measured else never, terms=never, full=never, strict=True) as monitor:
        for _ in range(3):
            embeddings = model(torch.randn(16, 8))
            kept.append((embeddings, criterion(embeddings, LABELS)))
            kept[-1][1].backward(retain_graph=True)
    seen = len(monitor.lines)
    for embeddings, loss in kept:
        assert not hooks(embeddings)
        loss.backward()
    assert seen == len(monitor.lines) == 3


def hooks(tensor: Tensor) -> dict[int, Any]:
    found: dict[int, Any] = tensor._backward_hooks or {}  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("batch", [never, every(1)])
def test_a_loss_that_is_changed_in_place_is_recorded_as_the_criterion_returned_it(batch: Any) -> None:
    model, criterion, returned = nn.Linear(8, 4), losscope.Criterion("contrastive"), []
    with Monitor(criterion, batch=batch, terms=never, full=never, strict=True) as monitor:
        for step in range(4):
            loss = criterion(model(torch.randn(16, 8)), LABELS)
            returned.append(loss.item())
            if step % 2:
                loss /= 4
            else:
                loss += model.weight.square().sum()
            loss.backward()
    assert [line["loss"] for line in monitor.lines] == [[value] for value in returned]
    assert monitor.count == 4


@pytest.mark.parametrize("batch", [never, every(1)])
def test_a_loss_that_is_handed_over_is_recorded_as_it_was(batch: Any) -> None:
    total = torch.zeros(())
    with Monitor(batch=batch, full=never, strict=True) as monitor:
        for value in (1.0, 2.0):
            points = torch.ones(16, 2, requires_grad=True)
            monitor.watch(points, LABELS, loss=total.fill_(value))
            points.sum().backward()
            monitor.step()
            points.grad = None
            points.sum().backward()
            monitor.step(points, LABELS, loss=total)
        total.zero_()
    assert [line["loss"] for line in monitor.lines] == [[1.0], [1.0], [2.0], [2.0]]


def test_gradients_of_parameters_that_are_clipped_or_set_to_zero_are_recorded_as_they_came() -> None:
    points, criterion, came = nn.Parameter(torch.randn(16, 8)), losscope.Criterion("contrastive"), []
    optimizer = torch.optim.SGD([points], 0.1)
    labels = LABELS.clone()
    with Monitor(criterion, full=never, strict=True) as monitor:
        for _ in range(3):
            optimizer.zero_grad(set_to_none=False)
            criterion(points, labels).backward()
            assert points.grad is not None
            came.append(points.grad.norm().item())
            nn.utils.clip_grad_norm_([points], 1e-3)
            optimizer.step()
            labels.copy_(labels.roll(1))  # a buffer that is written anew at each step
    assert [line["gradient_norm_embedding"][0] for line in monitor.lines] == pytest.approx(came)


def test_rows_do_not_grow_with_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("losscope.monitor.monitor.KEPT", 30)
    points, labels = torch.randn(80, 4), torch.arange(80) // 2
    with Monitor(out=tmp_path / "run", describe=never, strict=True) as monitor:
        for epoch in range(6):
            monitor.count += 1
            monitor.epoch(points, labels)
            latest = [row for row in monitor.rows if row[2] == epoch + 1]
            assert sum(row[3] == "intra_class_variance" for row in latest) == 40
            assert len(monitor.rows) <= 30 + len(latest)
    written = losscope.table.read_measurements(tmp_path / "run").to_pylist()
    assert sum(row["diagnostic"] == "intra_class_variance" for row in written) == 6 * 40
