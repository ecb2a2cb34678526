"""`losscope.diagnose`: from files or arrays to a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from losscope.diagnosis.against import paired
from losscope.diagnosis.describing import Described, described, summarized
from losscope.diagnosis.engine import On, check_engine, engine
from losscope.diagnosis.failures import failures
from losscope.diagnosis.intervals import OVER_CLASSES, OVER_QUERIES, QueryMean
from losscope.diagnosis.labels import Classes, Labels
from losscope.diagnosis.names import class_names as read_class_names
from losscope.diagnosis.names import row_names
from losscope.diagnosis.nearest import nearest
from losscope.diagnosis.projection import Projection, project, project_umap
from losscope.diagnosis.result import Diagnosis
from losscope.diagnosis.retrieving import EXACT_UP_TO, SAMPLE, Progress, Retrieved, asking, forget, retrieve
from losscope.diagnosis.rows import rows_table
from losscope.diagnosis.space import AS_FIRST, SIMILARITIES, Similarity, Space, spaces
from losscope.diagnosis.tensors import check_device
from losscope.diagnosis.verifying import verified
from losscope.diagnosis.writing import check_folder, write
from losscope.errors import InvalidInput, MissingDependency, UnknownName
from losscope.report.space.words import BY_K, flat

NEIGHBORS = 10


def diagnose(
    embeddings: Any,
    labels: Any = None,
    *,
    gallery: Any = None,
    gallery_labels: Any = None,
    names: Any = None,
    class_names: Any = None,
    similarity: Similarity = "cosine",
    ks: Sequence[int] = (1, 5, 10),
    sample: int | None = None,
    exact: bool = False,
    against: Any = None,
    umap: bool = False,
    seed: int = 0,
    device: str = "cpu",
    out: Path | str | None = None,
    progress: Progress | None = None,
    on: On | None = None,
    jobs: int | None = None,
    ray_address: str | None = None,
) -> Diagnosis:
    """How good embeddings are, where they fail, and whether they collapse.

    `embeddings` (rows, dim): an array, a tensor or a file (npy, npz, parquet, safetensors, csv; FILE::NAME names an
    array or column), or many files as one space: a pattern such as 'shards/*.npy', in order of name, or a list of paths.
    `labels` (rows,): integers, strings, sets of these, a file or files, or the name of a column beside the embeddings;
    -1, "" and missing values are "no class". With a `gallery` the rows query it, and it queries them (`reverse`).
    `names` of rows are texts, paths of images or a column of images; `class_names` a list or a mapping.

    Up to 20,000 rows all query; beyond, a `sample` of 2,000 does against everything, unless `exact`. `against` is
    a second space of the same rows: differences are this one minus that. `out` gets `diagnosis.json`, `rows.parquet`
    and `report.html`; interrupted exact runs go on there. `on` runs moments and retrieval in tasks over shards: "local"
    in `jobs` processes, "ray" on Ray (`ray_address`, or a session of `jobs` workers); results are the same. Raises
    InvalidInput, MissingData, MissingDependency, UnknownName.

    >>> z = np.eye(4)[[0, 0, 1, 1]]
    >>> diagnose(z, ["cat", "cat", "dog", "dog"]).recall_at_k[1]
    1.0
    """
    _check(similarity, sample, gallery, against, ks, umap=umap, device=device)
    check_engine(on, jobs)
    given = [(embeddings, labels, "embeddings")]
    if gallery is not None:
        given.append((gallery, gallery_labels, "gallery"))
    if against is not None:
        given.append((against, AS_FIRST, "against"))
    classes, (space, *rest) = spaces(*given, class_names=read_class_names(class_names))
    shown = rest[0] if gallery is not None else None
    if shown is not None and shown.embeddings.shape[1] != space.embeddings.shape[1]:
        raise InvalidInput(f"embeddings have {space.embeddings.shape[1]} dimensions and the gallery "
                           f"{shown.embeddings.shape[1]}; expected one space for both")  # fmt: skip
    named = row_names(names, len(space))
    folder = Path(out) if out is not None else None
    if folder is not None:
        check_folder(folder)
    asked = asking(space, sample, exact, seed)
    measured = sorted({1, *ks})  # what fails is told by the first neighbor, whatever is asked
    some = sample or SAMPLE
    with engine(on, jobs=jobs, address=ray_address) as run:
        options: dict[str, Any] = {"ks": measured, "similarity": similarity, "device": device, "folder": folder,
                                   "progress": progress, "run": run}  # fmt: skip
        found = retrieve(space, shown, asked, **options)
        back = None if shown is None else retrieve(shown, space, asking(shown, sample, exact, seed), **options)
        others = None if against is None else retrieve(rest[0], None, asked, **options)
        geometry = described(
            space, classes, similarity, sample=some, exact_up_to=len(space) if exact else EXACT_UP_TO, seed=seed,
            device=device, progress=progress, run=run,
        )  # fmt: skip
    means = found.means(space.labels)
    target = space if shown is None else shown
    neighbors = nearest(
        space.embeddings[found.rows], target.embeddings, NEIGHBORS, similarity, found.rows if shown is None else None,
        device=device, progress=progress,
    )  # fmt: skip
    places = (
        project_umap(space.embeddings, similarity, seed, some) if umap else project(space.embeddings, similarity, seed)
    )
    failed = failures(found, space.labels, target.labels, classes, neighbors)
    reverse = None if back is None or shown is None else _direction(back, back.means(shown.labels), shown)
    comparison = None
    if others is not None:
        comparison = paired(space, rest[0], found, others, classes, similarity=similarity, seed=seed, device=device) | {
            "other": _summary(others.means(rest[0].labels), summarized(rest[0], classes, similarity, device))
        }
    result = Diagnosis(
        n=len(space),
        dim=space.embeddings.shape[1],
        classes=len(np.unique(space.labels.places)),
        similarity=similarity,
        recall_at_k={k: means[flat("recall_at_k", k)].mean for k in sorted(set(ks))},
        r_precision=means["r_precision"].mean,
        map_at_r=means["map_at_r"].mean,
        intra_class_variance_mean=geometry.intra_class_variance_mean,
        inter_class_distance_mean=geometry.inter_class_distance_mean,
        effective_rank=geometry.effective_rank,
        queries=_queries(found, space, seed),
        intervals={name: asdict(mean) for name, mean in means.items()},
        per_class=_per_class(found, space.labels, classes, geometry.per_class),
        rows=rows_table(space.labels, classes, named, found, neighbors, places[:2], geometry.suspects,
                        _pictured(failed, geometry, comparison, gallery is None)),
        measures=_further(means, ks),
        geometry=geometry.document,
        verification=verified(space, similarity, exact_up_to=len(space) if exact else EXACT_UP_TO, device=device,
                              progress=progress),
        map=_map(places),
        failures=tuple(failed),
        source={"embeddings": space.source, "dtype": str(space.embeddings.dtype), "seed": seed},
        gallery=None if shown is None else {"n": len(shown), "source": shown.source},
        reverse=reverse,
        comparison=comparison,
        notes=_notes([space, *rest], shown, found, similarity),
        folder=folder,
    )  # fmt: skip
    if folder is not None:
        write(result, folder)
        forget(folder)
    return result


def _check(
    similarity: str, sample: int | None, gallery: Any, against: Any, ks: Sequence[int], *, umap: bool, device: str
) -> None:
    """Raises for what would otherwise fail after the work."""
    if similarity not in SIMILARITIES:
        raise UnknownName.of("similarity", similarity, SIMILARITIES)
    if sample is not None and sample < 2:
        raise InvalidInput(f"sample = {sample}; expected at least 2 queries")
    if not len(ks) or any(k != int(k) or k < 1 for k in ks):
        raise InvalidInput(f"ks = {list(ks)}; expected whole numbers from 1 on, such as (1, 5, 10)")
    if umap and find_spec("umap") is None:
        raise MissingDependency.of("umap-learn", "umap", "a UMAP map")
    check_device(device)
    if gallery is not None and against is not None:
        raise InvalidInput(
            "both a gallery and a second space; expected one of them: compare the two directions one by one"
        )


def _queries(found: Retrieved, space: Space, seed: int) -> dict[str, Any]:
    return {"asked": len(found.rows), "of": len(space), "excluded": found.excluded, "exact": found.exact, "seed": seed,
            "population": {"low, high": OVER_QUERIES if space.labels.several else OVER_CLASSES,
                           "low_queries, high_queries": OVER_QUERIES}}  # fmt: skip


def _direction(found: Retrieved, means: Mapping[str, QueryMean], space: Space) -> dict[str, Any]:
    return {"n": len(space), "asked": len(found.rows), "excluded": found.excluded, "exact": found.exact,
            "intervals": {name: asdict(mean) for name, mean in means.items()}}  # fmt: skip


def _summary(means: Mapping[str, QueryMean], geometry: Described) -> dict[str, Any]:
    return {
        "intervals": {name: asdict(mean) for name, mean in means.items()},
        "intra_class_variance_mean": geometry.intra_class_variance_mean,
        "inter_class_distance_mean": geometry.inter_class_distance_mean,
        "effective_rank": geometry.effective_rank,
    }


def _further(means: Mapping[str, QueryMean], ks: Sequence[int]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: {str(k): means[flat(name, k)].mean for k in sorted(set(ks))}
        for name in BY_K
        if name != "recall_at_k" and flat(name, ks[0]) in means
    }
    return found | {"mrr": means["mrr"].mean}


def _map(places: Projection) -> dict[str, Any]:
    return {"method": places.method, "explained": [None if np.isnan(one) else one for one in places.explained]}


def _per_class(found: Retrieved, labels: Labels, classes: Classes, geometry: Mapping[str, Any]) -> pa.Table:
    """A line for each class: how many rows and queries, mean measures, geometry."""
    count = len(classes)
    counts = labels.counts[found.rows]
    query = np.repeat(np.arange(len(found.rows)), counts)
    place = np.concatenate(
        [labels.places[labels.offsets[row] : labels.offsets[row + 1]] for row in found.rows.tolist()]
        or [np.empty(0, np.int64)]
    )
    asked = np.bincount(place, minlength=count)
    columns: dict[str, Any] = {
        "label": list(classes.names),
        "n": np.bincount(labels.places, minlength=count),
        "queries": asked,
    }
    for name, values in found.each.items():
        sums = np.bincount(place, values[query], minlength=count)
        columns[name] = pa.array(sums / np.maximum(asked, 1), mask=asked == 0)
    return pa.table({**columns, **geometry})


def _pictured(
    failed: list[dict[str, Any]], geometry: Described, comparison: Mapping[str, Any] | None, same: bool
) -> set[int]:
    """Rows that the page shows one by one."""
    shown = {one["row"] for one in failed}
    if same:  # neighbors are rows of the gallery otherwise
        shown |= {neighbor["row"] for one in failed for neighbor in one["neighbors"][:5]}
    shown |= {one["row"] for one in geometry.document.get("suspects", {"rows": []})["rows"][:40]}
    if comparison:
        shown |= {one["row"] for side in ("better", "worse") for one in comparison[side]}
    return shown


def _notes(given: Sequence[Space], gallery: Space | None, found: Retrieved, similarity: Similarity) -> tuple[str, ...]:
    said = [note for one in given for note in one.notes]
    space = given[0]
    for one, what in ((space, "embeddings"), (gallery, "gallery")):
        if one is not None and one.zero_rows and similarity == "cosine":
            said.append(f"{one.zero_rows:,} of {len(one):,} rows of the {what} are all zero: they have no direction, and "
                        "cosine similarity 0 to everything.")  # fmt: skip
    none = int((space.labels.counts == 0).sum())
    if none:
        said.append(f"{none:,} rows have no class: they are in the gallery and never query.")
    if not found.exact:
        said.append(f"Retrieval is of a sample of {len(found.rows):,} queries against all rows; its intervals hold the "
                    "sampling too.")  # fmt: skip
    if space.labels.several:
        said.append("Rows may be in several classes: two are relevant to each other if they share one. Measures that need "
                    "one class for each row are left out.")  # fmt: skip
    return tuple(said)
