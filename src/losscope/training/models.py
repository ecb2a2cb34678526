"""Encoders with a leading run axis: the parameters of all runs of a stack are one matrix (runs, parameters).

One buffer makes the optimizer one elementwise call and every norm one row reduction; layers are views into it. Each
run's weights come from its own seed, drawn as torch.nn draws them, so a run starts the same alone and in a stack.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from losscope.distances import unit_length
from losscope.errors import InvalidStudy
from losscope.seeds import generator
from losscope.study import Model

LANES = 64
"""Parameter rows are padded to a multiple of this, so that every run starts at the same place in vector registers
and an elementwise kernel treats it the same alone and in a stack."""


Forward = Callable[[Sequence[Tensor], Tensor], Tensor]
"""`(parameters, each (runs, *shape), inputs (runs, samples, ...)) -> (runs, samples, dim)` before normalization."""

Backward = Callable[[Tensor, Sequence[Tensor]], None]
"""`(gradient of the outputs, into)` writes the gradient of each parameter tensor into its place in `into`."""


@dataclass(frozen=True)
class Encoder:
    """A stack of encoders of one shape.

    shapes   of the parameter tensors of one run
    draw     `(seed) -> parameters` of one run, of these shapes
    forward  see `Forward`
    dim      of an embedding
    chunk    how many runs are worth stacking on a CPU (None: all)
    both     like `forward`, and the way back; None: autograd's
    """

    shapes: tuple[tuple[int, ...], ...]
    draw: Callable[[int], Sequence[Tensor]]
    forward: Forward
    dim: int
    chunk: int | None = None
    both: Callable[[Sequence[Tensor], Tensor], tuple[Tensor, Backward]] | None = None

    @property
    def sizes(self) -> list[int]:
        """Lengths of the parts of a parameter row; the last part is padding."""
        sizes = [math.prod(shape) for shape in self.shapes]
        return [*sizes, -sum(sizes) % LANES]

    def initial(self, seeds: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        """Parameters (runs, parameters) of untrained runs, drawn on the CPU from the seeds alone."""
        return padded([torch.cat([part.flatten() for part in self.draw(seed)]) for seed in seeds], dtype)

    def layers(self, parameters: Tensor) -> list[Tensor]:
        """Views (runs, *shape) of the parameter tensors in `parameters` (runs, parameters)."""
        parts = parameters.split_with_sizes(self.sizes, dim=1)
        return [part.view(-1, *shape) for part, shape in zip(parts, self.shapes, strict=False)]

    def embed(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """L2-normalized embeddings (runs, samples, dim); an output of exactly 0 stays 0."""
        return unit_length(self.outputs(parameters, inputs))

    def outputs(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The same before normalization."""
        return self.forward(self.layers(parameters), inputs)

    def outputs_and_backward(
        self, parameters: Tensor, inputs: Tensor
    ) -> tuple[Tensor, Callable[[Tensor, Tensor], None]]:
        """The outputs as a tensor without history, and the function `(gradient of the outputs, into)` that writes the
        gradient of the parameters over `into` (runs, parameters).

        Written in place since a gradient that autograd puts together from its parts is copied twice on the way.
        """
        layers = self.layers(parameters.detach())
        outputs, backward = self.both(layers, inputs) if self.both else _by_autograd(self.forward, layers, inputs)
        return outputs, lambda gradient, into: backward(gradient, self.layers(into))


def padded(drawn: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Numbers of all runs as one matrix, each run's in a row of a multiple of `LANES`."""
    length = drawn[0].numel()
    stacked = torch.zeros(len(drawn), length + -length % LANES, dtype=dtype)
    for row, one in zip(stacked, drawn, strict=True):
        row[:length] = one.flatten()
    return stacked


def _draw_layers(layers: Sequence[tuple[int, ...]], seed: int) -> list[Tensor]:
    """Weight and bias of each layer, uniform in ±1/√fan-in as torch.nn initializes Linear and Conv2d."""
    random = torch.Generator().manual_seed(int(generator(seed, "weights").integers(2**63)))
    drawn = []
    for shape in layers:
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        for size in (shape, shape[:1]):
            drawn.append(torch.empty(size).uniform_(-bound, bound, generator=random))
    return drawn


def _with_biases(layers: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    return tuple(shape for weight in layers for shape in (weight, weight[:1]))


def _by_autograd(forward: Forward, weights: Sequence[Tensor], inputs: Tensor) -> tuple[Tensor, Backward]:
    leaves = [part.detach().requires_grad_() for part in weights]
    with torch.enable_grad():
        outputs = forward(leaves, inputs)

    def backward(gradient: Tensor, into: Sequence[Tensor]) -> None:
        found = torch.autograd.grad(outputs, leaves, gradient, allow_unused=True, materialize_grads=True)
        for place, part in zip(into, found, strict=True):
            place.copy_(part)

    return outputs.detach(), backward


def _dense(weights: Sequence[Tensor], hidden: Tensor) -> Tensor:
    """Linear layers with ReLU between them; weights alternate (runs, out, in), (runs, out)."""
    for place in range(0, len(weights), 2):
        if place:
            hidden = hidden.relu()
        hidden = torch.baddbmm(weights[place + 1].unsqueeze(1), hidden, weights[place].transpose(1, 2))
    return hidden


@torch.no_grad()
def _dense_and_backward(weights: Sequence[Tensor], inputs: Tensor) -> tuple[Tensor, Backward]:
    """`_dense` and the way back by hand."""
    taken = [inputs]  # by each layer
    for place in range(0, len(weights) - 2, 2):
        taken.append(_dense(weights[place : place + 2], taken[-1]).relu_())
    outputs = _dense(weights[-2:], taken[-1])

    @torch.no_grad()
    def backward(gradient: Tensor, into: Sequence[Tensor]) -> None:
        for place in reversed(range(0, len(weights), 2)):
            hidden = taken[place // 2]
            torch.bmm(gradient.transpose(1, 2), hidden, out=into[place])
            torch.sum(gradient, 1, out=into[place + 1])
            if place:  # 1 where a unit fired, else 0
                gradient = (gradient @ weights[place]).mul_(hidden.sign())

    return outputs, backward


def mlp(input_shape: tuple[int, ...], widths: tuple[int, ...]) -> Encoder:
    """Linear layers with ReLU between them; inputs are flattened. Paper A: 128 -> 64 -> 32."""
    sizes = [math.prod(input_shape), *widths]
    layers = [(after, before) for before, after in itertools.pairwise(sizes)]
    return Encoder(
        _with_biases(layers),
        lambda seed: _draw_layers(layers, seed),
        lambda weights, inputs: _dense(weights, inputs.flatten(2)),
        widths[-1],
        both=lambda weights, inputs: _dense_and_backward(weights, inputs.flatten(2)),
    )


def linear(input_shape: tuple[int, ...], widths: tuple[int, ...]) -> Encoder:
    """One linear layer, the head on frozen features. Paper A: 768 -> 512."""
    if len(widths) != 1:
        raise InvalidStudy(f"model 'linear' has widths {list(widths)}; expected one: the embedding dimension")
    return mlp(input_shape, widths)


def convnet(input_shape: tuple[int, ...], widths: tuple[int, ...]) -> Encoder:
    """Two blocks of Conv 3x3 - ReLU - MaxPool 2 with 32 and 64 channels, then linear layers. Paper A: 128 -> 64.

    Channels-last throughout: max-pooling is eight times faster so on a CPU. Runs go one after the other (stacking
    convolutions gains nothing on a CPU), so a stack gives what each run gives alone.
    """
    if len(input_shape) != 3:
        raise InvalidStudy(
            f"model 'convnet' needs images (channels, height, width); the data set has samples of "
            f"shape {input_shape}; use model 'mlp' or 'linear'"
        )
    channels, height, width = input_shape
    sizes = [64 * (height // 4) * (width // 4), *widths]
    layers = [(32, channels, 3, 3), (64, 32, 3, 3), *((after, before) for before, after in itertools.pairwise(sizes))]

    def forward(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        return torch.cat([one_run([part[run] for part in weights], inputs[run]) for run in range(len(inputs))])

    def one_run(weights: Sequence[Tensor], images: Tensor) -> Tensor:
        hidden = images.contiguous(memory_format=torch.channels_last)
        for place in (0, 2):
            kernel = weights[place].contiguous(memory_format=torch.channels_last)
            # ReLU after the pool instead of before gives the same bits from a quarter of the work.
            hidden = F.max_pool2d(F.conv2d(hidden, kernel, weights[place + 1], padding=1), 2).relu()
        return _dense([part.unsqueeze(0) for part in weights[4:]], hidden.flatten(1).unsqueeze(0))

    return Encoder(_with_biases(layers), lambda seed: _draw_layers(layers, seed), forward, widths[-1], chunk=1)


def from_module(make: Callable[[tuple[int, ...]], nn.Module], input_shape: tuple[int, ...]) -> Encoder:
    """A user's own model: `make(input_shape)` builds the module; torch's global generator is seeded for each run.

    Modules with buffers (batch normalization) are refused: their running state would have to be stacked too.
    """

    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator(seed, "weights").integers(2**63)))
            return make(input_shape)

    module = build(0).train()
    if any(True for _ in module.buffers()):
        raise InvalidStudy(
            f"the model {type(module).__name__} has buffers (batch normalization?), which can't be "
            "stacked over runs; use LayerNorm or GroupNorm, or freeze it and hand in its features"
        )
    names = [name for name, _ in module.named_parameters()]
    with torch.no_grad():
        dim = module(torch.zeros(2, *input_shape)).shape[-1]

    def forward(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        def one_run(parts: Sequence[Tensor], samples: Tensor) -> Tensor:
            result: Tensor = torch.func.functional_call(module, dict(zip(names, parts, strict=True)), (samples,))
            return result

        stacked: Tensor = torch.func.vmap(one_run)(list(weights), inputs)
        return stacked

    return Encoder(
        tuple(tuple(parameter.shape) for parameter in module.parameters()),
        lambda seed: [parameter.detach() for parameter in build(seed).parameters()],
        forward,
        dim,
    )


MODELS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], Encoder]] = {
    "mlp": mlp,
    "convnet": convnet,
    "linear": linear,
}


def encoder(model: Model, input_shape: tuple[int, ...]) -> Encoder:
    """The stack of encoders that a protocol asks for."""
    return MODELS[model.name](input_shape, model.widths)
