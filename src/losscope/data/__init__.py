"""Where samples come from: one line of DATASETS per source, and `load` as the one door to them.

Every source is a function of keyword-only options that returns a `Dataset`. A source may also ask for what
the caller provides rather than a study file: `folder` (local files), `seed` (each seed draws its own data),
`device` and `progress`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from losscope.data.cars196 import cars196
from losscope.data.cifar10 import cifar10
from losscope.data.cub200 import cub200
from losscope.data.dataset import OUTLIER, Dataset, Split
from losscope.data.digits import digits
from losscope.data.features import features
from losscope.data.in_shop import in_shop
from losscope.data.mnist import fashion_mnist, mnist
from losscope.data.progress import Progress
from losscope.data.sop import sop
from losscope.data.synthetic import synthetic
from losscope.data.tiny_imagenet import tiny_imagenet
from losscope.errors import InvalidStudy, UnknownName

__all__ = [
    "DATASETS", "OUTLIER", "DataSource", "Dataset", "Progress", "Split",
    "draws_per_seed", "load", "options_of",
]  # fmt: skip

PROVIDED = ("folder", "seed", "device", "progress")
"""What `load` hands to a source that asks for it; everything else is an option of the study file."""


@dataclass(frozen=True)
class DataSource:
    """One line of the table: `load(**options) -> Dataset`; `per_seed` if each seed draws its own data."""

    load: Callable[..., Dataset]
    summary: str
    per_seed: bool = False


DATASETS: dict[str, DataSource] = {
    "synthetic": DataSource(synthetic, "Gaussian classes with label noise and outliers", per_seed=True),
    "digits": DataSource(digits, "1,797 handwritten digits of 8 x 8, part of the package"),
    "mnist": DataSource(mnist, "70,000 handwritten digits of 28 x 28, official split"),
    "fashion_mnist": DataSource(fashion_mnist, "70,000 garments of 28 x 28, official split"),
    "cifar10": DataSource(cifar10, "60,000 color images of 32 x 32, official split"),
    "cub200": DataSource(cub200, "11,788 photographs of 200 bird species, closed set or class-disjoint"),
    "cars196": DataSource(cars196, "8,144 photographs of 196 car models, the official training half"),
    "tiny_imagenet": DataSource(tiny_imagenet, "10,000 color images of 200 classes, the validation part"),
    "sop": DataSource(sop, "120,053 photographs of 22,634 products, official class-disjoint split"),
    "in_shop": DataSource(in_shop, "52,712 photographs of 7,982 garments, official class-disjoint split"),
    "features": DataSource(features, "your own features and labels from npz, npy, parquet or safetensors"),
}


def load(
    name: str,
    *,
    folder: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    **options: Any,
) -> Dataset:
    """The data set `name`, with the `options` that `options_of(name)` lists.

    Raises UnknownName for a data set or option that does not exist, InvalidStudy for a value of the wrong
    type or range, MissingData and InvalidInput if files are absent or damaged.

    >>> load("digits").splits["train"].inputs.shape
    (901, 1, 8, 8)
    """
    known = options_of(name)
    for key, value in options.items():
        if key not in known:
            raise UnknownName.of(f"option of data set '{name}'", key, known)
        _check(name, known[key], value)
    for key, option in known.items():
        if option.default is option.empty and key not in options:
            raise InvalidStudy(f"data set '{name}' needs the option '{key}'; it has no default")
    provided = {"folder": folder, "seed": seed, "device": device, "progress": progress}
    wanted = inspect.signature(DATASETS[name].load).parameters
    return DATASETS[name].load(**{key: provided[key] for key in PROVIDED if key in wanted}, **options)


def options_of(name: str) -> dict[str, inspect.Parameter]:
    """The options of a data set that a study file may set, with defaults and annotations (ranges included).

    Raises UnknownName.
    """
    if name not in DATASETS:
        raise UnknownName.of("data set", name, DATASETS)
    parameters = inspect.signature(DATASETS[name].load, eval_str=True).parameters
    return {key: parameter for key, parameter in parameters.items() if key not in PROVIDED}


def draws_per_seed(name: str, options: Mapping[str, Any]) -> bool:
    """Whether each seed of a study gets data of its own: the source draws them and `data_seed` is not set."""
    options_of(name)  # raises UnknownName
    return DATASETS[name].per_seed and options.get("data_seed") is None


def _check(name: str, option: inspect.Parameter, value: Any) -> None:
    """InvalidStudy unless `value` has the type and range that the option's annotation states."""
    try:
        TypeAdapter(option.annotation).validate_python(value, strict=True)
    except ValidationError as error:
        reasons = "; ".join(problem["msg"] for problem in error.errors())
        raise InvalidStudy(
            f"data set '{name}': {option.name} = {value!r} is not valid: {reasons} "
            + ("" if option.default is option.empty else f"(default: {option.default!r})")
        ) from None
