"""Arrays as tensors that share their memory, and the device where tensors are worked on."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from losscope.errors import InvalidInput

DEVICES = ("cpu", "cuda")


def as_tensor(array: np.ndarray) -> Tensor:
    """The array as a tensor without a copy; nothing here writes to it, so one that is read-only may stay so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(np.asarray(array))


def check_device(name: str) -> None:
    """Raises InvalidInput unless the device exists here: before the work, not after it."""
    if str(name).partition(":")[0] not in DEVICES:
        raise InvalidInput(f"the device is {name!r}; expected 'cpu' or 'cuda'")
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInput(f"the device {name!r} can't be used here ({str(error).splitlines()[0]}); expected 'cpu', or "
                           "'cuda' where torch finds a GPU") from None  # fmt: skip
