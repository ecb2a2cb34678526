"""Operations in the inner loop that numpy does several times faster than torch on a CPU; torch elsewhere."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def reaches(similarities: Tensor, floors: Tensor, out: Tensor) -> Tensor:
    """`similarities >= floors` into the bool tensor `out`, which is returned."""
    if similarities.device.type != "cpu":
        return torch.ge(similarities, floors, out=out)
    np.greater_equal(similarities.numpy(), floors.numpy(), out=out.numpy())
    return out


def places(mask: Tensor) -> Tensor:
    """Flat indices, ascending, of what is true in a contiguous bool tensor. Waits for the device."""
    if mask.device.type != "cpu":
        return mask.view(-1).nonzero().squeeze(1)
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def sorted_rows(keys: Tensor) -> Tensor:
    """Each row of int32 `keys` in ascending order; may overwrite them."""
    if keys.device.type != "cpu":
        return keys.sort(dim=1).values
    keys.numpy().sort(axis=1)
    return keys


def in_order_of(keys: Tensor, bound: int) -> Tensor:
    """Indices (n,) that sort whole `keys` (n,) from 0 to `bound` - 1 < 2**16, stably: a radix sort."""
    if keys.device.type != "cpu":
        return keys.sort(stable=True).indices
    assert bound <= 2**16
    return torch.from_numpy(keys.numpy().astype(np.uint16).argsort(kind="stable"))


def largest(similarities: Tensor, k: int) -> Tensor:
    """The k-th largest (rows,) of each row of similarities (rows, columns), k from 1."""
    if similarities.device.type != "cpu":
        return similarities.topk(k, dim=1).values[:, -1]
    columns = similarities.shape[1]
    return torch.from_numpy(np.partition(similarities.numpy(), columns - k, axis=1)[:, columns - k])
