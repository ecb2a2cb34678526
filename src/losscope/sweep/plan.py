"""What there is to do: a study against a folder. All that a study can say wrong is found here, before training."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from losscope import data
from losscope.data.dataset import Dataset
from losscope.errors import InvalidInput, InvalidStudy, UnknownName
from losscope.losses import LOSSES
from losscope.losses.binding import bind, hyperparameters
from losscope.study import NUMERICS_VERSION, Cell, LossChoice, Study, digest
from losscope.table import INPUTS, read_group
from losscope.training.models import MODELS
from losscope.training.objective import check_fit
from losscope.training.prepare import prepare, told
from losscope.training.run import WHITENED, Extensions, Place, Progress, choices_of
from losscope.types import OUTLIER, Loss

STACKED = 20
"""Runs in one stack, unless a cell has more seeds: beyond, stacking gains nothing and only takes memory."""


@dataclass(frozen=True)
class Unit:
    """A group of runs of a cell, ready to train, and the folder of its record."""

    cell: Cell  # its seeds are those of the runs, one for each
    folder: Path
    group: Mapping[str, Any]  # what `group.json` holds

    @property
    def choices(self) -> tuple[LossChoice, ...]:
        """The loss of each run."""
        return choices_of(self.group)


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
    family: str  # cells of one family train in one stack


def resolve(choice: LossChoice, loss: Loss) -> LossChoice:
    """The choice with every hyper-parameter of the loss, defaults filled in and values checked."""
    return replace(choice, hyperparameters=tuple(bind(choice.name, loss, dict(choice.hyperparameters)).items()))


def plan(study: Study, folder: Path, place: Place, loading: Progress | None = None) -> Plan:
    """Units for the runs that `folder` does not hold yet. Loads every data set once, so bad input is found here."""
    present = _present(folder)
    units: list[Unit] = []
    finished = 0
    about: dict[str, Mapping[str, Any]] = {}
    for _, cells in itertools.groupby(_described(study, place, loading, about), lambda one: one.family):
        together = list(cells)
        first = together[0]
        missing: list[Run] = []
        by_folder: dict[Path, int] = {}
        for run in (Run.of(one, seed, place.extensions) for one in together for seed in one.cell.seeds):
            if run.place in present:
                by_folder[present[run.place]] = by_folder.get(present[run.place], 0) + 1
            else:
                missing.append(run)
        for where, count in by_folder.items():
            if (where / "runs.json").is_file():
                finished += count
            else:  # interrupted or failed: goes on with the membership it had
                group = read_group(where)
                units.append(Unit(replace(first.cell, seeds=tuple(group["seeds"])), where, group))
        size = first.chunk or max(len(first.cell.seeds), STACKED)
        for start in range(0, len(missing), size):
            runs = missing[start : start + size]
            group = {
                "dataset": first.dataset,
                "protocol": first.cell.protocol.name,
                "loss": first.cell.loss.name,
                "variants": [run.choice.variant for run in runs],
                "seeds": [run.seed for run in runs],
                "runs": [run.digest for run in runs],
                "data_fingerprints": [run.fingerprint for run in runs],
                "hyperparameters": [dict(run.choice.hyperparameters) for run in runs],
            }
            own = place.extensions.losses.get(first.cell.loss.name)
            if own is not None and own.fingerprint is not None:  # the record's only word on its settings
                group["own_loss"] = own.fingerprint
            seeds = tuple(run.seed for run in runs)
            units.append(Unit(replace(first.cell, seeds=seeds), folder / "groups" / _folder_name(group), group))
    return Plan(tuple(units), finished, about)


@dataclass(frozen=True)
class Run:
    """One run to be planned."""

    choice: LossChoice
    seed: int
    digest: str
    fingerprint: str
    place: tuple[str, ...]  # where it stands in tables, by its digest

    @classmethod
    def of(cls, described: Described, seed: int, extensions: Extensions) -> Run:
        """The run of one seed of a cell."""
        cell, fingerprint = described.cell, described.fingerprints[seed]
        found = _run_digest(cell, seed, fingerprint, extensions)
        names = (described.dataset, cell.protocol.name, cell.loss.name, cell.loss.variant)
        return cls(cell.loss, seed, found, fingerprint, (found, *names))


def _family(cell: Cell, loss: Loss | None) -> str:
    """What cells that train in one stack have in common: all but the numbers that a native loss takes along the run
    axis."""
    numbers = {} if loss is None or loss.stacking != "native" else hyperparameters(loss)
    fixed = {
        key: value for key, value in cell.loss.hyperparameters if key not in numbers or not isinstance(value, float)
    }
    alone = cell.loss.variant if loss is None or loss.stacking != "native" else ""
    return repr((cell.data, cell.protocol, cell.loss.name, alone, sorted(fixed.items())))


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
            labels = told([prepare(first, protocol)], protocol, drawn[:1])
            classes = len({*labels.flatten().tolist()} - {OUTLIER})
            encoder = place.extensions.encoder(protocol.model, first.input_shape)
            # Whitening makes a baseline of features; pixels have no use for it.
            for variant in ("input", WHITENED) if "backbone" in first.source else ("input",):
                inputs = Cell(entry, protocol, LossChoice(INPUTS, variant, ()), drawn)
                yield Described(inputs, name, prints, None, _family(inputs, None))
            for cell in cells:
                if cell.data == entry and cell.protocol == protocol:
                    loss = place.extensions.loss(cell.loss.name)
                    check_fit(loss, classes, encoder.dim)
                    resolved = replace(cell, loss=resolve(cell.loss, loss))
                    chunk = protocol.chunk or encoder.chunk
                    yield Described(resolved, name, prints, chunk, _family(resolved, loss))


def _about(dataset: Dataset, fingerprints: Mapping[int, str]) -> dict[str, Any]:
    return {
        "split_protocol": dataset.split_protocol,
        "note": dataset.note,
        "shares_classes": dataset.shares_classes,
        "source": dict(dataset.source),
        "samples": {name: len(split) for name, split in dataset.splits.items()},
        "classes": {name: len({*split.labels.tolist()} - {OUTLIER}) for name, split in dataset.splits.items()},
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
            if not any(protocol.trains(choice) for choice in loss.variants()):
                continue
            kind = extensions.loss(loss.name).kind
            if protocol.batch.tuples_per_anchor > 1 and kind not in ("pair", "triplet"):
                raise InvalidStudy(
                    f"protocol '{protocol.name}' draws {protocol.batch.tuples_per_anchor} tuples for each anchor, but loss "
                    f"'{loss.name}' has terms of another kind ({kind}) than pairs and triplets; set "
                    "batch.tuples_per_anchor = 1 or leave that loss out"
                )
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
        } | ({WHITENED: True} if cell.loss.variant == WHITENED else {})
    if cell.loss.name in extensions.losses:
        own = extensions.losses[cell.loss.name]
        functions: list[Callable[..., Any]] = [one for one in (own.terms, own.module, own.residual) if one]
        told = [own.fingerprint] if own.fingerprint else [line for one in functions for line in _source(one)]
        decisive["own_loss"] = [told, own.kind, own.stacking, own.blocks, own.proxies, sorted(own.training.items())]
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
    found = {}
    for path in sorted(folder.glob("groups/*/group.json")):
        group = read_group(path.parent)
        names = tuple(group[name] for name in ("dataset", "protocol", "loss"))
        for run, variant in zip(group["runs"], group["variants"], strict=True):
            found[run, *names, variant] = path.parent
    return found


def _folder_name(group: Mapping[str, Any]) -> str:
    """Readable, safe as a file name, and unique by the digest of the group's runs."""
    variants = list(dict.fromkeys(group["variants"]))
    variant = variants[0] if len(variants) == 1 else f"{len(variants)}-variants"
    words = [word for word in (*(group[name] for name in ("dataset", "protocol", "loss")), variant) if word]
    slug = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", "--".join(words))[:100]
    return f"{slug}--{digest({'runs': group['runs']})[:8]}"
