"""Products of matrices in full single precision, whatever the caller allows his training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import backends

MATRIX_PRODUCTS = backends.cuda.matmul, backends.mkldnn.matmul  # type: ignore[attr-defined]
"""Where torch keeps what products may be rounded to."""


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """No TF32, no bfloat16 and no autocast on `device` while the block runs; afterwards all is as it was.

    torch's settings for each place are used: they can be read however the caller made his, the older ones for all
    places together can't.
    """
    before = [place.fp32_precision for place in MATRIX_PRODUCTS]
    for place in MATRIX_PRODUCTS:
        place.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for place, precision in zip(MATRIX_PRODUCTS, before, strict=True):
            # One that only reads as the setting for everything does goes on following it.
            followed: str = backends.fp32_precision  # type: ignore[attr-defined]
            place.fp32_precision = "none" if precision == followed else precision
