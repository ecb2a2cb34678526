"""Options that several data sets share, with the ranges that `losscope.data.load` checks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Limit = Annotated[int, Field(ge=2)] | None
"""Samples kept of each class in each split, the first ones; a single one would be half of no pair."""

ClassSplit = Annotated[int, Field(ge=0)]
"""Which classes a class-disjoint split trains on: 0 the first ones, any other number those that it draws."""

Size = Annotated[int, Field(ge=32, le=1024)] | None
"""Side in pixels that images are brought to; None keeps their own size, or takes the backbone's."""

View = Literal["pixels", "efficientnet_lite0", "vit_b32"]
"""What the samples of an image data set are: its pixels, or features of a frozen backbone."""

ViewOrFile = Literal["pixels", "efficientnet_lite0", "vit_b32", "precomputed"]
"""The same, or features read from a file of the data folder."""

Precision = Literal["float32", "bfloat16"]
"""Number format a backbone computes in; its features are stored and used as float32."""
