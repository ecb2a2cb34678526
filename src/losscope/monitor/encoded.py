"""What a loss of sentence-transformers encoded itself, called with columns of tokenized texts, as a batch.

    loss(columns, None)       matched rows: row i of the first two columns is class i, further columns are negatives (-1)
    loss([column], labels)    a class for each row
    loss(columns, labels)     pairs with a target: no classes

Losses encode columns one by one, several in one pass, in parts, or again for other widths and layers; rows come in the
order of columns, and the first pass over them is the one that is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.monitor.batch import Batch
from losscope.types import OUTLIER

Columns = Sequence[Mapping[str, Any]]


def columns_of(arguments: Sequence[Any]) -> Columns | None:
    """The columns of texts that a loss was called with, if it was."""
    first = arguments[0] if arguments else None
    if isinstance(first, list | tuple) and first and all(isinstance(one, Mapping) for one in first):
        return first
    return None


def batch_of_columns(columns: Columns, outputs: Sequence[Tensor], beside: Iterable[Any]) -> Batch | None:
    """The batch of a call, from what the encoder gave, each (rows, dim), and the arguments beside the columns."""
    samples = next((len(one) for one in columns[0].values() if isinstance(one, Tensor) and one.ndim), 0)
    parts, rows = [], 0
    for output in outputs:
        if output.shape[-1] == outputs[0].shape[-1] and rows + len(output) <= samples * len(columns):
            parts.append(output)
            rows += len(output)
    if not parts:
        return None
    given = next((one for one in beside if isinstance(one, Tensor)), None)
    if given is not None:
        whole = len(columns) == 1 and given.shape == (rows,) and not given.is_floating_point()
        return Batch(tuple(parts), given.to(parts[0].device, torch.int64, copy=True) if whole else None)
    if len(columns) == 1:
        return Batch(tuple(parts), None)
    matched = torch.arange(rows, device=parts[0].device)
    labels = torch.where(matched < 2 * samples, matched % samples, OUTLIER)
    return Batch(tuple(parts), labels, has_own_labels=False)
