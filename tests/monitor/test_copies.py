"""A tapped criterion may be copied, saved and compiled: copies say nothing to the monitor, and nothing breaks."""

from __future__ import annotations

import io
from copy import deepcopy
from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses as pml
from torch import nn

import losscope
from losscope.monitor import Monitor
from losscope.monitor.monitor import KEPT

INPUTS, LABELS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
CRITERIA = [lambda: losscope.Criterion("contrastive"), lambda: pml.ContrastiveLoss(), lambda: pml.ProxyAnchorLoss(3, 4)]


def call(criterion: Any) -> torch.Tensor:
    embeddings = INPUTS.clone().requires_grad_()
    criterion(embeddings, LABELS).backward()
    assert embeddings.grad is not None
    return embeddings.grad


@pytest.mark.parametrize("make", CRITERIA)
@pytest.mark.parametrize("saved", [False, True])
def test_a_copy_is_deaf(make: Any, saved: bool) -> None:
    criterion = make()
    with Monitor(criterion, strict=True) as monitor:
        call(criterion)
        copy = loaded(criterion) if saved else deepcopy(nn.ModuleList([criterion]))[0]
        assert torch.equal(call(copy), call(criterion))
        monitor.settle()
        assert monitor.count == 2
    assert torch.equal(call(copy), call(criterion))


def loaded(criterion: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(criterion, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_terms_are_those_of_the_call_and_the_criterion_is_left_as_it_was() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = losscope.Criterion("triplet", margin=0.1)

        def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            loss: torch.Tensor = 2 * self.inside(embeddings, labels)
            return loss

    criterion = Outer()
    with Monitor(criterion, strict=True) as monitor:
        call(criterion)
    terms, _ = criterion.inside.terms(INPUTS, LABELS)
    expected = losscope.diagnostics.active_ratio(terms).item()
    assert monitor.lines[0]["active_ratio"] == [pytest.approx(expected)]
    assert "terms" not in vars(criterion.inside)


def test_a_call_that_fails_is_no_step() -> None:
    criterion = losscope.Criterion("contrastive")
    with Monitor(criterion, strict=True) as monitor:
        call(criterion)
        with pytest.raises(losscope.errors.InvalidInput, match="embeddings have the shape"):
            criterion(INPUTS.clone().requires_grad_(), LABELS[:3])
        assert "terms" not in vars(criterion)
        call(criterion)
    assert [line["step"] for line in monitor.lines] == [0, 1]


def test_a_compiled_criterion_is_seen_from_outside() -> None:
    plain = losscope.Criterion("contrastive")
    compiled: Any = torch.compile(plain, backend="eager")
    with Monitor(compiled, strict=True) as monitor:
        expected = call(plain)
        for _ in range(2):
            assert torch.equal(call(compiled), expected)
    assert monitor.count == 2
    assert monitor.lines[1]["gradient_norm_embedding"] == [pytest.approx(expected.norm().item())]
    assert "active_ratio" not in monitor.lines[1]


def test_memory_does_not_grow_with_a_record(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("losscope.monitor.monitor.KEPT", 8)
    monkeypatch.setattr("losscope.monitor.buffer.LINES", 8)
    assert KEPT >= 1000
    criterion = losscope.Criterion("contrastive")
    with Monitor(criterion, out=tmp_path / "run", full=losscope.monitor.never, strict=True) as monitor:
        for _ in range(50):
            call(criterion)
    assert 8 <= len(monitor.lines) <= 24
    assert monitor.lines[-1]["step"] == 49
    assert losscope.table.read_measurements(tmp_path / "run", steps=True).num_rows >= 50
