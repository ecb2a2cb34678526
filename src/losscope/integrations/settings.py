"""What an object computes, as text: its class and all its settings, for the digest of a run.

Equal text for equal settings, in every process: no addresses, no order of sets, no values of what each run draws anew.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Set
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losscope.errors import InvalidInput

LIBRARIES = {"builtins", "numpy", "pytorch_metric_learning", "torch"}
"""Packages whose classes and functions are told by their names; others also by their source."""

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def described(value: Any, *, drawn: Set[int] = frozenset(), around: tuple[int, ...] = ()) -> str:
    """The settings of an object and of all that it holds.

    drawn   ids of the tensors that are drawn anew, of which only the shape counts
    around  ids of the objects that hold it, so that a circle ends

    Raises InvalidInput for what no text can tell from another: an object without settings, or without source.
    """

    def inner(part: Any) -> str:
        return described(part, drawn=drawn, around=(*around, id(value)))

    if isinstance(value, float):  # also numpy's, whose repr depends on its version
        return repr(float(value))
    if value is None or isinstance(value, bool | int | str | bytes | torch.dtype | torch.device):
        return repr(value)
    if isinstance(value, np.generic):
        return inner(value.item())
    if isinstance(value, Tensor | np.ndarray):
        return _numbers(torch.as_tensor(value), of_shape_only=id(value) in drawn)
    if id(value) in around:
        return "(itself)"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{inner(key)}: {inner(part)}' for key, part in value.items()))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inner, value))}]"
    if isinstance(value, Set):
        return f"{{{', '.join(sorted(map(inner, value)))}}}"
    if isinstance(value, type):
        return _class(value)
    if isinstance(value, MethodType):
        return f"{inner(value.__self__)}.{value.__name__}"
    if isinstance(value, partial):
        return f"{inner(value.func)}({inner(value.args)}, {inner(value.keywords)})"
    if isinstance(value, FunctionType | BuiltinFunctionType):
        return _function(value, inner)
    if isinstance(value, nn.Module):
        return f"{_class(type(value))}({inner(_settings(value))})"
    if hasattr(value, "__dict__"):
        return f"{_class(type(value))}({inner(vars(value))})"
    raise InvalidInput(
        f"a setting is {value!r}, of type {type(value).__name__}, which no text tells from another, so runs could not be "
        "told apart; use numbers, strings, tensors, functions or objects with attributes"
    )


def _settings(module: nn.Module) -> dict[str, Any]:
    """What a module holds: attributes, but for statistics of the batch it saw last; parameters, buffers, modules."""
    statistics = {*getattr(module, "_record_these_stats", ())}
    own = {key: value for key, value in vars(module).items() if key not in _OF_EVERY_MODULE | statistics}
    return own | dict(module._parameters) | dict(module._buffers) | dict(module._modules)


def _numbers(tensor: Tensor, *, of_shape_only: bool) -> str:
    kind = f"{tensor.dtype} {tuple(tensor.shape)}"
    if of_shape_only:
        return f"({kind}, drawn)"
    content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return f"({kind}, {hashlib.sha256(content).hexdigest()[:16]})"


def _class(kind: type) -> str:
    """Its name, and the source of every class above it that is not a library's."""
    sources = [_source(one) for one in kind.__mro__ if not _of_library(one)]
    return f"{kind.__module__}.{kind.__qualname__}{sources or ''}"


def _function(function: Callable[..., Any], inner: Callable[[Any], str]) -> str:
    name = f"{function.__module__}.{function.__qualname__}"
    if _of_library(function):
        return name
    closed = inspect.getclosurevars(function).nonlocals
    return f"{name}({_source(function)}, {inner(dict(closed))}, {inspect.signature(function)})"


def _of_library(thing: Any) -> bool:
    return (thing.__module__ or "builtins").partition(".")[0] in LIBRARIES


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (TypeError, OSError) as error:
        raise InvalidInput(
            f"the source of {thing!r} can't be read ({error}), so its runs could not be told apart from another's; "
            "hand in one that is defined in a file"
        ) from None
