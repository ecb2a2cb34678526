"""What measuring a run will cost: each part timed once, on one run, and counted over the epochs that have it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

from losscope.data.dataset import Dataset
from losscope.study import Protocol
from losscope.training.loop import Stack
from losscope.training.measure import Embedded, SplitInputs, evaluation_rows, geometry_rows
from losscope.training.probe import probe_rows


def measuring_seconds(trained: Stack, datasets: list[Dataset], protocol: Protocol, device: str) -> float:
    """CPU seconds for one run of a stack: embedding, geometry, retrieval, classifiers and the probe of all epochs.

    Writing them down is not included.
    """
    splits = SplitInputs(datasets, device, trained.parameters.dtype)
    started = time.process_time()
    embedded = splits.embed(trained, lambda split: True)
    embedding = (time.process_time() - started) / len(trained.parameters)
    samples = {name: len(split) for name, split in datasets[0].splits.items()}
    one = {name: _first(part) for name, part in embedded.items()}
    geometry = {
        (name, whole): _seconds(geometry_rows(name, 0, one[name], whole=whole))
        for name in one
        for whole in (False, True)
    }
    retrieval = _seconds(evaluation_rows(one, 0))
    full = _seconds(evaluation_rows(one, 0, classify=datasets[0].shares_classes))
    probe = _seconds(row for run, probed in itertools.islice(trained.probe(), 1) for row in probe_rows(probed, run, 0))
    seconds = 0.0
    for epoch in range(protocol.epochs + 1):
        measured = [name for name in one if protocol.measures(epoch, name)]
        whole = "train" in measured
        seconds += embedding * sum(samples[name] for name in measured) / sum(samples.values())
        seconds += sum(geometry[name, whole] for name in measured)
        if protocol.evaluates(epoch):
            seconds += probe + (full if protocol.evaluates_in_full(epoch) else retrieval)
    return seconds


def _seconds(rows: Iterable[object]) -> float:
    """CPU seconds that making the rows takes."""
    started = time.process_time()
    for _ in rows:
        pass
    return time.process_time() - started


def _first(of_all: Embedded) -> Embedded:
    """The embeddings of the first run."""
    return Embedded(of_all.embeddings[:1], of_all.labels[:1], None if of_all.fine is None else of_all.fine[:1])
