"""A few batches go through model and criterion, forward and backward, and the criterion is tried on changed ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from losscope.doctor.calls import Call, Embed, call_of, parameters_of
from losscope.doctor.case import Observed, Trial, Trials
from losscope.errors import InvalidInput

GATHERED = 1e-3
"""Distance of nearly collapsed embeddings from their common point, for losses that leave out distances of exactly 0."""


def observe(
    model: nn.Module,
    criterion: Callable[..., Any],
    loader: Iterable[Any],
    *,
    miner: Any,
    embed: Embed | None,
    batches: int,
) -> tuple[Observed, ...]:
    """What the first `batches` batches do. Raises InvalidInput for batches that can't be read, or none at all."""
    found = []
    for batch in islice(loader, batches):
        found.append(_observed(model, criterion, batch, miner, embed))
        if found[-1].failure is not None:
            break
    if not found:
        raise InvalidInput("the loader gave no batch; expected at least one")
    return tuple(found)


def _observed(model: nn.Module, criterion: Callable[..., Any], batch: Any, miner: Any, embed: Embed | None) -> Observed:
    with torch.enable_grad(), _first_not_finite(model) as wrong:
        try:
            call, inputs = call_of(model, batch, embed)
        except InvalidInput:
            raise
        except Exception as error:
            return Observed(failure=f"the model raised {type(error).__name__}: {error}")
        kept = Call(tuple(one.detach() for one in call.parts), call.given)
        try:
            extra, mined = _mined(miner, call)
        except Exception as error:
            return Observed(kept, inputs, failure=f"the miner raised {type(error).__name__}: {error}")
        try:
            loss = criterion(*call.arguments, *extra)
        except Exception as error:
            return Observed(kept, inputs, failure=f"the criterion raised {type(error).__name__}: {error}")
        if not isinstance(loss, Tensor):
            return Observed(
                kept, inputs, failure=f"the criterion returned a {type(loss).__name__}; expected a tensor ()"
            )
        parameters = {f"model.{name}": one for name, one in parameters_of(model).items()}
        parameters |= {f"criterion.{name}": one for name, one in parameters_of(criterion).items()}
        try:
            of_parts, of_parameters = _gradients(loss, call.parts, [*parameters.values()])
        except Exception as error:
            return Observed(kept, inputs, failure=f"backward raised {type(error).__name__}: {error}")
    norms = {
        name: None if one is None else float(torch.linalg.vector_norm(one.detach().float()))
        for name, one in zip(parameters, of_parameters, strict=True)
    }
    return Observed(kept, inputs, loss.detach(), _flat(of_parts, call.parts), norms, next(iter(wrong), None), mined)


def _mined(miner: Any, call: Call) -> tuple[tuple[Any, ...], tuple[int, int] | None]:
    """What a miner hands to the criterion, and how many tuples are left."""
    if miner is None:
        return (), None
    found = miner(*call.arguments)
    counts = [len(one) for one in found] if isinstance(found, tuple) else []
    return (found,), (counts[1], counts[-1]) if counts else None


def _gradients(
    loss: Tensor, parts: tuple[Tensor, ...], parameters: list[nn.Parameter]
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    wanted = [*parts, *parameters]
    asked = [one for one in wanted if one.requires_grad]
    if not loss.requires_grad or loss.numel() != 1 or not asked:
        return [None] * len(parts), [None] * len(parameters)
    came = dict(
        zip(map(id, asked), torch.autograd.grad(loss.reshape(()), asked, allow_unused=True), strict=True)
    )  # fmt: skip
    of = [came.get(id(one)) for one in wanted]
    return of[: len(parts)], of[len(parts) :]


def _flat(gradients: list[Tensor | None], parts: tuple[Tensor, ...]) -> Tensor | None:
    if all(one is None for one in gradients):
        return None
    filled = (torch.zeros_like(part) if one is None else one for one, part in zip(gradients, parts, strict=True))
    return torch.cat([one.detach().reshape(-1, one.shape[-1]).float() for one in filled])


@contextmanager
def _first_not_finite(model: nn.Module) -> Iterator[list[str]]:
    """Names of modules without children whose output is not finite, in the order in which they ran."""
    found: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def look(module: nn.Module, arguments: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and not bool(output.isfinite().all()):
                found.append(name)

        return look

    hooks = [
        part.register_forward_hook(watch(name or type(part).__name__))
        for name, part in model.named_modules()
        if not next(part.children(), None)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def tried(criterion: Callable[..., Any], observed: tuple[Observed, ...]) -> Trials | None:
    """The criterion without a miner on the first batch that says most: with a finite loss and several classes."""
    usable = [one for one in observed if one.is_finite and one.call is not None]
    several = [one for one in usable if one.call is not None and len(torch.unique(one.call.classes)) > 1]
    chosen = next(iter(several or usable), None)
    if chosen is None or chosen.call is None:
        return None
    call = chosen.call
    devices = {one.device for one in call.parts if one.is_cuda}

    def of(changed: Call | None) -> Trial | None:
        with torch.random.fork_rng(devices):  # a criterion that draws tuples draws the same ones each time
            return _trial(criterion, changed.detached()) if changed is not None else None

    plain = of(call)
    if plain is None:
        return None
    generator = torch.Generator().manual_seed(0)
    shuffled = [of(call.shuffled(generator)) for _ in range(2)]
    rows = call.rows
    return Trials(
        call=call,
        plain=plain,
        shuffled=tuple(one for one in shuffled if one is not None),
        doubled=of(call.moved(2 * rows)),
        collapsed=of(call.collapsed()),
        gathered=of(call.collapsed(GATHERED)),
        apart=of(call.apart()),
        twinned=of(call.twinned()),
        half=of(_as(call, torch.float16)),
        whole=of(_as(call, torch.float32)),
    )


def _as(call: Call, dtype: torch.dtype) -> Call:
    return Call(tuple(one.to(dtype) for one in call.parts), call.given)


def _trial(criterion: Callable[..., Any], call: Call) -> Trial | None:
    """None where the criterion can't be called so: class vectors of another length, a type that it refuses."""
    with torch.enable_grad():
        try:
            loss = criterion(*call.arguments)
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                return None
            gradients, _ = _gradients(loss, call.parts, [])
        except Exception:
            return None
    return Trial(float(loss.detach()), _flat(gradients, call.parts))
