"""`check_loss`: the contract that every loss of this package keeps, for a loss of your own.

Each check says what it found, what was expected and what usually causes it. Values and gradients are checked
in both forms that training uses: one tuple for each anchor, and all tuples of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.losses.binding import bind, hyperparameters
from losscope.losses.reductions import masked, mean_over_valid
from losscope.losses.tuples import all_tuples, for_each_run
from losscope.training.batches import partners_in_batch
from losscope.training.objective import along_runs, stacked_terms
from losscope.types import (
    BatchBlocks,
    BatchTriplets,
    Blocks,
    Contrasts,
    Loss,
    LossTerms,
    Pairs,
    Samples,
    Triplets,
    Tuples,
)

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, -1, -1])
CLASSES = 8
"""Class vectors of a loss that has them, and width of an N-pair block; no label of a check is beyond."""


def check_loss(loss: Loss, **given: Any) -> None:
    """Raise AssertionError, with the reason, unless `loss` keeps the contract at the `given` hyper-parameters.

    Raises InvalidInput for a loss with a module of its own.

    >>> from losscope.losses import LOSSES
    >>> check_loss(LOSSES["triplet"], margin=0.2, squared=True)
    """
    name = getattr(loss.terms, "__name__", "loss")
    if loss.module is not None:
        raise InvalidInput(
            f"loss '{name}' has a module of its own, with as many terms as a batch offers; the checks are of functions with "
            "one term for each tuple: compare it with another implementation instead"
        )
    bound = bind(name, loss, given)
    for check in CHECKS:
        check(_Subject(name, loss, {key: bound[key] for key in hyperparameters(loss)}))


@dataclass(frozen=True)
class _Subject:
    name: str
    loss: Loss
    hyperparameters: dict[str, Any]

    def terms(self, embeddings: Tensor, tuples: Tuples, rotation: Tensor | None = None) -> LossTerms:
        """The terms of a batch; the class vectors, where the loss has some, turned by a `rotation`."""
        proxies = _embeddings(CLASSES, embeddings.shape[-1], seed=1, dtype=embeddings.dtype)
        own = {"proxies": proxies if rotation is None else proxies @ rotation} if self.loss.proxies else {}
        terms: LossTerms = self.loss.terms(embeddings, tuples, **self.hyperparameters, **own)
        return terms

    def reduced(self, embeddings: Tensor, tuples: Tuples, rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The mean over valid terms, and its gradient."""
        leaf = embeddings.detach().requires_grad_()
        value = mean_over_valid(masked(self.terms(leaf, tuples, rotation)))
        (gradient,) = torch.autograd.grad(value, leaf)
        return value.detach(), gradient

    def forms(self, labels: Tensor) -> Iterator[tuple[str, Tuples]]:
        """The tuples of labels (..., samples), as training makes them."""
        uniform = torch.rand(*labels.shape[:-1], 3, labels.shape[-1], generator=_random()).numpy()
        if labels.ndim == 1:
            chosen = partners_in_batch(labels.unsqueeze(0), uniform[None], self.loss, CLASSES)
            yield "one tuple for each anchor", _tuples_of_run(chosen, 1, 0)
        else:
            yield "one tuple for each anchor", partners_in_batch(labels, uniform, self.loss, CLASSES)
        yield "all tuples", all_tuples(self.loss, labels, CLASSES)

    def fail(self, found: str, expected: str) -> AssertionError:
        return AssertionError(f"loss '{self.name}' {self.hyperparameters}: {found}; expected {expected}")


def _random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _embeddings(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    """Random points on the unit sphere."""
    points = torch.randn(*shape, generator=_random(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(points, dim=-1).to(dtype)


def _tuples_of_run(tuples: Tuples, runs: int, run: int) -> Tuples:
    return type(tuples)(*(part[run] for part in for_each_run(tuples, runs)))


def _offered(loss: Loss, tuples: Tuples) -> Tensor:
    """Which terms the tuples offer: bool, in the shape of the terms."""
    if isinstance(tuples, BatchTriplets):
        return tuples.differs[tuples.anchor] & tuples.paired.unsqueeze(-1)
    if isinstance(tuples, Contrasts):
        return tuples.positive.any(-1) if loss.kind == "anchor" else tuples.positive
    if isinstance(tuples, BatchBlocks):
        ranks, own = torch.arange(len(tuples.there)).unsqueeze(-1), tuples.there[:, tuples.own]
        return own & (tuples.rank >= 0) & (tuples.rank != ranks)
    return tuples.valid


def _shapes(subject: _Subject) -> None:
    for dtype in (torch.float32, torch.float64):
        for form, tuples in subject.forms(LABELS):
            terms, offered = subject.terms(_embeddings(8, 5, dtype=dtype), tuples), _offered(subject.loss, tuples)
            if not terms.values.shape == terms.valid.shape == offered.shape:
                raise subject.fail(
                    f"{form}: values {tuple(terms.values.shape)} and valid {tuple(terms.valid.shape)}",
                    f"both of shape {tuple(offered.shape)}, one entry for each term (a wrong shape often "
                    "comes from (B, 1) meeting (B,))",
                )
            if terms.values.dtype != dtype or terms.valid.dtype != torch.bool:
                raise subject.fail(
                    f"{form}: values of type {terms.values.dtype}, valid of type {terms.valid.dtype}",
                    f"{dtype} as the embeddings have, and torch.bool",
                )
            if bool((terms.valid & ~offered).any()):
                raise subject.fail(f"{form}: terms marked valid whose tuple is not", "valid only where it is")


def _finite(subject: _Subject) -> None:
    points = _embeddings(8, 5, dtype=torch.float32)
    batches = {
        "random points": (points, LABELS),
        "one class": (points, torch.zeros_like(LABELS)),
        "all classes different": (points, torch.arange(8)),
        "outliers only": (points, torch.full_like(LABELS, -1)),
        "duplicates": (points[[0, 0, 1, 0, 1, 2, 2, 2]], LABELS),
        "all points equal": (points[:1].expand(8, -1), LABELS),
        "opposite points": (points[:1] * torch.tensor([1, -1, 1, -1, 1, -1, 1, -1]).unsqueeze(1), LABELS),
        "zero vectors": (torch.zeros_like(points), LABELS),
        "scale 1e6": (points * 1e6, LABELS),
        "scale 1e-6": (points * 1e-6, LABELS),
    }
    for batch, (embeddings, labels) in batches.items():
        for form, tuples in subject.forms(labels):
            value, gradient = subject.reduced(embeddings, tuples)
            for what, given in (("loss", value), ("gradient", gradient)):
                if not bool(given.isfinite().all()):
                    raise subject.fail(
                        f"{batch}, {form}: the {what} is not finite",
                        "finite numbers (a bare square root has no gradient at 0: see losscope.distances)",
                    )


def _order(subject: _Subject) -> None:
    points = _embeddings(8, 5)
    moved = torch.randperm(8, generator=_random())
    (_, given), (_, permuted) = list(subject.forms(LABELS))[1], list(subject.forms(LABELS[moved]))[1]
    if isinstance(given, BatchBlocks):  # which samples meet in a block is a draw: the same ones, at their new rows
        now = moved.argsort()
        permuted = BatchBlocks(now[given.positive], given.there, given.own[moved], given.rank[moved])
    value, gradient = subject.reduced(points, given)
    other, other_gradient = subject.reduced(points[moved], permuted)
    if not (torch.allclose(value, other) and torch.allclose(gradient[moved], other_gradient)):
        raise subject.fail(f"{value.item():g} became {other.item():g} when the batch was reordered", "no change")


def _rotation(subject: _Subject) -> None:
    points = _embeddings(8, 5)
    rotation, _ = torch.linalg.qr(torch.randn(5, 5, generator=_random(), dtype=torch.float64))
    for form, tuples in subject.forms(LABELS):
        value, gradient = subject.reduced(points, tuples)
        other, other_gradient = subject.reduced(points @ rotation, tuples, rotation)
        if not (torch.allclose(value, other) and torch.allclose(gradient @ rotation, other_gradient)):
            raise subject.fail(f"{form}: {value.item():g} became {other.item():g} under a rotation", "no change")


def _labels_matter(subject: _Subject) -> None:
    points, labels = _embeddings(8, 5), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    swapped = torch.tensor([0, 1, 0, 1, 1, 0, 1, 0])  # the same label mean, the same share of positive pairs
    given, other = ([subject.reduced(points, tuples)[0] for _, tuples in subject.forms(one)][1]
                    for one in (labels, swapped))  # fmt: skip
    if torch.allclose(given, other):
        raise subject.fail(
            f"{given.item():g} whichever sample has which label, at equal label mean",
            "a loss that sees labels (a distance (B, 1) times labels (B,) sees only their mean)",
        )


def _invalid_terms_are_inert(subject: _Subject) -> None:
    points = _embeddings(8, 5)
    for form, tuples in subject.forms(LABELS):
        results = [subject.reduced(points, rewired) for rewired in _rewired(tuples)]
        for value, gradient in results[1:]:
            if not (torch.equal(value, results[0][0]) and torch.equal(gradient, results[0][1])):
                raise subject.fail(
                    f"{form}: the loss or its gradient depends on what invalid tuples point at",
                    "invalid terms to count for nothing",
                )
        if subject.loss.stacking == "native":
            leaf = points.clone().requires_grad_()
            terms = subject.terms(leaf, _rewired(tuples)[1])
            rest = torch.where(terms.valid, 0.0, terms.values)
            (gradient,) = torch.autograd.grad(rest.sum(), leaf)
            if bool(rest.any() or gradient.any()):
                raise subject.fail(f"{form}: invalid terms are not 0, or have a gradient", "0 from a native loss")


def _rewired(tuples: Tuples) -> list[Tuples]:
    """The tuples with three invalid ones more, which point at one sample, at several, or at pairs of one; where there is
    one for every sample or rank, with other targets of the invalid ones."""

    def with_invalid(one: list[int], other: list[int], third: list[int]) -> Tuples:
        first, second, last = map(torch.tensor, (one, other, third))
        no = torch.zeros(3, dtype=torch.bool)
        if isinstance(tuples, Pairs):
            parts = [part.expand(tuples.valid.shape) for part in tuples]
            return Pairs(*map(_joined, parts, (first, second, torch.tensor([True, False, True]), no)))
        if isinstance(tuples, Triplets):
            return Triplets(*map(_joined, tuples, (first, second, last, no)))
        if isinstance(tuples, BatchTriplets):
            anchor, positive, paired = map(_joined, tuples[:3], (first, second, no))
            return BatchTriplets(anchor, positive, paired, tuples.differs)
        if isinstance(tuples, Blocks):
            count = len(tuples.valid)
            return Blocks(*map(_joined, tuples, (part.expand(count, 3) for part in (first, second, no))))
        if isinstance(tuples, BatchBlocks):
            return tuples._replace(positive=torch.where(tuples.there, tuples.positive, second[0]))
        if isinstance(tuples, Contrasts):
            none = no.expand(len(tuples.anchor), 3)
            return tuples._replace(
                candidate=_joined(tuples.candidate, first),
                positive=_joined(tuples.positive, none),
                negative=_joined(tuples.negative, none),
            )
        return Samples(torch.where(tuples.valid, tuples.target, first[0]), tuples.valid)

    return [
        with_invalid([0, 0, 0], [0, 0, 0], [0, 0, 0]),
        with_invalid([3, 0, 7], [5, 6, 1], [2, 4, 0]),
        with_invalid([1, 2, 7], [1, 2, 7], [1, 2, 7]),
    ]


def _joined(part: Tensor, more: Tensor) -> Tensor:
    return torch.cat([part, more], dim=-1)


def _gradient(subject: _Subject) -> None:
    points = _embeddings(8, 4).requires_grad_()
    for form, tuples in subject.forms(LABELS):

        def values(embeddings: Tensor, tuples: Tuples = tuples) -> Tensor:
            return masked(subject.terms(embeddings, tuples)).values

        try:
            torch.autograd.gradcheck(values, (points,))
        except RuntimeError as error:  # GradcheckError
            reason = str(error).splitlines()[0]
            raise subject.fail(f"{form}: the gradient is not the derivative ({reason})", "gradcheck to pass") from None


def _stacked(subject: _Subject) -> None:
    points = _embeddings(3, 8, 5)
    labels = torch.stack([LABELS, LABELS.flip(0), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])])
    for form, tuples in subject.forms(labels):
        given, proxies = subject.hyperparameters, _embeddings(CLASSES, 5, seed=1).expand(3, -1, -1)
        if subject.loss.stacking == "native":
            given = along_runs([given] * 3, points.dtype, points.device)
        together = stacked_terms(subject.loss, points, tuples, given, proxies if subject.loss.proxies else None)
        for run in range(len(points)):
            alone = masked(subject.terms(points[run], _tuples_of_run(tuples, len(points), run)))
            if not torch.equal(alone.valid, together.valid[run]) or not torch.allclose(
                alone.values, together.values[run]
            ):
                raise subject.fail(
                    f"{form}: run {run} of a stack of 3 has other terms than alone",
                    f"equal terms (is stacking = '{subject.loss.stacking}' right?)",
                )


def _saturation(subject: _Subject) -> None:
    labels = torch.arange(4).repeat_interleave(3)
    corners = torch.eye(4, dtype=torch.float64).repeat_interleave(3, dim=0)
    flat = False
    for scale in (1.0, 100.0) if subject.loss.saturates else (1.0,):
        leaf = (corners * scale).requires_grad_()
        tuples = list(subject.forms(labels))[1][1]
        terms = masked(subject.terms(leaf, tuples))
        for value in terms.values[terms.valid]:
            if value == 0 and not torch.autograd.grad(value, leaf, retain_graph=True)[0].any():
                flat = True
                break
    if flat != subject.loss.saturates:
        found = "some terms are exactly 0 with zero gradient" if flat else "no term is exactly 0 with zero gradient"
        raise subject.fail(f"with all classes collapsed and far apart {found}", f"saturates = {flat}")


CHECKS: tuple[Callable[[_Subject], None], ...] = (
    _shapes, _finite, _order, _rotation, _labels_matter, _invalid_terms_are_inert, _gradient, _stacked,
    _saturation,
)  # fmt: skip
