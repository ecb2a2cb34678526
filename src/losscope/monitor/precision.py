"""Gradients under mixed precision: brought back to the scale of the loss, or refused where the scale is not known.

A GradScaler multiplies the loss before backward, so embeddings' gradients come back multiplied. Parameters' gradients do
too, until the scaler has unscaled them: for gradient clipping, or within `scaler.step`, before the optimizer's own step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from losscope.errors import InvalidInput

REFUSED = (
    "embeddings or autocast are of float16 and no scaler was given, so gradients may be multiplied by a scale nobody told "
    "of: gradients are not measured; give the monitor scaler=... (your GradScaler), or scaler=False if there is none"
)


def unscaling(scaler: Any, embeddings: Tensor) -> Callable[[Tensor], Tensor]:
    """How to get the loss's gradient from what backward brings to `embeddings`. Raises InvalidInput under float16
    without a scaler."""
    if scaler is None:
        half = torch.float16
        kind = embeddings.device.type
        if embeddings.dtype == half or (torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == half):
            raise InvalidInput(REFUSED)
        return _same
    if not scaler or not scaler.is_enabled():
        return _same
    return lambda gradient: gradient.float() / scale(scaler)  # in float16 a gradient without its scale would be 0


def scale(scaler: Any) -> Any:
    """The scale, a tensor or a number, without waiting for the device."""
    return getattr(scaler, "_get_scale_async", scaler.get_scale)()


def parameters_divisor(scaler: Any, optimizer: torch.optim.Optimizer | None) -> Any:
    """What parameters' gradients are still multiplied by between backward and the optimizer's step, or None."""
    if not scaler or not scaler.is_enabled():
        return None
    if optimizer is not None:  # within its step: the scaler has unscaled them, unless the optimizer does it itself
        return getattr(optimizer, "grad_scale", None)
    states = getattr(scaler, "_per_optimizer_states", {}).values()
    return None if any(state["stage"].name == "UNSCALED" for state in states) else scale(scaler)


def _same(gradient: Tensor) -> Tensor:
    return gradient
