"""The data of a report: split protocol, what features were trained on, and the options of the study."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from losscope.study import Data
from losscope.summary.reading import StudyRecord

GIVEN_FEATURES = "features"
"""The data source that reads features from a file."""


@cache
def known() -> Mapping[str, Mapping[str, str]]:
    """What is known of data sets by name."""
    return tomllib.loads((files("losscope.summary") / "datasets.toml").read_text(encoding="utf-8"))


def same_data(dataset: str, name: str) -> bool:
    """Whether `dataset` is the data set `name`, whatever backbone, file or split protocol its own name adds.

    >>> same_data("cifar10+efficientnet_lite0", "cifar10"), same_data("cub200/class_disjoint", "cub200")
    (True, True)
    >>> same_data("cifar100", "cifar10")
    False
    """
    return dataset == name or dataset.startswith((f"{name}+", f"{name}/", f"{name}:"))


def entry(studies: Sequence[StudyRecord], dataset: str) -> Data | None:
    """The entry of a study that `dataset` comes from."""
    for data in (data for study in studies for data in study.study.data):
        split, drawn = data.options.get("split"), data.options.get("class_split", 0)
        if data.label == dataset:
            return data
        if (
            not data.label
            and same_data(dataset, data.name)
            and (not split or "/" not in dataset or f"/{split}" in dataset)
            and drawn == _class_split(studies, dataset)
        ):
            return data
    return None


def class_split_of(studies: Sequence[StudyRecord], dataset: str) -> tuple[str, int]:
    """The name that all class splits of a data set share, and which of them this is; 0 is the customary one."""
    number = _class_split(studies, dataset)
    if not number:
        return dataset, 0
    data = entry(studies, dataset)
    if data is not None and data.label:
        return f"{data.name}/{data.options.get('split', '')}", number
    return re.sub(rf"/{number}(?=[/+]|$)", "", dataset, count=1), number


def _class_split(studies: Sequence[StudyRecord], dataset: str) -> int:
    return int(recorded(studies, dataset).get("source", {}).get("class_split", 0))


def split_protocol(studies: Sequence[StudyRecord], dataset: str) -> str:
    """How the splits were made, by name; empty if the record doesn't say it."""
    return str(recorded(studies, dataset).get("split_protocol", ""))


def recorded(studies: Sequence[StudyRecord], dataset: str) -> Mapping[str, Any]:
    """What the manifest of the first study that used a data set says of it."""
    every: Iterator[Mapping[str, Any]] = (study.manifest.get("data", {}).get(dataset, {}) for study in studies)
    return next((about for about in every if about), {})


def trained_on_features(studies: Sequence[StudyRecord], dataset: str) -> bool:
    """Whether frozen features were trained on, as far as the record says."""
    data = entry(studies, dataset)
    given = data is not None and data.name == GIVEN_FEATURES
    return given or "backbone" in recorded(studies, dataset).get("source", {})


def options(studies: Sequence[StudyRecord], dataset: str) -> str:
    """The options that the study sets for the data."""
    data = entry(studies, dataset)
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in data.options.items()) if data else ""


def about(studies: Sequence[StudyRecord], dataset: str) -> str:
    """What a reader must know of the data: by name, and what its reader found in the files."""
    text = next((about["text"] for name, about in known().items() if same_data(dataset, name)), "")
    return " ".join(part for part in (text, recorded(studies, dataset).get("note", "")) if part)
