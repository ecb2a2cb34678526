"""A run that diverges keeps its slot and leaves the others bit-identical; divergence is a status."""

from __future__ import annotations

import math

import pytest
import torch

from losscope.losses import LOSSES
from losscope.training.loop import Stack
from losscope.training.optimizer import Adam
from losscope.training.traces import Counts
from stacks import COMBINATIONS, build, cell, same, train

SEEDS = (0, 1, 2)


def poisoned(loss: str, sampling: str, value: float, run: int = 1) -> Stack:
    """A stack, one of whose runs has one sample that no network survives."""
    stack = build(cell(SEEDS, loss, sampling))
    stack.inputs.values[run, 5] = value
    return stack


@pytest.mark.parametrize(
    ("loss", "sampling", "value"),
    [
        (*one, value)
        for one in COMBINATIONS
        for value in (math.nan, math.inf, -math.inf)
        if math.isnan(value) or LOSSES[one[0]].saturates
    ],
)
def test_the_other_runs_stay_bit_identical(loss: str, sampling: str, value: float) -> None:
    sound, ill = build(cell(SEEDS, loss, sampling)), poisoned(loss, sampling, value)
    for mine, theirs in zip(train(sound), train(ill), strict=True):
        for name in mine:
            assert same(mine[name][:, [0, 2]], theirs[name][:, [0, 2]]), name
    for name, value in sound.state().items():
        if value.ndim:  # parameters, class vectors and what their optimizers keep
            assert torch.equal(value[[0, 2]], ill.state()[name][[0, 2]]), name
    assert ill.alive.tolist() == [True, False, True]
    assert all(value.isfinite().all() for value in ill.state().values())


def test_a_diverged_run_stays_finite_and_dead() -> None:
    stack = poisoned("contrastive", "one_tuple", math.nan)
    train(stack, epochs=1)
    assert stack.parameters.isfinite().all()
    stack.inputs.values[1, 5] = 0  # even if the cause is gone
    before = stack.parameters[1].clone()
    stack.optimizer.weight_decay = 0.0
    assert isinstance(stack.optimizer, Adam)
    stack.optimizer.averages[0][1].zero_()
    train(stack, epochs=1, start=2)
    assert torch.equal(stack.parameters[1], before)
    assert stack.alive.tolist() == [True, False, True]


def test_a_dead_run_stays_dead_when_resumed() -> None:
    stack, resumed = poisoned("contrastive", "one_tuple", math.nan), build(cell(SEEDS))
    train(stack, epochs=1)
    resumed.load(stack.state())
    assert resumed.alive.tolist() == [True, False, True]
    assert torch.equal(resumed.parameters, stack.parameters)


def test_counts_say_which_run_diverged_at_which_step() -> None:
    stack, counts = poisoned("contrastive", "one_tuple", math.nan), Counts.start(3)
    expected = None
    for epoch in (1, 2):
        trace = stack.train_epoch(epoch)
        if expected is None:
            expected = 1 + int(trace["loss"][:, 1].isnan().int().argmax())
        counts.add(epoch, trace, stack.samples)
    outcomes = [counts.outcome(run) for run in range(3)]
    assert [outcome["status"] for outcome in outcomes] == ["done", "diverged", "done"]
    assert [outcome["diverged_at"] for outcome in outcomes] == [None, expected, None]
    assert counts.updates == 2 * len(trace["loss"])
    assert counts.terms[0] == counts.terms[2] == 108  # one pair for each of 48 inliers and 6 outliers, twice


def test_a_run_can_diverge_by_its_gradient_alone() -> None:
    """The loss of huge but finite weights may be finite while the gradient is not."""
    stack = build(cell(SEEDS))
    step = next(iter(stack.sampler.epoch(1)))
    original = torch.autograd.grad

    def broken(*arguments: object, **options: object) -> tuple[torch.Tensor, ...]:
        by_embedding, by_output = original(*arguments, **options)  # type: ignore[arg-type]
        by_output = by_output.clone()
        by_output[2, 3] = math.inf
        return by_embedding, by_output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "grad", broken)
        trace = stack.train_step(step)
    assert trace["loss"].isfinite().all()
    assert stack.alive.tolist() == [True, True, False]
    assert stack.parameters.isfinite().all()
