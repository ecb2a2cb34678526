"""Runs never meet: a run computes the same bits alone and in any stack, observed or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from losscope.losses import LOSSES
from losscope.losses.binding import bind
from losscope.study import Data, Model
from losscope.training.loop import Stack
from losscope.training.objective import stacked_terms
from losscope.training.run import Extensions, Place
from losscope.types import Loss
from stacks import COMBINATIONS, DIGITS, build, cell, same, train

SEEDS = (3, 0, 8)
MANY = (3, 0, 8, 1, 5)
SMALL_MLP, SMALL_CONVNET = Model(widths=(12, 8)), Model(name="convnet", widths=(16, 8))


def assert_same_run(one: Stack, row: int, other: Stack, column: int) -> None:
    assert torch.equal(one.parameters[row], other.parameters[column])
    for name, value in one.state().items():
        if value.ndim:
            assert torch.equal(value[row], other.state()[name][column]), name


def assert_same_traces(one: list[Any], row: int, other: list[Any], column: int) -> None:
    for epoch, (mine, theirs) in enumerate(zip(one, other, strict=True), start=1):
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert same(mine[name][:, row], theirs[name][:, column]), (epoch, name)


def assert_alone_as_in_a_stack(loss: str, sampling: str, **options: Any) -> None:
    stack = build(cell(SEEDS, loss, sampling, **options))
    traces = train(stack)
    for run, seed in enumerate(SEEDS):
        alone = build(cell((seed,), loss, sampling, **options))
        assert_same_traces(train(alone), 0, traces, run)
        assert_same_run(alone, 0, stack, run)


@pytest.mark.parametrize(("loss", "sampling"), COMBINATIONS)
def test_a_run_in_a_stack_is_the_run_alone(loss: str, sampling: str) -> None:
    assert_alone_as_in_a_stack(loss, sampling)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("n_pair", {"unit_length": False, "scale": 1.0, "penalty": 0.02}),
        ("sup_con", {"sum_outside": False}),
        ("center_contrastive", {"momentum": 0.9}),
        ("arcface", {"proxy_lr": 0.1}),
    ],
)
def test_options_of_a_loss_stack_too(loss: str, options: dict[str, Any]) -> None:
    assert_alone_as_in_a_stack(loss, "customary", hyperparameters=options)


@pytest.mark.parametrize(
    ("loss", "name", "values"),
    [
        ("contrastive", "margin", (0.3, 1.0, 1.4)),
        ("triplet", "margin", (0.1, 0.2, 1.0)),
        ("n_pair", "scale", (1.0, 10.0, 3.0)),
        ("n_pair", "penalty", (0.0, 0.02, 0.1)),
        ("info_nce", "temperature", (0.05, 0.07, 0.5)),
        ("sup_con", "temperature", (0.05, 0.1, 0.5)),
        ("arcface", "margin", (0.0, 0.3, 0.5)),
        ("arcface", "scale", (4.0, 16.0, 64.0)),
        ("center_contrastive", "margin", (0.0, 0.2, 0.35)),
        ("center_contrastive", "center_weight", (0.0, 0.5, 1.0)),
    ],
)
@pytest.mark.parametrize("sampling", ["customary", "all_in_batch"])
def test_variants_in_one_stack_are_each_alone(loss: str, name: str, values: tuple[float, ...], sampling: str) -> None:
    """Numbers that `terms` takes may differ between the runs of a stack."""
    cells = [
        cell((seed,), loss, sampling, hyperparameters={name: value})
        for seed, value in zip((3, 3, 8), values, strict=True)
    ]
    stack = build(cell((3, 3, 8), loss, sampling), [one.loss for one in cells])
    traces = train(stack)
    for run, given in enumerate(cells):
        alone = build(given)
        assert_same_traces(train(alone), 0, traces, run)
        assert_same_run(alone, 0, stack, run)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sampling", ["one_tuple", "customary"])
def test_a_convnet_stacks_too(loss: str, sampling: str) -> None:
    assert_alone_as_in_a_stack(loss, sampling, data=DIGITS, model=SMALL_CONVNET)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("chunk", [(2, 2, 1), (4, 1)])
def test_chunks_of_the_run_axis_are_the_whole(loss: str, chunk: tuple[int, ...]) -> None:
    whole = build(cell(MANY, loss, "all_in_batch"))
    train(whole)
    start = 0
    for size in chunk:
        part = build(cell(MANY[start : start + size], loss, "all_in_batch"))
        train(part)
        for run in range(size):
            assert_same_run(part, run, whole, start + run)
        start += size


@pytest.mark.parametrize(("loss", "sampling"), COMBINATIONS)
def test_observing_changes_nothing(loss: str, sampling: str) -> None:
    observed, unobserved = (build(cell((0, 1), loss, sampling), observe=observe) for observe in (True, False))
    before = torch.get_rng_state()
    traces, losses = train(observed), train(unobserved)
    assert torch.equal(torch.get_rng_state(), before)
    for run in range(2):
        assert_same_run(observed, run, unobserved, run)
    for full, bare in zip(traces, losses, strict=True):
        assert bare.keys() == {"loss"}
        assert torch.equal(full["loss"], bare["loss"])


def test_measuring_between_epochs_changes_nothing() -> None:
    measured, plain = build(cell((0, 1), "triplet")), build(cell((0, 1), "triplet"))
    for epoch in (1, 2):
        measured.measure_epoch(0)
        measured.embed(measured.inputs)
        assert torch.equal(measured.train_epoch(epoch)["loss"], plain.train_epoch(epoch)["loss"])
    assert torch.equal(measured.parameters, plain.parameters)


@pytest.mark.parametrize("options", [{}, {"data": DIGITS}, {"data": DIGITS, "model": SMALL_CONVNET}])
def test_a_stack_embeds_what_each_run_embeds(options: dict[str, Any]) -> None:
    stack = build(cell(SEEDS, **options))
    together = stack.embed(stack.inputs)
    assert torch.allclose(together.norm(dim=-1), torch.ones(()))
    for run, seed in enumerate(SEEDS):
        alone = build(cell((seed,), **options))
        assert torch.equal(alone.embed(alone.inputs)[0], together[run])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "sampling", "data"),
    [
        ("contrastive", "one_plus_one", "synthetic"),
        ("triplet", "all_in_batch", "synthetic"),
        ("contrastive", "one_plus_one", "digits"),
        ("triplet", "all_in_batch", "digits"),
        *((loss, "customary", "digits") for loss in LOSSES),
        *((loss, "all_in_batch, P x K", "digits") for loss in LOSSES if loss != "triplet"),
    ],
)
def test_at_the_sizes_of_the_studies_too(loss: str, sampling: str, data: str) -> None:
    balanced = {"classes": 10, "per_class": 51} if sampling in ("customary", "all_in_batch, P x K") else {}
    widths = (128,) if balanced else (64, 32)
    options = {
        "data": Data(name=data),
        "model": Model(widths=widths),
        "batch": {"terms": 64, "samples": 64, **balanced},
    }
    stack = build(cell(tuple(range(13)), loss, sampling, **options))
    traces = train(stack, epochs=1)
    for run in (0, 12):
        alone = build(cell((run,), loss, sampling, **options))
        assert_same_traces(train(alone, epochs=1), 0, traces, run)
        assert_same_run(alone, 0, stack, run)


@pytest.mark.parametrize(
    ("loss", "sampling", "stacking"),
    [
        (*one, stacking)
        for one in COMBINATIONS
        for stacking in ("vmap", "loop")
        if stacking == "loop" or LOSSES[one[0]].saturates  # the softmax losses have gradients of their own
    ],
)
def test_every_way_of_stacking_gives_the_same_terms(loss: str, sampling: str, stacking: str) -> None:
    other = replace(LOSSES[loss], stacking=stacking)  # type: ignore[arg-type]
    stack = build(cell((0, 1, 2), loss, sampling))
    alone = bind(loss, other, {}, training=False)
    for step in list(stack.sampler.epoch(1))[:2]:
        embeddings, terms, tuples, _ = stack.forward(step)
        found = stacked_terms(other, embeddings, tuples, alone, stack.objective.proxies)
        assert torch.equal(found.valid, terms.valid)
        torch.testing.assert_close(found.values, terms.values)


def test_a_loss_of_ones_own_trains_in_a_stack() -> None:
    own = Loss(LOSSES["triplet"].terms, "triplet", True, "mine")
    place = Place(extensions=Extensions(losses={"triplet": own}))
    seeds = (0, 1)
    theirs = build(cell(seeds, "triplet", "all_in_batch"))
    mine = build(cell(seeds, "triplet", "all_in_batch"), place=place)
    train(mine)
    train(theirs)
    torch.testing.assert_close(mine.parameters, theirs.parameters, rtol=1e-4, atol=1e-5)
