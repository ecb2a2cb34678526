"""A loss and its hyper-parameters: names checked, defaults filled in, values checked, before any use; then along runs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from losscope.errors import InvalidStudy, UnknownName
from losscope.types import Loss


def bind(name: str, loss: Loss, given: Mapping[str, Any], *, training: bool = True) -> dict[str, Any]:
    """Every hyper-parameter of `loss`, in the order of its signature; `name` is what messages call it.

    With `training` also those that the training loop reads (`Loss.training`), last.

    Raises UnknownName for a hyper-parameter that it doesn't have, InvalidStudy for one that is missing or
    whose value is not of the default's type. Numbers must be finite, and positive (margins, temperatures,
    scales) unless the default is not; those that the loss lists in `may_be_0` may be 0.

    >>> from losscope.losses import LOSSES
    >>> bind("triplet", LOSSES["triplet"], {"margin": 1})
    {'margin': 1.0, 'squared': False}
    """
    defaults = hyperparameters(loss) | (dict(loss.training) if training else {})
    for key in given:
        if key not in defaults:
            raise UnknownName.of(f"hyper-parameter of loss '{name}'", key, defaults)
    bound = {}
    for key, default in defaults.items():
        if key not in given and default is inspect.Parameter.empty:
            raise InvalidStudy(f"loss '{name}' needs the hyper-parameter '{key}'; give it a value")
        bound[key] = _checked(name, key, given[key], default, key in loss.may_be_0) if key in given else default
    return bound


def hyperparameters(loss: Loss) -> dict[str, Any]:
    """The hyper-parameters that the terms of a loss take, with their defaults (`inspect.Parameter.empty`: none)."""
    return {
        key: parameter.default
        for key, parameter in inspect.signature(loss.terms).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not (loss.proxies and key == "proxies")
    }


def _checked(loss: str, name: str, value: Any, default: Any, may_be_0: bool) -> Any:
    found = f"loss '{loss}': {name} = {value!r}; expected"
    if isinstance(default, bool) != isinstance(value, bool) or (
        isinstance(default, int | float) and not isinstance(value, int | float)
    ):
        expected = "true or false" if isinstance(default, bool) else "a number"
        raise InvalidStudy(f"{found} {expected}, such as {default!r}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        positive = not isinstance(default, int | float) or default > 0
        if not math.isfinite(value) or (may_be_0 and value < 0) or (positive and not may_be_0 and value <= 0):
            expected = "finite number of at least 0" if may_be_0 else "positive, finite number"
            raise InvalidStudy(f"{found} a {expected if may_be_0 or positive else 'finite number'}")
        if name == "momentum" and value >= 1:
            raise InvalidStudy(f"{found} a number below 1: the share that a center keeps")
        return float(value) if isinstance(default, float) else value
    return value


def along(value: float | Tensor, ndim: int) -> float | Tensor:
    """A hyper-parameter with one value for each run, shaped to meet a tensor of `ndim` axes; a number stays one."""
    if not isinstance(value, Tensor):
        return value
    return value.view(*value.shape, *[1] * (ndim - value.ndim))
