"""Separate named random generators from one seed, so that one part's draws never shift another's."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from losscope.errors import InvalidInput


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of the part that `names` name, e.g. `generator(seed, "batches", epoch)`.

    Equal arguments give equal draws on every machine; a number and its decimal spelling are the same name.
    Raises InvalidInput if `seed` is negative.

    >>> bool(generator(0, "weights").random() == generator(0, "weights").random())
    True
    >>> bool(generator(0, "weights").random() == generator(0, "weights", 0).random())
    False
    """
    if seed < 0:
        raise InvalidInput(f"the seed is {seed}; expected 0 or more")
    # Numbers are hashed as well: numpy pads a seed with zeros, so a bare 0 would be no name at all.
    return np.random.default_rng([seed, *(crc32(str(name).encode()) for name in names)])
