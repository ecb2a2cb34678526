"""What there is to do: a study against a folder. All that a study can say wrong is found here, before training."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from losscope import data
from losscope.data.dataset import Dataset
from losscope.errors import InvalidInput, InvalidStudy, UnknownName
from losscope.files import read_json
from losscope.losses import LOSSES
from losscope.losses.binding import bind
from losscope.study import NUMERICS_VERSION, Cell, LossChoice, Study, digest
from losscope.training.models import MODELS
from losscope.training.prepare import prepare
from losscope.training.run import INPUTS, Extensions, Place, Progress, Unit
from losscope.types import Loss


@dataclass(frozen=True)
class Plan:
    """The units still to run, and how many runs are there already."""

    units: tuple[Unit, ...]
    finished: int  # runs
    data: Mapping[str, Mapping[str, Any]]  # data set -> what a reader of its numbers must know


@dataclass(frozen=True)
class Described:
    """A cell with what its data decide."""

    cell: Cell
    dataset: str  # the data set's name in tables
    fingerprints: Mapping[int, str]  # of each seed's data
    chunk: int | None  # how many runs to stack; None: all


def resolve(choice: LossChoice, loss: Loss) -> LossChoice:
    """The choice with every hyper-parameter of the loss, defaults filled in and values checked."""
    return replace(choice, hyperparameters=tuple(bind(choice.name, loss, dict(choice.hyperparameters)).items()))


def plan(study: Study, folder: Path, place: Place, loading: Progress | None = None) -> Plan:
    """Units for the runs that `folder` does not hold yet. Loads every data set once, so bad input is found here."""
    present = _present(folder)
    units: list[Unit] = []
    finished = 0
    about: dict[str, Mapping[str, Any]] = {}
    for described in _described(study, place, loading, about):
        cell, prints = described.cell, described.fingerprints
        runs = {seed: _run_digest(cell, seed, prints[seed], place.extensions) for seed in cell.seeds}
        shared = {
            "dataset": described.dataset,
            "protocol": cell.protocol.name,
            "loss": cell.loss.name,
            "variant": cell.loss.variant,
        }
        place_of = {seed: (runs[seed], *shared.values()) for seed in cell.seeds}
        missing = [seed for seed in cell.seeds if place_of[seed] not in present]
        by_folder: dict[Path, list[int]] = {}
        for seed in cell.seeds:
            if place_of[seed] in present:
                by_folder.setdefault(present[place_of[seed]], []).append(seed)
        for where in by_folder:
            group = read_json(where / "group.json")
            if (where / "runs.json").is_file():
                finished += len(by_folder[where])
            else:  # interrupted or failed: goes on with the membership it had
                units.append(Unit(replace(cell, seeds=tuple(group["seeds"])), where, group))
        size = described.chunk or max(len(missing), 1)
        for start in range(0, len(missing), size):
            seeds = tuple(missing[start : start + size])
            group = {
                **shared,
                "seeds": list(seeds),
                "runs": [runs[seed] for seed in seeds],
                "data_fingerprints": [prints[seed] for seed in seeds],
                "hyperparameters": dict(cell.loss.hyperparameters),
            }
            units.append(Unit(replace(cell, seeds=seeds), folder / "groups" / _folder_name(group), group))
    return Plan(tuple(units), finished, about)


def _described(
    study: Study, place: Place, loading: Progress | None, about: dict[str, Mapping[str, Any]]
) -> Iterator[Described]:
    """Every cell, resolved; before the cells of a protocol the one that measures its inputs themselves.

    Fills `about` with what the manifest says of each data set.
    """
    _check_names(study, place.extensions)
    cells = study.cells()
    for entry in study.data:
        per_seed = data.draws_per_seed(entry.name, entry.options)
        drawn = study.seed_list if per_seed else study.seed_list[:1]
        given = {"folder": place.data_folder, "device": place.device, "progress": loading, **entry.options}
        datasets = {seed: data.load(entry.name, seed=seed, **given) for seed in drawn}
        first = datasets[drawn[0]]
        prints = {seed: datasets.get(seed, first).fingerprint for seed in study.seed_list}
        name = entry.label or first.name
        if name in about:
            raise InvalidStudy(f"two data sets of the study are called '{name}' in tables; give one of them a label")
        about[name] = _about(first, prints)
        for protocol in dict.fromkeys(cell.protocol for cell in cells if cell.data == entry):
            prepare(first, protocol)
            encoder = place.extensions.encoder(protocol.model, first.input_shape)
            yield Described(Cell(entry, protocol, LossChoice(INPUTS, "input", ()), drawn), name, prints, None)
            for cell in cells:
                if cell.data == entry and cell.protocol == protocol:
                    choice = resolve(cell.loss, place.extensions.loss(cell.loss.name))
                    yield Described(replace(cell, loss=choice), name, prints, protocol.chunk or encoder.chunk)


def _about(dataset: Dataset, fingerprints: Mapping[int, str]) -> dict[str, Any]:
    return {
        "split_protocol": dataset.split_protocol,
        "note": dataset.note,
        "shares_classes": dataset.shares_classes,
        "source": dict(dataset.source),
        "samples": {name: len(split) for name, split in dataset.splits.items()},
        "fingerprints": {str(seed): value for seed, value in fingerprints.items()},
    }


def _check_names(study: Study, extensions: Extensions) -> None:
    """Every name exists, and every loss has what its protocol's mining needs."""
    losses = {*LOSSES, *extensions.losses}
    for loss in study.loss:
        if loss.name not in losses:
            raise UnknownName.of("loss", loss.name, losses)
    for protocol in study.protocol:
        if protocol.model.name not in {*MODELS, *extensions.models}:
            raise UnknownName.of("model", protocol.model.name, {*MODELS, *extensions.models})
        for loss in study.loss:
            kind = extensions.loss(loss.name).kind
            if protocol.batch.mining != "none" and kind != "triplet":
                raise InvalidStudy(
                    f"protocol '{protocol.name}' mines triplets, but loss '{loss.name}' has terms of another kind ({kind}); "
                    'set batch.mining = "none" or leave that loss out'
                )
            taken = inspect.signature(extensions.loss(loss.name).terms).parameters
            if protocol.batch.mining == "semi_hard" and not {"margin", "squared"} <= set(taken):
                raise InvalidStudy(
                    f"protocol '{protocol.name}' mines semi-hard triplets by margin and squared, which loss '{loss.name}' "
                    'does not take; set batch.mining = "none" or "batch_hard"'
                )


def _run_digest(cell: Cell, seed: int, fingerprint: str, extensions: Extensions) -> str:
    """What decides a run's result, and nothing else: never paths, device, threads, group or package version."""
    decisive = {
        "numerics": NUMERICS_VERSION,
        "data": fingerprint,
        "protocol": cell.protocol.decisive(),
        "loss": cell.loss.name,
        "hyperparameters": dict(cell.loss.hyperparameters),
        "seed": seed,
    }
    if cell.loss.name == INPUTS:
        decisive["protocol"] = {
            "inputs": cell.protocol.inputs,
            "outliers": cell.protocol.batch.outliers,
        }
    if cell.loss.name in extensions.losses:
        own = extensions.losses[cell.loss.name]
        decisive["own_loss"] = [_source(own.terms), own.kind, own.stacking]
    if cell.protocol.model.name in extensions.models:
        decisive["own_model"] = _source(extensions.models[cell.protocol.model.name])
    return digest(decisive)


def _source(function: Callable[..., Any]) -> list[str]:
    """What a user's function computes, as far as text can tell: its source and the values it closes over."""
    try:
        closed = inspect.getclosurevars(function).nonlocals
        return [inspect.getsource(function), repr(sorted(closed.items())), repr(inspect.signature(function))]
    except (TypeError, OSError) as error:
        raise InvalidInput(
            f"the source of {function!r} can't be read ({error}), so its runs could not be told apart from another's; "
            "hand in a function that is defined in a file"
        ) from None


def _present(folder: Path) -> dict[tuple[str, ...], Path]:
    """Run digest and place in tables -> folder of the group that holds the run."""
    return {
        (run, *(group[name] for name in ("dataset", "protocol", "loss", "variant"))): path.parent
        for path in sorted(folder.glob("groups/*/group.json"))
        for group in [read_json(path)]
        for run in group["runs"]
    }


def _folder_name(group: Mapping[str, Any]) -> str:
    """Readable, safe as a file name, and unique by the digest of the group's runs."""
    words = [group[name] for name in ("dataset", "protocol", "loss", "variant") if group[name]]
    slug = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", "--".join(words))[:100]
    return f"{slug}--{digest({'runs': group['runs']})[:8]}"
