"""The columns of the long tables, and the record of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

SCHEMA_VERSION = 3
"""3: record files carry checksums, and records stand in a document, no bare list. 2: variants of one loss train together."""

MEASUREMENT = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("loss", pa.string(), nullable=False),
        pa.field("variant", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("split", pa.string()),  # null where the measurement belongs to training, not to a split
        pa.field("epoch", pa.int64(), nullable=False),  # 0 = before training
        pa.field("step", pa.int64()),  # null in epoch rows
        pa.field("diagnostic", pa.string(), nullable=False),
        pa.field("item", pa.int64()),  # a class, a k; null for a scalar
        pa.field("value", pa.float64()),  # null where the measurement is undefined
    ],
    metadata={"losscope_schema": str(SCHEMA_VERSION)},
)

QUERY = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("query", pa.int64(), nullable=False),  # row of the split
        pa.field("label", pa.int64(), nullable=False),
        pa.field("recall_at_1", pa.float32()),  # expectation over random order of ties
        pa.field("recall_at_5", pa.float32()),
        pa.field("recall_at_10", pa.float32()),
        pa.field("r_precision", pa.float32()),
        pa.field("average_precision_at_r", pa.float32()),
    ],
    metadata={"losscope_schema": str(SCHEMA_VERSION)},
)

MAP = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # row of the split
        pa.field("label", pa.int64(), nullable=False),
        pa.field("x", pa.float32(), nullable=False),  # first principal component of this space
        pa.field("y", pa.float32(), nullable=False),  # second
        pa.field("explained", pa.float32(), nullable=False),  # share of variance that the two hold
    ],
    metadata={"losscope_schema": str(SCHEMA_VERSION)},
)

INPUTS = "none"
"""The loss of rows that measure raw inputs or backbone features, as they are (variant "input") or whitened."""

MONITORED = "monitored"
"""The fingerprint of data that only the user's own loop has seen."""

Status = Literal["done", "diverged", "failed"]


@dataclass(frozen=True)
class RunRecord:
    """One run: what it was, how it ended, what it saw."""

    run: str  # digest of what decides the result
    dataset: str
    protocol: str
    loss: str
    variant: str
    seed: int
    status: Status
    epochs: int
    updates: int
    samples: int  # samples embedded in training steps, counted with repetition
    terms: int  # valid terms seen in training
    seconds: float  # wall time of the group, shared by its runs
    cpu_seconds: float
    data_fingerprint: str
    diverged_at: int | None = None  # first step with a loss or gradient that is not finite
    error: str | None = None  # traceback of a failed run
    schema: int = SCHEMA_VERSION
