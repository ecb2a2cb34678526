"""What a diagnosis found: one frozen object, as JSON, as Arrow tables, and as words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1


@dataclass(frozen=True, repr=False, eq=False)
class Diagnosis:
    """Embeddings and labels in numbers.

    Means over queries stand by themselves, and in `intervals` with their 95 % intervals over classes and over queries
    (`losscope.diagnosis.intervals`). `rows` has a line for each row of the embeddings, `per_class` one for each class.
    """

    n: int
    dim: int
    classes: int
    similarity: str
    recall_at_k: Mapping[int, float]
    r_precision: float
    map_at_r: float
    intra_class_variance_mean: float | None
    inter_class_distance_mean: float | None
    effective_rank: float | None
    queries: Mapping[str, Any]  # asked, of how many, without a relevant item, exact or a sample of which seed
    intervals: Mapping[str, Mapping[str, Any]]
    per_class: pa.Table
    rows: pa.Table
    measures: Mapping[str, Any] = field(default_factory=dict)  # further retrieval measures, by name
    geometry: Mapping[str, Any] = field(default_factory=dict)
    verification: Mapping[str, Any] | None = None  # one threshold for all pairs; None beyond what is exact
    map: Mapping[str, Any] = field(default_factory=dict)  # how x and y of the rows were made
    failures: tuple[Mapping[str, Any], ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)
    gallery: Mapping[str, Any] | None = None
    reverse: Mapping[str, Any] | None = None
    comparison: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    folder: Path | None = None

    def document(self) -> dict[str, Any]:
        """Everything but `rows` as plain JSON types; numbers that don't exist are null."""
        return {
            "schema": SCHEMA,
            "n": self.n,
            "dim": self.dim,
            "classes": self.classes,
            "similarity": self.similarity,
            "source": dict(self.source),
            "queries": dict(self.queries),
            "recall_at_k": {str(k): value for k, value in self.recall_at_k.items()},
            "r_precision": self.r_precision,
            "map_at_r": self.map_at_r,
            **self.measures,
            "intra_class_variance_mean": self.intra_class_variance_mean,
            "inter_class_distance_mean": self.inter_class_distance_mean,
            "effective_rank": self.effective_rank,
            "intervals": {name: dict(one) for name, one in self.intervals.items()},
            "geometry": dict(self.geometry),
            "verification": self.verification,
            "map": dict(self.map),
            "failures": list(self.failures),
            "gallery": self.gallery,
            "reverse": self.reverse,
            "comparison": self.comparison,
            "notes": list(self.notes),
            "per_class": self.per_class.to_pylist(),
        }

    def to_json(self) -> str:
        """The document as text."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False, allow_nan=False)

    def frame(self) -> pa.Table:
        """A line for each row: label, measures, place in the plane, neighbors. `.to_pandas()` makes a data frame."""
        return self.rows

    def __repr__(self) -> str:
        from losscope.diagnosis.words import lines

        return "\n".join(lines(self.document()))

    def _repr_html_(self) -> str:
        from losscope.diagnosis.words import notebook

        return notebook(self.document())
