"""One recorded run trained anew, alone, in a folder of its own; or the reason why it can't be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from losscope.errors import InvalidInput, InvalidStudy, MissingData, MissingDependency
from losscope.files import read_json
from losscope.losses import LOSSES
from losscope.receipts.environments import recorded_environments
from losscope.receipts.recorded import RecordedRun, ended_runs
from losscope.study import NUMERICS_VERSION, Data, LossVariants, Protocol, Study
from losscope.sweep import drive
from losscope.table import INPUTS, MONITORED
from losscope.training.models import MODELS
from losscope.training.run import Progress


class NotRecomputable(InvalidInput):
    """A run can't be trained anew here, for a reason that its message says."""


def recompute(
    run: RecordedRun,
    study: Study,
    manifest: Mapping[str, Any],
    out: Path,
    *,
    data: str | Path | None = None,
    device: str = "cpu",
    losses: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    loading: Progress | None = None,
    progress: Progress | None = None,
) -> RecordedRun:
    """Train one run of a recorded study alone into `out`. Raises NotRecomputable: other data, another numerics version,
    a loss or model that isn't given, a run that fails."""
    protocol = next((one for one in study.protocol if one.name == run.record.protocol), None)
    if protocol is None:
        raise NotRecomputable(f"study.json has no protocol '{run.record.protocol}'")
    _check(run, protocol, manifest, losses or {}, models or {})
    digest = run.record.run
    try:
        result = drive.run(
            _alone(run, study, protocol, losses or {}),
            out,
            data=data,
            device=device,
            jobs=1,
            losses=losses,
            models=models,
            only={digest},
            loading=loading,
            progress=lambda planned: progress or (lambda name, done, total: None),
        )
    except (MissingData, MissingDependency, InvalidStudy) as error:
        raise NotRecomputable(str(error)) from error
    if result.failed:
        raise NotRecomputable(f"it fails here: {(result.failed[0].error or 'unknown').strip().splitlines()[-1]}")
    found = [one for one in ended_runs(out) if one.place == run.place]
    if not found:
        raise NotRecomputable(_other_digest(run, out, losses or {}))
    return found[0]


def _check(
    run: RecordedRun,
    protocol: Protocol,
    manifest: Mapping[str, Any],
    losses: Mapping[str, Any],
    models: Mapping[str, Any],
) -> None:
    """What can be said before any data are read."""
    if run.record.data_fingerprint == MONITORED:
        raise NotRecomputable(
            "it was trained by a loop of the user's own, which a monitor watched: only that loop can repeat it"
        )
    numerics = {made["numerics"] for made in recorded_environments(run.group, manifest) if "numerics" in made}
    if numerics and NUMERICS_VERSION not in numerics:
        told = ", ".join(map(str, sorted(numerics)))
        raise NotRecomputable(
            f"it was trained under numerics version {told} and this code computes version {NUMERICS_VERSION}: other "
            "numbers by intent; use the version of losscope that its environment names"
        )
    for kind, name, known in (
        ("loss", run.record.loss, {*LOSSES, *losses, INPUTS}),
        ("model", protocol.model.name, {*MODELS, *models}),
    ):
        if name not in known:
            raise NotRecomputable(
                f"its {kind} '{name}' is the user's own, which the record does not hold; hand it in from Python: "
                f"{'losses' if kind == 'loss' else 'models'}={{'{name}': ...}}"
            )


def _alone(run: RecordedRun, study: Study, protocol: Protocol, losses: Mapping[str, Any]) -> Study:
    """The study cut down to one run. Its hyper-parameters are those of the record, defaults of its time included."""
    named = [data for data in study.data if (data.label or data.name) == run.record.dataset]
    entries: list[Data] = named or [data for data in study.data if data.label is None]
    if run.record.loss == INPUTS:  # measured beside any loss of its protocol
        known = {*LOSSES, *losses}
        choice = next(
            (loss for loss in study.loss if loss.name in known and any(map(protocol.trains, loss.variants()))), None
        )
        if choice is None:
            raise NotRecomputable("all losses of its protocol are the user's own; hand one in from Python")
    else:
        values = {
            key: tuple(value) if isinstance(value, list) else value  # a list would make variants
            for key, value in run.hyperparameters.items()
        }
        choice = LossVariants.model_validate({"name": run.record.loss, "variant": run.record.variant, **values})
    return Study(
        name=study.name,
        seeds=(run.record.seed,),
        data=tuple(entries),
        protocol=(protocol.model_copy(update={"data": (), "loss": (), "chunk": None}),),
        loss=(choice,),
    )


def _other_digest(run: RecordedRun, out: Path, losses: Mapping[str, Any]) -> str:
    """Why the run that this code plans is not the one that was recorded."""
    about = read_json(out / "manifest.json")["data"].get(run.record.dataset)
    if about is None:
        return f"its data set is called '{run.record.dataset}' in the record and none of the study's is here"
    found = about["fingerprints"].get(str(run.record.seed), "")
    if found != run.record.data_fingerprint:
        return f"its data differ: fingerprint {run.record.data_fingerprint[:16]} was recorded, {found[:16]} is here"
    if run.record.loss in losses:
        return f"the loss '{run.record.loss}' that was handed in is not the recorded one: source, values or settings differ"
    return (
        "study.json and group.json give it another digest than the recorded one: either settings there were changed, or "
        "it was trained under another numerics version or by a model of the user's own that differs"
    )
