"""Looking without changing: weights, buffers, attributes, modes and random states are afterwards what they were.

Gradients are never accumulated (`torch.autograd.grad`), and the optimizer is only read.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_PLAIN = (dict, OrderedDict, list, set, deque)
_STATEFUL: tuple[type[Any], ...] = (torch.Generator, np.random.RandomState)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def untouched(modules: Iterable[nn.Module], loader: object) -> Iterator[None]:
    """All parts of the modules, the loader's samplers, and every source of random numbers, as they were."""
    parts = {id(part): part for module in modules for part in module.modules()}
    restores: list[Callable[[], object]] = [_restore_random(), *map(_restore_object, parts.values())]
    for one in _samplers(loader):
        restores += [_restore_object(one), *_restore_generators(one)]
    try:
        yield
    finally:
        for restore in restores:
            restore()


@contextmanager
def unwatched(criterion: object) -> Iterator[None]:
    """Without the hooks of a criterion: a monitor that taps it must not count what is tried as steps."""
    parts = list(criterion.modules()) if isinstance(criterion, nn.Module) else []
    kept = [(part, name, vars(part)[name]) for part in parts for name in _HOOKS]
    for part, name, _ in kept:
        vars(part)[name] = OrderedDict()
    try:
        yield
    finally:
        for part, name, hooks in kept:
            vars(part)[name] = hooks


def _restore_object(one: object) -> Callable[[], None]:
    """Attributes, and tensors that were written in place."""
    held = vars(one)
    attributes = {name: copy(value) if type(value) in _PLAIN else value for name, value in held.items()}
    originals = dict(held)
    tensors = [
        (value, value.detach().clone())
        for value in (*_tensors(held), *_tensors(held.get("_parameters", {})), *_tensors(held.get("_buffers", {})))
    ]

    def restore() -> None:
        for name in [*held]:
            if name not in originals:
                del held[name]
        for name, value in originals.items():
            if type(value) in _PLAIN:
                _refill(value, attributes[name])
            held[name] = value
        with torch.no_grad():
            for tensor, before in tensors:  # batch norm writes its statistics without counting a version
                if not torch.equal(tensor, before):
                    tensor.copy_(before)

    return restore


def _refill(held: Any, before: Any) -> None:
    held.clear()
    held.extend(before) if isinstance(held, list | deque) else held.update(before)


def _tensors(held: dict[str, Any]) -> list[Tensor]:
    return [value for value in held.values() if isinstance(value, Tensor)]


def _restore_random() -> Callable[[], None]:
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    return restore


def _samplers(loader: object) -> list[object]:
    """What a DataLoader draws batches with. Not the loader itself, which holds workers."""
    found: dict[int, object] = {}
    batch_sampler = getattr(loader, "batch_sampler", None)
    for one in (getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)):
        if hasattr(one, "__dict__"):
            found[id(one)] = one
    if not found and hasattr(loader, "__dict__") and not isinstance(loader, torch.utils.data.DataLoader):
        found[id(loader)] = loader
    return [*found.values()]


def _restore_generators(one: object) -> Iterator[Callable[[], object]]:
    value: Any
    for value in vars(one).values():
        if isinstance(value, _STATEFUL):
            yield partial(value.set_state, value.get_state())
        elif isinstance(value, np.random.Generator):
            yield partial(setattr, value.bit_generator, "state", value.bit_generator.state)
        elif isinstance(value, random.Random):
            yield partial(value.setstate, value.getstate())
