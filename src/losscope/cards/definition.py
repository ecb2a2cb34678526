"""What a loss card is: a loss at given hyper-parameters, in closed form."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypedDict, Unpack

from losscope.errors import InvalidInput, InvalidStudy, UnknownName
from losscope.types import TermKind

Sampling = Literal["all_in_batch", "one_tuple"]

POSITIVE_AT = 0.875
"""Cosine of the positives that are held fixed in a curve (distance 0.5)."""
NEGATIVE_AT = 0.0
"""Cosine of the negatives that are held fixed: that of unrelated directions in many dimensions."""


class Shape(TypedDict, total=False):
    """Keywords of every number that depends on the batch; see `Composition`."""

    classes: int
    per_class: int
    batch_classes: int | None
    sampling: Sampling


@dataclass(frozen=True)
class Composition:
    """What a batch is made of: `batch_classes` classes with `per_class` samples each.

    classes        all classes that are trained: corners of the simplex, and class vectors
    per_class      samples of a class in a batch, at least 1
    batch_classes  classes in a batch; None: all
    sampling       "all_in_batch": all pairs, triplets, positives; "one_tuple": one positive for each anchor, and a fair
                   coin between positive and negative pair. Negatives of a softmax are all in both
    """

    classes: int = 10
    per_class: int = 5
    batch_classes: int | None = None
    sampling: Sampling = "all_in_batch"

    def __post_init__(self) -> None:
        if self.classes < 2 or not 2 <= self.present <= self.classes:
            raise InvalidInput(
                f"{self.classes} classes, {self.present} of them in a batch; expected at least 2, and no more in a batch "
                "than there are"
            )
        if self.per_class < 1:
            raise InvalidInput(f"{self.per_class} samples of a class in a batch; expected at least 1")
        if self.sampling not in ("all_in_batch", "one_tuple"):
            raise UnknownName.of("sampling", str(self.sampling), ("all_in_batch", "one_tuple"))

    @property
    def present(self) -> int:
        """Classes in a batch."""
        return self.classes if self.batch_classes is None else self.batch_classes

    @property
    def others(self) -> int:
        """Classes in a batch beside the anchor's: the negatives of an N-pair block."""
        return self.present - 1

    @property
    def gap(self) -> float:
        """Δ = C/(C-1): cosine within a class minus cosine between classes, at the corners of the simplex."""
        return self.classes / (self.classes - 1)

    @property
    def positives(self) -> int:
        """Positives of an anchor, P."""
        return 1 if self.sampling == "one_tuple" else self.per_class - 1

    @property
    def negatives(self) -> int:
        """Negatives of an anchor among the samples, n."""
        return self.others * self.per_class

    @property
    def negative_share(self) -> float:
        """Share of negative pairs among the pairs."""
        if self.sampling == "one_tuple" and self.per_class > 1:
            return 0.5
        return self.negatives / (self.present * self.per_class - 1)

    @property
    def shape(self) -> Shape:
        """The same as keywords."""
        return Shape(
            classes=self.classes, per_class=self.per_class, batch_classes=self.batch_classes, sampling=self.sampling
        )

    def __str__(self) -> str:
        among = f" of {self.classes}" if self.present < self.classes else ""
        return f"{self.present}{among} classes x {self.per_class} samples, {self.sampling.replace('_', ' ')}"


class Response(NamedTuple):
    """What a term is, and does to a pair, at a given cosine of the pair."""

    value: float  # of the term, before any reduction
    pull: float  # |∂ℓ/∂s| sin θ, the gradient along the sphere that comes through this pair; > 0 draws the two
    #              together, < 0 pushes them apart


class Meaning(NamedTuple):
    """A hyper-parameter: what it is, where the default comes from, and whether it may be 0."""

    says: str
    source: str
    may_be_0: bool = False


class Elsewhere(NamedTuple):
    """What another library computes under this or a similar name."""

    library: str
    function: str
    says: str
    basis: str = "source read"  # or "from memory, not re-read"


@dataclass(frozen=True)
class Card(ABC):
    """A loss at given hyper-parameters (the fields of a card), in closed form on the unit sphere.

    name, title  in this package, and in papers
    equation     of one term
    kind         what a term is made of
    active       when a term has a gradient
    saturates    whether a term can be exactly 0 with zero gradient
    meanings     of the hyper-parameters
    held         what else is in the term while one pair of a curve moves, for the positive and for the negative curve
    elsewhere    other libraries
    degenerate   what this package does with a degenerate batch
    """

    name: ClassVar[str]
    title: ClassVar[str]
    equation: ClassVar[str]
    kind: ClassVar[TermKind]
    active: ClassVar[str]
    saturates: ClassVar[bool]
    meanings: ClassVar[Mapping[str, Meaning]]
    held: ClassVar[tuple[str, str]]
    elsewhere: ClassVar[tuple[Elsewhere, ...]]
    degenerate: ClassVar[Mapping[str, str]]

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Their values."""
        return asdict(self)

    @property
    def defaults(self) -> dict[str, Any]:
        """Their defaults, those of the loss."""
        return {field.name: field.default for field in fields(self)}

    def given(self, **hyperparameters: Any) -> Self:
        """The card at other hyper-parameters.

        Raises UnknownName for one that the loss doesn't have, InvalidStudy for a value that the loss would refuse.
        """
        checked = {}
        for key, value in hyperparameters.items():
            if key not in self.defaults:
                raise UnknownName.of(f"hyper-parameter of loss '{self.name}'", key, self.defaults)
            checked[key] = self._checked(key, value)
        return replace(self, **checked)

    def _checked(self, key: str, value: Any) -> Any:
        default = self.defaults[key]
        found = f"loss '{self.name}': {key} = {value!r}; expected"
        if isinstance(default, bool) or isinstance(value, bool):
            if isinstance(default, bool) and isinstance(value, bool):
                return value
            raise InvalidStudy(
                f"{found} {'true or false' if isinstance(default, bool) else 'a number'}, such as {default}"
            )
        if not isinstance(value, int | float):
            raise InvalidStudy(f"{found} a number, such as {default}")
        may_be_0 = self.meanings[key].may_be_0
        if not math.isfinite(value) or value < 0 or (value == 0 and not may_be_0):
            raise InvalidStudy(f"{found} a {'finite number of at least 0' if may_be_0 else 'positive, finite number'}")
        if key == "momentum" and value >= 1:
            raise InvalidStudy(f"{found} a number below 1: the share that a center keeps")
        return float(value)

    def floor(self, **composition: Unpack[Shape]) -> float:
        """The mean over all terms at the collapsed simplex: every class one point, all classes equally far.

        No embeddings on the sphere do better; with C classes it is reached only in D >= C - 1 dimensions.
        """
        return self._floor(self._batch(composition))

    def collapse_value(self, **composition: Unpack[Shape]) -> float:
        """The mean over all terms when all embeddings, and all class vectors, are one point."""
        return self._collapse(self._batch(composition))

    def random_value(self, *, dim: int | None = None, **composition: Unpack[Shape]) -> float:
        """The expected mean over all terms for independent random directions, as embeddings and as class vectors.

        In `dim` dimensions; None is the limit of many, where all cosines are 0.
        """
        return self._random(self._batch(composition), dim)

    @abstractmethod
    def bound(self) -> float:
        """An upper bound of the gradient along the sphere of one term with respect to its anchor (the first of a pair, the
        sample), the others fixed. Infinite where embeddings may have any length."""

    @abstractmethod
    def demands(self) -> str:
        """What the hyper-parameters ask of cosines, in words."""

    def positive(self, similarity: float, **composition: Unpack[Shape]) -> Response:
        """The term while a positive (for losses with class vectors: the own class vector) moves to `similarity`."""
        return _without_minus_0(self._positive(_on_the_sphere(similarity), self._batch(composition)))

    def negative(self, similarity: float, **composition: Unpack[Shape]) -> Response:
        """The term while one negative (or the class vector of another class) moves to `similarity`."""
        return _without_minus_0(self._negative(_on_the_sphere(similarity), self._batch(composition)))

    def _batch(self, composition: Shape) -> Composition:
        batch = Composition(**composition)
        if self.kind in ("triplet", "positive_pair", "anchor") and batch.per_class < 2:
            raise InvalidInput(
                f"{batch.per_class} sample of a class in a batch: loss '{self.name}' has no term without a positive; "
                "expected at least 2"
            )
        return batch

    @abstractmethod
    def _floor(self, batch: Composition) -> float: ...

    @abstractmethod
    def _collapse(self, batch: Composition) -> float: ...

    @abstractmethod
    def _random(self, batch: Composition, dim: int | None) -> float: ...

    @abstractmethod
    def _positive(self, similarity: float, batch: Composition) -> Response: ...

    @abstractmethod
    def _negative(self, similarity: float, batch: Composition) -> Response: ...


def _on_the_sphere(similarity: float) -> float:
    if not -1 <= similarity <= 1:
        raise InvalidInput(f"similarity is {similarity}; expected -1 to 1, the cosines of the unit sphere")
    return similarity


def _without_minus_0(response: Response) -> Response:
    return Response(response.value + 0.0, response.pull + 0.0)


HALF = "losscope.Criterion computes in float32 at least, also under autocast"
HALF_SOFTMAX = f"{HALF}; the bare function refuses float16, which can't hold the logit of an excluded candidate"
