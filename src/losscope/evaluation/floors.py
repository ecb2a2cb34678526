"""Where the list of each query is likely to end, guessed from a sample of the gallery."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.evaluation.counting import tensor
from losscope.evaluation.kernels import largest
from losscope.evaluation.labels import Labels, LabelSets
from losscope.evaluation.points import Frame
from losscope.evaluation.standings import LOWEST, padded
from losscope.neighbors import floor_of_level, level_of
from losscope.types import OUTLIER

SAMPLE = 2**15  # rows of the gallery
TILE = 2**22  # similarities at a time: 16 MB


def floors_of(
    points: Tensor, own: Tensor | None, depth: Tensor, votes: int, gallery: Any, labels: Labels, frame: Frame
) -> Tensor:
    """A similarity (queries,) that as many items as are asked for are likely to reach, guessed from a sample of rows."""
    size = min(SAMPLE, len(labels))
    drawn = torch.from_numpy(np.sort(np.random.default_rng(0).choice(len(labels), size, replace=False)))
    shown = padded(frame.points(tensor(gallery[drawn.numpy()]), asks=False))
    classed = None if isinstance(labels, LabelSets) else labels.ne(OUTLIER)
    voters = None if classed is None else classed[drawn]
    floors = points.new_full((len(points),), LOWEST)
    step = max(1, TILE // len(shown))
    for start in range(0, len(points), step):
        some = slice(start, start + step)
        tile = (padded(points[some]) @ shown.T)[: len(points[some]), :size]
        if own is not None:
            row, item = (own[some].unsqueeze(1) == drawn).nonzero().unbind(1)
            tile[row, item] = -torch.inf
        level = _level(tile, int(depth[some].max()), len(labels))
        if classed is not None and voters is not None and not bool(voters.all()):
            level = torch.minimum(level, _level(tile[:, voters].contiguous(), votes, int(classed.sum())))
        floors[some] = floor_of_level(level)
    return floors


def _level(tile: Tensor, depth: int, offered: int) -> Tensor:
    """The level (rows,) of a place in the sample beyond which the list is likely to end."""
    share = depth / max(1, offered) * tile.shape[1]
    place = depth + 1 if tile.shape[1] >= offered else math.ceil(share + 4 * (math.sqrt(share) + 1))
    if place > tile.shape[1]:
        return tile.new_full((len(tile),), LOWEST)
    return level_of(largest(tile.contiguous(), place)).clamp_min(LOWEST)
