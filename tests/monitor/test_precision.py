"""Mixed precision: gradients on the scale of the loss, or none; accumulation; compiled models."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import losscope
from losscope.errors import InvalidInput
from losscope.monitor import LosscopeWarning, Monitor

LABELS = torch.arange(16) % 4


def one_step(scaler: torch.amp.GradScaler | None, monitor: Monitor, model: nn.Module, clip: bool = False) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    optimizer.register_step_pre_hook(monitor._before_update)
    with torch.autocast("cpu", torch.float16, enabled=scaler is not None):
        embeddings = model(torch.ones(16, 6) + torch.arange(96).reshape(16, 6) / 100)
    loss = monitor_criterion(embeddings.float())
    (scaler.scale(loss) if scaler else loss).backward()
    if scaler and clip:
        scaler.unscale_(optimizer)
    scaler.step(optimizer) if scaler else optimizer.step()
    if scaler:
        scaler.update()


CRITERION = losscope.Criterion("contrastive", margin=2.0)


def monitor_criterion(embeddings: torch.Tensor) -> torch.Tensor:
    return CRITERION(embeddings, LABELS)


@pytest.mark.parametrize("clip", [False, True])
def test_gradients_are_those_of_the_loss_whatever_the_scale(clip: bool) -> None:
    lines = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=1024.0)):
        torch.manual_seed(0)
        model = nn.Linear(6, 3)
        with Monitor(CRITERION, scaler=scaler, strict=True) as monitor:
            one_step(scaler, monitor, model, clip)
        lines.append(monitor.lines[0])
    for name in ("gradient_norm", "gradient_norm_embedding", "gradient_norm_embedding_tangential"):
        assert lines[1][name][0] == pytest.approx(lines[0][name][0], rel=2e-2)


def test_without_a_scaler_gradients_of_float16_are_refused_with_a_reason() -> None:
    embeddings = torch.randn(16, 6, requires_grad=True)
    with Monitor(CRITERION) as monitor, torch.autocast("cpu", torch.float16):
        with pytest.warns(LosscopeWarning, match=r"give the monitor scaler="):
            loss = monitor_criterion(embeddings)
        loss.backward()
    assert "gradient_norm_embedding" not in monitor.lines[0]
    assert {"loss", "intra_class_variance_batch"} <= monitor.lines[0].keys()
    with (
        Monitor(CRITERION, strict=True) as monitor,
        pytest.raises(InvalidInput, match="scaler=False"),
        torch.autocast("cpu", torch.float16),
    ):
        monitor_criterion(embeddings)
    with Monitor(CRITERION, scaler=False, strict=True) as monitor, torch.autocast("cpu", torch.float16):
        monitor_criterion(embeddings).backward()
    assert "gradient_norm_embedding" in monitor.lines[0]


def test_an_overflow_of_the_scale_is_no_divergence() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
    embeddings = torch.randn(16, 6, requires_grad=True)
    with Monitor(CRITERION, scaler=scaler, doctor=False, strict=True) as monitor:
        (scaler.scale(monitor_criterion(embeddings)) * 1e3).backward()
    assert monitor.diverged_at is None


def test_each_accumulated_part_is_a_step_and_the_norm_is_of_their_sum() -> None:
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    inputs = torch.randn(2, 16, 6)
    with Monitor(CRITERION, optimizer=optimizer, strict=True) as monitor:
        for part in inputs:
            (monitor_criterion(model(part)) / 2).backward()
        expected = torch.stack([one.grad.norm() for one in model.parameters()]).norm().item()
        optimizer.step()
    assert monitor.count == 2
    assert "gradient_norm" not in monitor.lines[0]
    assert monitor.lines[1]["gradient_norm"][0] == pytest.approx(expected)


def test_a_compiled_model_under_a_tapped_criterion() -> None:
    plain = nn.Linear(6, 3)
    compiled = torch.compile(plain, backend="eager")
    with Monitor(CRITERION, strict=True) as monitor:
        embeddings = compiled(torch.randn(16, 6))
        embeddings.retain_grad()
        monitor_criterion(embeddings).backward()
        assert embeddings.grad is not None
    assert monitor.lines[0]["gradient_norm_embedding"][0] == pytest.approx(embeddings.grad.norm().item())


def test_most_steps_keep_the_loss_alone() -> None:
    embeddings = torch.randn(16, 6, requires_grad=True)
    with Monitor(CRITERION, strict=True) as monitor:
        for _ in range(80):
            monitor_criterion(embeddings).backward()
    assert len(monitor.lines) == 80
    assert all("loss" in line for line in monitor.lines)
    assert [line["step"] for line in monitor.lines if "active_rows" in line] == [*range(64), 75]
