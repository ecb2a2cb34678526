"""The geometry of a space of embeddings, at any size: what needs no training, only embeddings and labels."""

from __future__ import annotations

from losscope.geometry.class_moments import ClassMoments
from losscope.geometry.estimate import Estimate
from losscope.geometry.geometry import Geometry, describe
from losscope.geometry.moments import Moments
from losscope.geometry.plane import Plane, plane
from losscope.geometry.spaces import SpaceComparison, compare_spaces
from losscope.geometry.spectrum_moments import SpectrumMoments

__all__ = [
    "ClassMoments",
    "Estimate",
    "Geometry",
    "Moments",
    "Plane",
    "SpaceComparison",
    "SpectrumMoments",
    "compare_spaces",
    "describe",
    "plane",
]
