"""Study, Protocol, Cell: what is compared with what, and what must be equal for the comparison to be fair.

A study is data sets x named protocols x losses (with variants) x seeds. It is written as TOML, checked here at
once, and frozen. A cell is one data set, one protocol, one loss variant and the seeds still missing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from losscope.errors import InvalidStudy, UnknownName

NUMERICS_VERSION = 2
"""Counted up when the same study would give other numbers, and be it for another rounding, which training amplifies:
runs of another version are trained anew."""


class Frozen(BaseModel):
    """A part of a study: immutable, and without keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Model(Frozen):
    """The encoder; its output is L2-normalized. `widths` are the outputs of the linear layers, the last one the
    embedding dimension."""

    name: str = "mlp"
    widths: tuple[int, ...] = Field(default=(64, 32), min_length=1)


class Optimizer(Frozen):
    """Elementwise optimizer of torch.optim; weight decay as L2 term in the gradient of the encoder, not of class vectors,
    of which only the direction counts."""

    name: Literal["adam", "sgd"] = "adam"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)


class Batch(Frozen):
    """How an epoch becomes batches of terms.

    sampling  "one_tuple": for each anchor one pair (a fair coin says which side), one triplet or one positive;
              "one_plus_one": for each anchor one positive and one negative pair, else as "one_tuple";
              "all_in_batch": all valid tuples of a batch of samples;
              "customary": as each loss is usually trained on a batch: "one_tuple", but for SupCon all positives
    terms     anchors in a batch (the first two samplings, with partners from the whole split)
    samples   samples in a batch ("all_in_batch", and where partners come from the batch)
    classes, per_class   makes batches of so many classes with so many samples each; `samples` is not read then
    partners  where positives and negatives are drawn from: the whole training split or the batch itself
    outliers  "negatives": never positives; "class": one more class; "drop": not trained on
    mining    which triplets of all in the batch are kept
    balance   "terms": mean over all valid pairs; "sides": positives and negatives averaged apart
    tuples_per_anchor    how many times the tuples of `sampling` are drawn for each anchor; pairs and triplets only
    counts    what `terms` counts: "terms", pairs or triplets in random order; "anchors", each with all of its tuples, so
              that a loss with two pairs for each anchor makes no more updates than one with a triplet
    """

    sampling: Literal["one_tuple", "one_plus_one", "all_in_batch", "customary"] = "one_tuple"
    terms: int = Field(default=64, ge=1)
    samples: int = Field(default=64, ge=2)
    classes: int | None = Field(default=None, ge=2)
    per_class: int | None = Field(default=None, ge=2)
    partners: Literal["dataset", "batch"] = "dataset"
    outliers: Literal["negatives", "class", "drop"] = "negatives"
    mining: Literal["none", "semi_hard", "batch_hard"] = "none"
    balance: Literal["terms", "sides"] = "terms"
    tuples_per_anchor: int = Field(default=1, ge=1)
    counts: Literal["terms", "anchors"] = "terms"

    @model_validator(mode="after")
    def _possible(self) -> Batch:
        if self.mining != "none" and self.sampling != "all_in_batch":
            raise ValueError(
                f"mining = '{self.mining}' needs sampling = 'all_in_batch': there is nothing to choose "
                f"from under '{self.sampling}'"
            )
        if self.partners == "batch" and self.sampling == "one_plus_one":
            raise ValueError("partners = 'batch' goes with any sampling but 'one_plus_one'")
        if self.partners == "dataset" and self.sampling == "customary":
            raise ValueError("sampling = 'customary' forms terms within a batch; set partners = 'batch'")
        if not self.draws_partners and (self.tuples_per_anchor > 1 or self.counts == "anchors"):
            raise ValueError(
                "tuples_per_anchor and counts are of anchors whose partners come from the whole split; set partners = "
                "'dataset' and sampling = 'one_tuple' or 'one_plus_one', or leave both out"
            )
        if (self.classes is None) != (self.per_class is None):
            raise ValueError("classes and per_class go together: a batch of so many classes with so many samples each")
        if self.classes is not None and self.draws_partners:
            raise ValueError(
                "classes and per_class compose batches of samples; set sampling = 'all_in_batch', or partners = 'batch'"
            )
        return self

    @property
    def draws_partners(self) -> bool:
        """Whether a batch is made of anchors, and their partners come from the whole training split."""
        return self.sampling != "all_in_batch" and self.partners == "dataset"


class Protocol(Frozen):
    """Everything that must be equal for a comparison to be fair.

    data            limits the protocol to some data sets
    loss            limits it to some losses, by name ("triplet": all its variants) or by name and variant
    labels          what training is told (measuring is not): "given"; "clean", those of the split `train_clean`; "noisy",
                    each replaced with probability 0.1 by a class drawn uniformly; "shuffled", in random order: what a
                    loss does to a geometry without any classes
    evaluate_every  epochs between evaluations by retrieval and on the probe; with it, the training split's geometry, the
                    loss on probe batches, variances of single classes and ranks are measured then only. Each query's
                    result and the classifiers follow `evaluate_at`, the first epoch and the last
    chunk           how many runs are trained in one stack (a matter of speed: the results are the same)
    """

    name: str = Field(min_length=1)
    data: tuple[str, ...] = ()
    loss: tuple[str, ...] = ()
    model: Model = Model()
    optimizer: Optimizer = Optimizer()
    batch: Batch = Batch()
    epochs: int = Field(default=50, ge=1)
    inputs: Literal["raw", "unit_length", "standardized"] = "raw"
    labels: Literal["given", "clean", "noisy", "shuffled"] = "given"
    precision: Literal["float32", "float64"] = "float32"
    reduction: Literal["mean_over_valid"] = "mean_over_valid"
    evaluate_at: tuple[int, ...] = ()  # epochs with classifiers and each query's result, beside 0 and the last
    evaluate_every: int | None = Field(default=None, ge=1)
    chunk: int | None = Field(default=None, ge=1)

    def decisive(self) -> dict[str, Any]:
        """What of the protocol decides a run's result; later options only where they are used, so that runs from
        before them keep their digest."""
        document = self.model_dump(mode="json", exclude={"name", "data", "loss", "chunk"})
        for part, later in ((document, _LATER_IN_PROTOCOL), (document["batch"], _LATER_IN_BATCH)):
            for key, unused in later.items():
                if part[key] == unused:
                    del part[key]
        return document

    def trains(self, loss: LossChoice) -> bool:
        """Whether the protocol is for a loss."""
        return not self.loss or loss.name in self.loss or loss.title in self.loss

    def evaluates(self, epoch: int) -> bool:
        """Whether retrieval, the probe and the geometry of every split are measured at the end of an epoch."""
        regular = self.evaluate_every is not None and epoch % self.evaluate_every == 0
        return self.evaluates_in_full(epoch) or regular

    def evaluates_in_full(self, epoch: int) -> bool:
        """Whether also what takes long or much room is: the classifiers and each query's result."""
        return epoch in (0, self.epochs, *self.evaluate_at)

    def measures(self, epoch: int, split: str) -> bool:
        """Whether a split's geometry is measured: always, but with `evaluate_every` only then for training splits."""
        return self.evaluate_every is None or not split.startswith("train") or self.evaluates(epoch)


_LATER_IN_PROTOCOL = {"labels": "given", "evaluate_every": None}
_LATER_IN_BATCH = {"classes": None, "per_class": None, "tuples_per_anchor": 1, "counts": "terms"}


class Data(Frozen):
    """A data set by name, with the options of its reader."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    label: str | None = None  # stands for the data set in every table

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class LossVariants(Frozen):
    """A loss by name, with hyper-parameters; a list of values makes variants, `variant` names a row of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    variant: str = ""

    def variants(self) -> list[LossChoice]:
        """All combinations of the listed values; the variant's name holds only what varies."""
        given = dict(self.__pydantic_extra__ or {})
        varying = [key for key, value in given.items() if isinstance(value, list)]
        choices = []
        for values in itertools.product(*(given[key] for key in varying)):
            chosen = dict(zip(varying, values, strict=True))
            values_told = (f"{key}={json.dumps(value)}" for key, value in chosen.items())
            label = ",".join(filter(None, [self.variant, *values_told]))
            choices.append(LossChoice(self.name, label, tuple({**given, **chosen}.items())))
        return choices


@dataclass(frozen=True)
class LossChoice:
    """One variant of a loss."""

    name: str
    variant: str
    hyperparameters: tuple[tuple[str, Any], ...]

    @property
    def title(self) -> str:
        """Name and variant."""
        return f"{self.name} {self.variant}".strip()


class Study(Frozen):
    """Data sets x protocols x losses x seeds. `seeds` counts them from 0, or lists them."""

    name: str = Field(min_length=1)
    note: str = ""
    seeds: int | tuple[int, ...] = 5
    data: tuple[Data, ...] = Field(min_length=1)
    protocol: tuple[Protocol, ...] = Field(min_length=1)
    loss: tuple[LossVariants, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        labels = [data.label or data.name for data in self.data]
        for protocol in self.protocol:
            for wanted in protocol.data:
                if wanted not in labels:
                    raise ValueError(f"protocol '{protocol.name}' names the data set '{wanted}'; there are {labels}")
        names = [protocol.name for protocol in self.protocol]
        if len(set(names)) < len(names):
            raise ValueError(f"protocol names must differ; found {names}")
        choices = [choice for loss in self.loss for choice in loss.variants()]
        losses = [choice.title for choice in choices]
        if len(set(losses)) < len(losses):
            raise ValueError(
                f"losses must differ in name or variant; found {losses}: write several values of one loss as a list, "
                "or give a row of its own a `variant`"
            )
        if empty := [loss.name for loss in self.loss if not loss.variants()]:
            raise ValueError(f"loss '{empty[0]}' has a hyper-parameter without a value: its list is empty")
        known = {*losses, *(loss.name for loss in self.loss)}
        for protocol in self.protocol:
            if missing := [wanted for wanted in protocol.loss if wanted not in known]:
                raise ValueError(f"protocol '{protocol.name}' names the loss '{missing[0]}'; there are {losses}")
        if unused := [one.title for one in choices if not any(protocol.trains(one) for protocol in self.protocol)]:
            raise ValueError(f"no protocol trains the loss '{unused[0]}'; name it in a protocol's loss, or remove it")
        used = {label for protocol in self.protocol for label in protocol.data or labels}
        if unused := [label for label in labels if label not in used]:
            raise ValueError(f"no protocol uses the data set '{unused[0]}'; name it in a protocol's data, or remove it")
        if not self.seed_list or len(set(self.seed_list)) < len(self.seed_list) or min(self.seed_list) < 0:
            raise ValueError(
                f"seeds = {self.seeds}; expected a positive count, or different seeds that are not negative"
            )
        return self

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds themselves."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    def cells(self) -> list[Cell]:
        """All cells, in the order of data sets, protocols, losses."""
        return [
            Cell(data, protocol, choice, self.seed_list)
            for data in self.data
            for protocol in self.protocol
            if not protocol.data or (data.label or data.name) in protocol.data
            for loss in self.loss
            for choice in loss.variants()
            if protocol.trains(choice)
        ]

    def comparable(self) -> dict[str, Any]:
        """The study without what may change between two invocations on one folder: seeds, note, stacking."""
        document = self.model_dump(mode="json", exclude={"seeds", "note"})
        for protocol in document["protocol"]:
            del protocol["chunk"]
        return document


@dataclass(frozen=True)
class Cell:
    """The unit of work: one data set, one protocol, one loss variant, some seeds."""

    data: Data
    protocol: Protocol
    loss: LossChoice
    seeds: tuple[int, ...]


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a document, shortened to 16 hexadecimal digits.

    >>> digest({"b": 1, "a": [2.0]}) == digest({"a": [2.0], "b": 1})
    True
    """
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


_PARTS: dict[str, type[BaseModel]] = {
    "protocol": Protocol,
    "model": Model,
    "optimizer": Optimizer,
    "batch": Batch,
}


def parse(document: Mapping[str, Any], where: str = "study") -> Study:
    """The study that a TOML document says. Raises InvalidStudy (UnknownName for an unknown key) naming the place."""
    try:
        return Study.model_validate(document)
    except ValidationError as error:
        raise _readable(error, where) from None


def _readable(error: ValidationError, where: str) -> InvalidStudy:
    """The first fault of a validation, in a person's words."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"]) or "the study"
    if fault["type"] == "extra_forbidden":
        part: type[BaseModel] = Study
        for step in fault["loc"][:-1]:
            part = _PARTS.get(str(step), part)
        return UnknownName.of(
            f"key in {where}, {'.'.join(map(str, fault['loc'][:-1])) or 'top level'}:",
            str(fault["loc"][-1]),
            part.model_fields,
        )
    found = fault.get("input")
    shown = f" (found {found!r})" if not isinstance(found, dict | list) else ""
    return InvalidStudy(
        f"{where}: {place}: {fault['msg']}{shown}. {len(error.errors())} fault(s) in all; "
        "mend the study file or the --set option."
    )
