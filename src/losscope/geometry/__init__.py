"""The geometry of a space of embeddings, at any size: what needs no training, only embeddings and labels."""

from __future__ import annotations

from losscope.geometry.class_moments import ClassMoments
from losscope.geometry.moments import Moments

__all__ = ["ClassMoments", "Moments"]
