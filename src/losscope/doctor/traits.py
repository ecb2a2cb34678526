"""What a criterion says of itself: margin, temperature, scale, class vectors, distance; ours or anybody's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from losscope.criterion import Criterion
from losscope.doctor.calls import parameters_of

MARGINS = ("margin", "neg_margin", "triplet_margin", "m")
TEMPERATURES = ("temperature", "tau", "temp")
SCALES = ("scale", "s", "logit_scale")


@dataclass(frozen=True)
class Traits:
    """Read off attributes, defaults of a function's parameters, and the names that losses have."""

    name: str
    margin: float | None
    temperature: float | None
    base_temperature: float | None  # SupContrast multiplies by temperature / base_temperature
    scale: float | None
    hinge: bool  # a contrastive or triplet loss whose terms are 0 once a margin is met
    contrastive: bool
    class_vectors: bool  # samples are compared with them, so that a sample needs no positive in its batch

    @property
    def sharpness(self) -> float | None:
        """What cosines are multiplied by before a softmax."""
        return 1 / self.temperature if self.temperature else self.scale

    @property
    def factor(self) -> float:
        """By which SupContrast's code multiplies its loss."""
        return self.temperature / self.base_temperature if self.temperature and self.base_temperature else 1.0


def traits_of(criterion: Any) -> Traits:
    """The traits of a criterion; of a wrapper such as CrossBatchMemory, those of the loss inside it."""
    inner = getattr(criterion, "loss", None)
    if isinstance(inner, nn.Module) and not isinstance(criterion, Criterion):
        criterion = inner
    name = criterion.name if isinstance(criterion, Criterion) else _name(criterion)
    settings = _settings(criterion)
    margin, temperature = _number(settings, MARGINS), _number(settings, TEMPERATURES)
    scale = _number(settings, SCALES)
    return Traits(
        name=name,
        margin=margin,
        temperature=temperature,
        base_temperature=_number(settings, ("base_temperature",)),
        scale=scale,
        hinge=margin is not None and not temperature and not scale and _hinges(criterion, name, settings),
        contrastive="contrastive" in name.lower() and margin is not None and not temperature and not scale,
        class_vectors=any(one.ndim > 1 for one in parameters_of(criterion).values())
        or getattr(criterion, "proxies", None) is not None,
    )


def _hinges(criterion: Any, name: str, settings: Mapping[str, Any]) -> bool:
    if settings.get("smooth_loss"):
        return False
    if type(criterion).__module__.startswith("pytorch_metric_learning"):
        return name in ("ContrastiveLoss", "TripletMarginLoss")
    return any(word in name.lower() for word in ("triplet", "contrastive", "cosineembedding"))


def _name(criterion: Any) -> str:
    if isinstance(criterion, partial):
        return _name(criterion.func)
    return str(getattr(criterion, "__name__", type(criterion).__name__))


def _settings(criterion: Any) -> dict[str, Any]:
    """Names and values that decide what it computes."""
    if isinstance(criterion, Criterion):
        return dict(criterion.hyperparameters)
    if isinstance(criterion, nn.Module):
        return {**vars(criterion), **dict(criterion.named_parameters(recurse=False))}
    if isinstance(criterion, partial):
        return _settings(criterion.func) | criterion.keywords
    try:
        parameters = inspect.signature(criterion).parameters
    except (TypeError, ValueError):
        return {}
    defaults = {key: one.default for key, one in parameters.items() if one.default is not inspect.Parameter.empty}
    closed = inspect.getclosurevars(criterion).nonlocals if inspect.isfunction(criterion) else {}
    return {**vars(criterion), **closed, **defaults} if hasattr(criterion, "__dict__") else {**closed, **defaults}


def _number(settings: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    for name in names:
        value = settings.get(name)
        if isinstance(value, Tensor) and value.numel() == 1:
            value = float(value.detach())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


@dataclass(frozen=True)
class Measure:
    """What a loss or a miner of pytorch-metric-learning compares embeddings by."""

    name: str
    normalized: bool
    p: float
    power: float

    @property
    def order(self) -> tuple[object, ...]:
        """Equal for measures that put the partners of an anchor into one order: on the unit sphere, cosine and L2 do."""
        if self.normalized and self.p == 2 and self.name in ("CosineSimilarity", "DotProductSimilarity", "LpDistance"):
            return ("sphere",)
        if self.name == "CosineSimilarity":
            return ("sphere",)
        return (self.name, self.normalized, self.p)

    def __str__(self) -> str:
        length = "unit length" if self.normalized or self.name == "CosineSimilarity" else "any length"
        power = f", to the power {self.power:g}" if self.power != 1 else ""
        return f"{self.name} of {length}" + (f", p = {self.p:g}{power}" if self.name == "LpDistance" else "")


def measure_of(one: Any) -> Measure | None:
    """The distance of a loss or miner; None where there is none to be read."""
    distance = getattr(one, "distance", None)
    if distance is None or not hasattr(distance, "normalize_embeddings"):
        return None
    return Measure(
        type(distance).__name__, bool(distance.normalize_embeddings), float(distance.p), float(distance.power)
    )
