"""Encoders: weights as torch.nn draws them, from the seed alone; the forward pass of nn.Sequential."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor, nn
from torch.nn.functional import normalize

from losscope.errors import InvalidStudy
from losscope.study import Model
from losscope.training.models import LANES, Encoder, encoder, from_module

SEEDS = (5, 0, 3)


def sequential(name: str) -> tuple[Encoder, nn.Sequential, tuple[int, ...]]:
    """An encoder, the torch module that it stands for, and the shape of its inputs."""
    torch.manual_seed(0)
    if name == "convnet":
        shape: tuple[int, ...] = (3, 12, 10)
        layers = [
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 3 * 2, 20), nn.ReLU(), nn.Linear(20, 8),
        ]  # fmt: skip
        return encoder(Model(name="convnet", widths=(20, 8)), shape), nn.Sequential(*layers), shape
    if name == "linear":
        return encoder(Model(name="linear", widths=(8,)), (24,)), nn.Sequential(nn.Linear(24, 8)), (24,)
    layers = [nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 8)]
    return encoder(Model(widths=(16, 12, 8)), (2, 3, 4)), nn.Sequential(*layers), (2, 3, 4)


def load(module: nn.Module, weights: list[Tensor], run: int) -> None:
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.copy_(weight[run])


@pytest.mark.parametrize("name", ["mlp", "linear", "convnet"])
def test_the_stacked_forward_pass_is_nn_sequential(name: str) -> None:
    made, module, shape = sequential(name)
    module.double()
    parameters = made.initial(SEEDS, torch.float64).requires_grad_()
    inputs = torch.randn(len(SEEDS), 7, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    embeddings = made.embed(parameters, inputs)
    direction = torch.randn_like(embeddings)
    (gradient,) = torch.autograd.grad((embeddings * direction).sum(), parameters)
    for run in range(len(SEEDS)):
        load(module, made.layers(parameters), run)
        expected = normalize(module(inputs[run]), dim=-1)
        torch.testing.assert_close(embeddings[run], expected)
        theirs = torch.autograd.grad((expected * direction[run]).sum(), list(module.parameters()))
        for mine, other in zip(made.layers(gradient), theirs, strict=True):
            torch.testing.assert_close(mine[run], other)


def assert_backward_is_autograds(made: Encoder, inputs: Tensor) -> None:
    parameters = made.initial(SEEDS, inputs.dtype)
    outputs, backward = made.outputs_and_backward(parameters, inputs)
    assert not outputs.requires_grad
    expected = made.outputs(parameters.requires_grad_(), inputs)
    torch.testing.assert_close(outputs, expected.detach())
    direction = torch.randn_like(outputs)
    into = torch.zeros_like(parameters, requires_grad=False)
    for part in made.layers(into):
        part.fill_(torch.nan)  # whatever was there is written over
    backward(direction, into)
    (gradient,) = torch.autograd.grad((expected * direction).sum(), parameters)
    torch.testing.assert_close(into, gradient)
    used = sum(math.prod(shape) for shape in made.shapes)
    assert not into[:, used:].any()  # the padding


@pytest.mark.parametrize("name", ["mlp", "linear", "convnet"])
def test_the_way_back_writes_the_gradient_of_autograd(name: str) -> None:
    made, _, shape = sequential(name)
    random = torch.Generator().manual_seed(0)
    assert_backward_is_autograds(made, torch.randn(len(SEEDS), 7, *shape, generator=random, dtype=torch.float64))


def test_the_way_back_of_a_module_of_ones_own_also_with_parameters_that_it_does_not_use() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, points: Tensor) -> Tensor:
            result: Tensor = self.used(points).tanh()
            return result

    made = from_module(lambda shape: Own(), (4,))
    assert_backward_is_autograds(made, torch.randn(len(SEEDS), 5, 4, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("name", ["mlp", "linear", "convnet"])
def test_shapes_are_those_of_the_module_and_rows_are_padded(name: str) -> None:
    made, module, _ = sequential(name)
    assert made.shapes == tuple(tuple(parameter.shape) for parameter in module.parameters())
    parameters = made.initial(SEEDS)
    count = sum(parameter.numel() for parameter in module.parameters())
    assert parameters.shape[1] % LANES == 0
    assert 0 <= parameters.shape[1] - count < LANES
    assert not parameters[:, count:].any()


@pytest.mark.parametrize("name", ["mlp", "linear", "convnet"])
def test_initial_weights_have_the_distribution_of_torch_nn(name: str) -> None:
    made, module, _ = sequential(name)
    drawn = made.layers(made.initial(tuple(range(40))))
    for mine, theirs in zip(drawn, module.parameters(), strict=True):
        if theirs.ndim > 1:
            bound = 1 / math.sqrt(math.prod(theirs.shape[1:]))  # a bias has the bound of its weight
        for part in (mine.flatten(), theirs.detach().flatten()):
            assert part.abs().max() <= bound
            assert kstest(part.numpy(), "uniform", (-bound, 2 * bound)).pvalue > 1e-4


@pytest.mark.parametrize("name", ["mlp", "linear", "convnet"])
def test_a_run_starts_the_same_alone_and_in_any_stack(name: str) -> None:
    made, _, _ = sequential(name)
    together = made.initial(SEEDS)
    for run, seed in enumerate(SEEDS):
        assert torch.equal(made.initial((seed,))[0], together[run])
    assert not torch.equal(together[0], together[1])
    torch.manual_seed(1)
    assert torch.equal(made.initial(SEEDS), together)  # torch's global generator plays no part


def test_an_output_of_zero_stays_zero() -> None:
    made, _, _ = sequential("linear")
    embeddings = made.embed(torch.zeros(1, made.initial((0,)).shape[1]), torch.ones(1, 3, 24))
    assert not embeddings.any()


def test_impossible_models_are_refused() -> None:
    with pytest.raises(InvalidStudy, match=r"'linear' has widths \[8, 4\]; expected one"):
        encoder(Model(name="linear", widths=(8, 4)), (24,))
    with pytest.raises(InvalidStudy, match=r"'convnet' needs images .* shape \(24,\)"):
        encoder(Model(name="convnet", widths=(8,)), (24,))
    with pytest.raises(InvalidStudy, match="Sequential has buffers"):
        from_module(lambda shape: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), (4,))


def test_a_module_of_ones_own_is_stacked() -> None:
    made = from_module(lambda shape: nn.Sequential(nn.Linear(shape[0], 6), nn.Tanh(), nn.Linear(6, 3)), (4,))
    state = torch.get_rng_state()
    parameters = made.initial(SEEDS)
    assert torch.equal(torch.get_rng_state(), state)
    inputs = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    embeddings = made.embed(parameters, inputs)
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    for run, seed in enumerate(SEEDS):
        load(module, made.layers(parameters), run)
        torch.testing.assert_close(embeddings[run], normalize(module(inputs[run]), dim=-1))
        assert torch.equal(made.initial((seed,))[0], parameters[run])
    assert not np.allclose(parameters[0], parameters[1])
