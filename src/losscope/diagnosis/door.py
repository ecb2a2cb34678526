"""`losscope.diagnose`: from files or arrays to a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from losscope.diagnosis.result import Diagnosis
from losscope.diagnosis.retrieving import Progress, retrieve
from losscope.diagnosis.space import SIMILARITIES, Similarity, spaces
from losscope.diagnostics.separation import inter_class_distance_mean
from losscope.diagnostics.spectrum import effective_rank
from losscope.diagnostics.variance import class_statistics
from losscope.errors import UnknownName


def diagnose(
    embeddings: Any,
    labels: Any = None,
    *,
    similarity: Similarity = "cosine",
    ks: Sequence[int] = (1, 5, 10),
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """How good embeddings are, where they fail, and whether they collapse.

    `embeddings` (rows, dim): an array, a tensor or a file (npy, npz, parquet, safetensors, csv). `labels` (rows,):
    integers, strings, sets of these, a file, or the name of a column beside the embeddings; -1, "" and missing values
    are "no class". Raises InvalidInput, MissingData, UnknownName.

    >>> z = np.eye(4)[[0, 0, 1, 1]]
    >>> diagnose(z, ["cat", "cat", "dog", "dog"]).recall_at_k[1]
    1.0
    """
    if similarity not in SIMILARITIES:
        raise UnknownName.of("similarity", similarity, SIMILARITIES)
    classes, [space] = spaces((embeddings, labels, "embeddings"))
    found = retrieve(space, None, ks=ks, similarity=similarity)
    points = torch.nn.functional.normalize(torch.from_numpy(space.embeddings).float(), dim=-1)
    codes = space.labels.single
    statistics = class_statistics(points, torch.from_numpy(codes))
    means = {name: found.mean(name, space) for name in found.each}
    asked = codes[found.rows]
    per_class = {
        "label": list(classes.names),
        "n": np.bincount(codes[codes >= 0], minlength=len(classes)),
        **{name: [float(values[asked == place].mean()) if (asked == place).any() else None for place in range(len(classes))]
           for name, values in found.each.items()},
    }  # fmt: skip
    return Diagnosis(
        n=len(space),
        dim=space.embeddings.shape[1],
        classes=len(classes),
        similarity=similarity,
        recall_at_k={k: means[f"recall_at_{k}"].mean for k in sorted(set(ks))},
        r_precision=means["r_precision"].mean,
        map_at_r=means["map_at_r"].mean,
        intra_class_variance_mean=float(statistics.variances.mean()),
        inter_class_distance_mean=float(inter_class_distance_mean(statistics)),
        effective_rank=float(effective_rank(points)),
        queries={"asked": len(found.rows), "of": len(space), "excluded": found.excluded, "exact": found.exact},
        intervals={name: asdict(mean) for name, mean in means.items()},
        per_class=pa.table(per_class),
        rows=pa.table(
            {"row": np.arange(len(space)), "label": pa.array(classes.names).take(pa.array(codes, mask=codes < 0))}
        ),
    )
