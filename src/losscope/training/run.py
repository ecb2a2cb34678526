"""One unit of work, from data to records: a group of seeds of one cell trains together and is measured.

`run_cell` is what runs anywhere: in this process, in another, on a worker of Ray, in a job of Slurm. All it needs to know
of its runs stands in the group's folder, and all it finds goes there.
"""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from losscope import data
from losscope.data.dataset import Dataset
from losscope.errors import InvalidInput
from losscope.files.lock import locked
from losscope.losses import LOSSES
from losscope.study import Cell, LossChoice, Model
from losscope.table import INPUTS, RunRecord, has_ended, read_ending, read_group
from losscope.training import environment, traces
from losscope.training.batches import Sampler
from losscope.training.loop import Inputs, Stack
from losscope.training.measure import (
    SplitInputs,
    evaluation_rows,
    geometry_rows,
    map_columns,
    measure_inputs,
)
from losscope.training.models import Encoder, encoder, from_module
from losscope.training.objective import Objective
from losscope.training.prepare import prepare, stack, told
from losscope.training.probe import probe_rows
from losscope.training.records import GroupRecord, Row
from losscope.types import Loss

PROBE_STEPS = 16
SECONDS_BETWEEN_CHECKPOINTS = 10.0

WHITENED = "whitened"

Progress = Callable[[str, int, int], None]
"""Called with a group's name, its epochs done, and its epochs in all."""


@dataclass(frozen=True)
class Extensions:
    """A user's own losses and models, by name."""

    losses: Mapping[str, Loss] = field(default_factory=dict)
    models: Mapping[str, Callable[[tuple[int, ...]], nn.Module]] = field(default_factory=dict)

    def loss(self, name: str) -> Loss:
        """A loss by name, built in or the user's."""
        return self.losses[name] if name in self.losses else LOSSES[name]

    def encoder(self, model: Model, input_shape: tuple[int, ...]) -> Encoder:
        """An encoder by name, built in or the user's."""
        if model.name in self.models:
            return from_module(self.models[model.name], input_shape)
        return encoder(model, input_shape)


@dataclass(frozen=True)
class Place:
    """Where and how cells run: nothing here decides a result."""

    data_folder: Path | None = None
    device: str = "cpu"
    extensions: Extensions = Extensions()
    checkpoint_seconds: float = SECONDS_BETWEEN_CHECKPOINTS


def run_cell(cell: Cell, folder: Path, place: Place, progress: Progress) -> list[RunRecord]:
    """Train (or resume) and measure the runs of `cell` that `folder` says, in `group.json`, it will hold.

    Only one process at a time trains a group: another one waits, and then finds what the first has recorded. A failure
    is recorded with its traceback and returned, not raised. `progress` is told of waiting as of something of unknown
    length. InvalidInput if the folder can't be seen from here.
    """
    if not (folder / "group.json").is_file():
        raise InvalidInput(
            f"{folder / 'group.json'} was not found on {socket.gethostname()}; every machine that trains must see the "
            "study's folder under the same path: put --out on a file system that they share"
        )

    def waiting(still: bool) -> None:
        name = f"waiting for another process that trains {folder.name}"
        progress(name, 0, 0) if still else progress(name, 1, 1)

    with locked(folder / "group.json", waiting):
        if has_ended(folder):
            return list(read_ending(folder / "runs.json").records)
        return _recorded(cell, folder, place, progress)


def choices_of(group: Mapping[str, Any]) -> tuple[LossChoice, ...]:
    """The loss of each run of a group, as its record has it."""
    return tuple(
        LossChoice(group["loss"], variant, tuple(hyperparameters.items()))
        for variant, hyperparameters in zip(group["variants"], group["hyperparameters"], strict=True)
    )


def _recorded(cell: Cell, folder: Path, place: Place, progress: Progress) -> list[RunRecord]:
    """What `run_cell` does where nobody else does it."""
    wall, cpu = time.perf_counter(), time.process_time()
    record = GroupRecord(folder, read_group(folder))
    group, choices = record.group, choices_of(record.group)

    def finished(run: int, outcome: Mapping[str, Any]) -> RunRecord:
        shared = {name: group[name] for name in ("dataset", "protocol", "loss")}
        return RunRecord(
            run=group["runs"][run],
            variant=group["variants"][run],
            seed=group["seeds"][run],
            **shared,
            **outcome,
            seconds=time.perf_counter() - wall,
            cpu_seconds=time.process_time() - cpu,
            data_fingerprint=group["data_fingerprints"][run],
        )

    runs = range(len(cell.seeds))
    try:
        environment.note(folder, place.device)
        datasets = load_datasets(cell, place, group["data_fingerprints"])
        if cell.loss.name == INPUTS:
            record.resume()  # a clean slate: there is no checkpoint of a measurement
            measure_inputs(record, datasets, whiten=choices[0].variant == WHITENED)
            counts = traces.Counts.start(len(runs))
        else:
            counts = _train(cell, choices, record, datasets, place, progress)
        records = [finished(run, counts.outcome(run)) for run in runs]
        record.finish(records, range(counts.epoch + 1))
    except Exception:
        nothing = {"status": "failed", "epochs": 0, "updates": 0, "samples": 0, "terms": 0}
        records = [finished(run, {**nothing, "error": traceback.format_exc()}) for run in runs]
        record.fail(records)
    return records


def load_datasets(cell: Cell, place: Place, fingerprints: Sequence[str] | None = None) -> list[Dataset]:
    """The data of each seed as the protocol sees it; one object for all seeds that share it. InvalidInput if they are
    others than those with the `fingerprints` of each seed."""
    planned = dict(zip(cell.seeds, fingerprints or (), strict=fingerprints is not None))

    def one(seed: int) -> Dataset:
        raw = data.load(cell.data.name, folder=place.data_folder, seed=seed, device=place.device, **cell.data.options)
        if planned and raw.fingerprint != planned[seed]:
            raise InvalidInput(
                f"the data of {cell.data.name} on {socket.gethostname()} have the fingerprint {raw.fingerprint[:16]}, and those "
                f"that were planned {planned[seed][:16]}; give every machine the same data, and change none while a study runs"
            )
        return prepare(raw, cell.protocol)

    if data.draws_per_seed(cell.data.name, cell.data.options):
        drawn = {seed: one(seed) for seed in dict.fromkeys(cell.seeds)}
        return [drawn[seed] for seed in cell.seeds]
    return [one(cell.seeds[0])] * len(cell.seeds)


def build_stack(
    cell: Cell,
    datasets: list[Dataset],
    place: Place,
    choices: Sequence[LossChoice] = (),
    *,
    observe: bool = True,
) -> Stack:
    """The untrained stack of a group; `choices` are the variants of each run, where they differ from the cell's."""
    protocol = cell.protocol
    inputs, _, shared = stack(datasets, "train")
    dtype = getattr(torch, protocol.precision)
    loss = place.extensions.loss(cell.loss.name)
    encoder = place.extensions.encoder(protocol.model, datasets[0].input_shape)
    sampler = Sampler(told(datasets, protocol, cell.seeds), cell.seeds, protocol.batch, loss, place.device)
    objective = Objective(
        loss,
        [dict(choice.hyperparameters) for choice in choices or [cell.loss] * len(cell.seeds)],
        cell.seeds,
        sampler.classes,
        encoder.dim,
        protocol.optimizer,
        dtype=dtype,
        device=place.device,
    )
    return Stack(
        encoder,
        objective,
        protocol.optimizer,
        sampler,
        Inputs(torch.from_numpy(inputs).to(place.device, dtype), shared),
        encoder.initial(cell.seeds, dtype).to(place.device),
        observe=observe,
    )


def _train(
    cell: Cell,
    choices: Sequence[LossChoice],
    record: GroupRecord,
    datasets: list[Dataset],
    place: Place,
    progress: Progress,
) -> traces.Counts:
    protocol, runs, name = cell.protocol, len(cell.seeds), record.folder.name
    trained = build_stack(cell, datasets, place, choices)
    splits = SplitInputs(datasets, place.device, trained.parameters.dtype)

    def measure(epoch: int) -> list[Row]:
        embedded = splits.embed(trained, lambda split: protocol.measures(epoch, split))
        whole = protocol.measures(epoch, "train")
        rows = [row for split, part in embedded.items() for row in geometry_rows(split, epoch, part, whole=whole)]
        if whole:
            rows += traces.probe_loss_rows(trained.measure_epoch(0, PROBE_STEPS), epoch)
        if protocol.evaluates(epoch):
            rows += [row for run, probed in trained.probe() for row in probe_rows(probed, run, epoch)]
            full = protocol.evaluates_in_full(epoch)
            rows += evaluation_rows(
                embedded,
                epoch,
                classify=full and datasets[0].shares_classes,
                keep=record.append_queries if full else None,
            )
        if epoch == protocol.epochs and bool(embedded["train"].embeddings[0].isfinite().all()):
            plane = embedded["train"].embeddings[0], embedded["train"].labels[0]
            record.append_map(map_columns(record.group["runs"][0], "train", epoch, *plane))
        return rows

    resumed = record.resume()
    if resumed is None:
        counts = traces.Counts.start(runs)
        floor = traces.floor_rows(trained.floor(PROBE_STEPS))
        record.append(0, [*traces.epoch_rows(trained.measure_epoch(0), 0), *floor, *measure(0)])
    else:
        state, kept = resumed
        trained.load(state)
        counts = traces.Counts(**kept)
        trained.samples = counts.samples
    saved = time.monotonic()
    for epoch in range(counts.epoch + 1, protocol.epochs + 1):
        progress(name, epoch - 1, protocol.epochs)
        trace = trained.train_epoch(epoch)
        lines = traces.step_lines(trace, epoch, counts.updates)
        counts.add(epoch, trace, trained.samples)
        signal = traces.signal_rows(trained.signal_fraction(trace), epoch)
        record.append(epoch, [*traces.epoch_rows(trace, epoch), *signal, *measure(epoch)], lines)
        if epoch < protocol.epochs and time.monotonic() - saved >= place.checkpoint_seconds:
            record.checkpoint(trained.state(), counts.document())
            saved = time.monotonic()
    record.append(protocol.epochs, traces.history_rows(record, runs, protocol.epochs, list(splits.labels)))
    progress(name, protocol.epochs, protocol.epochs)
    return counts
