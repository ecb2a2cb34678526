"""What there is to do: a study against a folder. All that a study can say wrong is found here, before training."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from losscope import data
from losscope.errors import InvalidStudy, UnknownName
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
    fingerprints: Mapping[str, Mapping[int, str]]  # data set -> seed -> fingerprint


def resolve(choice: LossChoice, loss: Loss) -> LossChoice:
    """The choice with every hyper-parameter of the loss, defaults filled in and values checked."""
    return replace(choice, hyperparameters=tuple(bind(choice.name, loss, dict(choice.hyperparameters)).items()))


def plan(study: Study, folder: Path, place: Place, loading: Progress | None = None) -> Plan:
    """Units for the runs that `folder` does not hold yet. Loads every data set once, so bad input is found here."""
    present = _present(folder)
    units: list[Unit] = []
    finished = 0
    fingerprints: dict[str, dict[int, str]] = {}
    for cell, prints, name, chunk in _described(study, place, loading):
        fingerprints.setdefault(name, {}).update(prints)
        runs = {seed: _run_digest(cell, seed, prints[seed], place.extensions) for seed in cell.seeds}
        shared = {
            "dataset": name,
            "protocol": cell.protocol.name,
            "loss": cell.loss.name,
            "variant": cell.loss.variant,
        }
        missing = [seed for seed in cell.seeds if runs[seed] not in present]
        by_folder: dict[Path, list[int]] = {}
        for seed in cell.seeds:
            if runs[seed] in present:
                by_folder.setdefault(present[runs[seed]], []).append(seed)
        for where in by_folder:
            group = read_json(where / "group.json")
            if (where / "runs.json").is_file():
                finished += len(by_folder[where])
            else:  # interrupted or failed: goes on with the membership it had
                units.append(Unit(replace(cell, seeds=tuple(group["seeds"])), where, group))
        size = chunk or max(len(missing), 1)
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
    return Plan(tuple(units), finished, fingerprints)


def _described(
    study: Study, place: Place, loading: Progress | None
) -> list[tuple[Cell, dict[int, str], str, int | None]]:
    """Every cell, resolved, with the fingerprint of each seed's data, the data set's name in tables and how many runs
    to stack; before the cells of a protocol the one that measures its inputs themselves."""
    _check_names(study, place.extensions)
    described: list[tuple[Cell, dict[int, str], str, int | None]] = []
    for entry in study.data:
        per_seed = data.draws_per_seed(entry.name, entry.options)
        drawn = study.seed_list if per_seed else study.seed_list[:1]
        datasets = {
            seed: data.load(
                entry.name,
                folder=place.data_folder,
                seed=seed,
                device=place.device,
                progress=loading,
                **entry.options,
            )
            for seed in drawn
        }
        prints = {seed: datasets[seed if per_seed else drawn[0]].fingerprint for seed in study.seed_list}
        name = entry.label or datasets[drawn[0]].name
        cells = [cell for cell in study.cells() if cell.data == entry]
        for protocol in dict.fromkeys(cell.protocol for cell in cells):
            prepare(datasets[drawn[0]], protocol)
            encoder = place.extensions.encoder(protocol.model, datasets[drawn[0]].input_shape)
            chunk = protocol.chunk or encoder.chunk
            described.append((Cell(entry, protocol, LossChoice(INPUTS, "input", ()), drawn), prints, name, None))
            for cell in cells:
                if cell.protocol == protocol:
                    loss = place.extensions.loss(cell.loss.name)
                    described.append((replace(cell, loss=resolve(cell.loss, loss)), prints, name, chunk))
    return described


def _check_names(study: Study, extensions: Extensions) -> None:
    losses = {*LOSSES, *extensions.losses}
    for loss in study.loss:
        if loss.name not in losses:
            raise UnknownName.of("loss", loss.name, losses)
    for protocol in study.protocol:
        if protocol.model.name not in {*MODELS, *extensions.models}:
            raise UnknownName.of("model", protocol.model.name, {*MODELS, *extensions.models})
        for loss in study.loss:
            kind = extensions.loss(loss.name).kind
            if protocol.batch.mining != "none" and kind == "pair":
                raise InvalidStudy(
                    f"protocol '{protocol.name}' mines triplets, but loss '{loss.name}' takes pairs; "
                    'set batch.mining = "none" or leave that loss out'
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
            "name": cell.protocol.name,
        }
    if cell.loss.name in extensions.losses:
        decisive["loss_source"] = inspect.getsource(extensions.losses[cell.loss.name].terms)
    if cell.protocol.model.name in extensions.models:
        decisive["model_source"] = inspect.getsource(extensions.models[cell.protocol.model.name])
    return digest(decisive)


def _present(folder: Path) -> dict[str, Path]:
    """Run digest -> folder of the group that holds it."""
    return {run: path.parent for path in sorted(folder.glob("groups/*/group.json")) for run in read_json(path)["runs"]}


def _folder_name(group: Mapping[str, Any]) -> str:
    """Readable, safe as a file name, and unique by the digest of the group's runs."""
    words = [group[name] for name in ("dataset", "protocol", "loss", "variant") if group[name]]
    slug = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", "--".join(words))[:100]
    return f"{slug}--{digest({'runs': group['runs']})[:8]}"
