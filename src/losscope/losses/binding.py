"""A loss and its hyper-parameters: names checked, defaults filled in, values checked, before any use."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from losscope.errors import InvalidStudy, UnknownName
from losscope.types import Loss


def bind(name: str, loss: Loss, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every hyper-parameter of `loss`, in the order of its signature; `name` is what messages call it.

    Raises UnknownName for a hyper-parameter that it doesn't have, InvalidStudy for one that is missing or
    whose value is not of the default's type. Numbers must be finite, and positive (margins, temperatures,
    scales) unless the default is not.

    >>> from losscope.losses import LOSSES
    >>> bind("triplet", LOSSES["triplet"], {"margin": 1})
    {'margin': 1.0, 'squared': False}
    """
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(loss.terms).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in given:
        if key not in parameters:
            raise UnknownName.of(f"hyper-parameter of loss '{name}'", key, parameters)
    bound = {}
    for key, parameter in parameters.items():
        if key not in given and parameter.default is inspect.Parameter.empty:
            raise InvalidStudy(f"loss '{name}' needs the hyper-parameter '{key}'; give it a value")
        bound[key] = _checked(name, key, given[key], parameter.default) if key in given else parameter.default
    return bound


def _checked(loss: str, name: str, value: Any, default: Any) -> Any:
    found = f"loss '{loss}': {name} = {value!r}; expected"
    if isinstance(default, bool) != isinstance(value, bool) or (
        isinstance(default, int | float) and not isinstance(value, int | float)
    ):
        expected = "true or false" if isinstance(default, bool) else "a number"
        raise InvalidStudy(f"{found} {expected}, such as {default!r}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        positive = not isinstance(default, int | float) or default > 0
        if not math.isfinite(value) or (positive and value <= 0):
            raise InvalidStudy(f"{found} a {'positive, ' if positive else ''}finite number")
        return float(value) if isinstance(default, float) else value
    return value
