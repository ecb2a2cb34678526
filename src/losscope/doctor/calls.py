"""A call of a criterion, and what it would have been: labels permuted, embeddings collapsed, apart, doubled, twinned.

criterion(embeddings, labels)            labeled: (samples, dim), or (samples, views, dim) whose views share a label
criterion(first, second)                 matched: row i of both belong together, all other rows are negatives
criterion(first, second, target)         pairs: target above 0 for a positive pair
criterion(anchor, positive, negative)    triplets
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from losscope.errors import InvalidInput
from losscope.types import OUTLIER

Kind = Literal["labeled", "matched", "pairs", "triplets"]
Embed = Callable[[Any, Any], Any]
"""(model, batch) -> what the criterion is called with: embeddings and labels, or any of the forms above."""

LABELS = ("labels", "label", "targets", "target", "y")


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a criterion."""

    parts: tuple[Tensor, ...]  # embeddings, each (rows, dim) or (rows, views, dim)
    given: Tensor | None = None  # labels or targets as handed over

    @property
    def kind(self) -> Kind:
        """Which of the forms it has."""
        if len(self.parts) == 3:
            return "triplets"
        if len(self.parts) == 2:
            return "matched" if self.given is None else "pairs"
        return "labeled"

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """What the criterion gets."""
        return self.parts if self.given is None else (*self.parts, self.given)

    @property
    def rows(self) -> Tensor:
        """All embeddings (rows of all parts, dim), in float32 at least, without a graph."""
        flat = torch.cat([part.detach().reshape(-1, part.shape[-1]) for part in self.parts])
        return flat.to(torch.promote_types(flat.dtype, torch.float32))

    @property
    def classes(self) -> Tensor:
        """A class (rows of all parts,) int64 for each row; rows of a class are positives. For pairs: a class each."""
        samples = len(self.parts[0])
        own = torch.arange(samples)
        if self.kind == "labeled":
            labels = own if self.given is None else self.given.detach().reshape(samples, -1)[:, 0].cpu().to(torch.int64)
            views = self.parts[0].shape[1] if self.parts[0].ndim == 3 else 1
            return labels.repeat_interleave(views)
        if self.kind == "pairs":
            return torch.cat([own, torch.where(self.positive_pairs, own, own + samples)])
        return torch.cat([own, own] if self.kind == "matched" else [own, own, own + samples])

    @property
    def positive_pairs(self) -> Tensor:
        """Of pairs: which are positive, (rows,) bool."""
        assert self.given is not None
        return self.given.detach().reshape(len(self.parts[0]), -1)[:, 0].cpu() > 0

    def detached(self) -> Call:
        """The same without a graph, as leaves that want a gradient."""
        return replace(self, parts=tuple(part.detach().clone().requires_grad_() for part in self.parts))

    def moved(self, rows: Tensor, dtype: torch.dtype | None = None) -> Call:
        """With other embeddings (rows of all parts, any dim), in the type of the first part or in `dtype`."""
        counts = [part[..., 0].numel() for part in self.parts]
        device = self.parts[0].device
        if device.type == "mps":  # which has no float64
            dtype = None
        pieces = torch.split(rows.to(device, dtype or self.parts[0].dtype), counts)
        shapes = [part.shape[:-1] for part in self.parts]
        moved = (piece.reshape(*shape, -1) for piece, shape in zip(pieces, shapes, strict=True))
        return replace(self, parts=tuple(one.detach().clone().requires_grad_() for one in moved))

    def shuffled(self, generator: torch.Generator) -> Call | None:
        """Which rows belong together is drawn anew; None where no other choice exists."""
        if self.kind == "triplets":
            anchor, positive, negative = self.parts
            return replace(self, parts=(anchor, negative, positive))
        if self.kind == "matched":
            first, second = self.parts
            return replace(self, parts=(first, second.roll(1, 0))) if len(second) > 1 else None
        if self.given is None:
            return None
        plain = self.given.detach().reshape(len(self.parts[0]), -1)[:, 0].cpu()
        for _ in range(8):
            order = torch.randperm(len(plain), generator=generator)
            other = plain[order]
            changed = plain != other if self.kind == "pairs" else _same(plain) != _same(other)
            if bool(changed.any()):
                return replace(self, given=self.given[order.to(self.given.device)])
        return None

    def collapsed(self, distance: float = 0.0) -> Call:
        """All embeddings are one point, as long as they are on average, or at `distance` from it in random directions."""
        rows = self.rows
        point = F.normalize(torch.randn(rows.shape, generator=torch.Generator().manual_seed(0)), dim=-1) * distance
        point[:, 0] += 1.0
        return self.moved(point * torch.linalg.vector_norm(rows, dim=-1).mean().cpu())

    def apart(self) -> Call:
        """Every class one point of unit length, all classes equally far: the best that can be done on the sphere.

        In float64: distances of 0 are rounded to 1e-3 in float32, in some forms.
        """
        if self.kind in ("pairs", "triplets"):  # each pair by itself: opposite where it should be far
            far = self.classes >= len(self.parts[0])
            return self.moved(torch.where(far, -1.0, 1.0).unsqueeze(-1) * torch.tensor([[1.0, 0.0]]), torch.float64)
        _, place = torch.unique(self.classes, return_inverse=True)
        corners = F.one_hot(place).double()
        centered = corners - 1 / corners.shape[1]
        return self.moved(F.normalize(centered, dim=-1), torch.float64)

    def twinned(self) -> Call | None:
        """One positive is moved onto its anchor; None where there is no positive."""
        labels, rows = self.classes, self.rows.clone()
        same = _same(labels) & (labels != OUTLIER).unsqueeze(1)
        pair = same.triu(1).nonzero()
        if not len(pair):
            return None
        first, second = pair[0].tolist()
        rows[second] = rows[first]
        return self.moved(rows)


def call_of(model: Any, batch: Any, embed: Embed | None) -> tuple[Call, tuple[Any, ...]]:
    """The criterion's call for a batch of a loader, and the inputs of its parts where they are known.

    Raises InvalidInput for a batch or embeddings in a form that is not understood.
    """
    inputs, rest = ((), embed(model, batch)) if embed else _read(batch)
    if embed is None:  # a loop of one's own moves batches to the model
        device = next((one.device for one in model.parameters()), None)
        inputs, rest = ([_moved(one, device) for one in part] for part in (inputs, rest))
    given: list[Any] = [model(one) for one in inputs]
    given += [*rest] if isinstance(rest, list | tuple) else [rest]
    points = tuple(one for one in given if isinstance(one, Tensor) and one.is_floating_point() and one.ndim in (2, 3))
    points = tuple(one for one in points if one.shape[-1] == points[0].shape[-1])
    others = [one for one in given if not any(one is point for point in points)]
    if not points or len(points) > 3 or len(others) > 1 or not all(isinstance(one, Tensor) for one in others):
        raise InvalidInput(
            f"a batch gave the criterion {', '.join(map(described, given)) or 'nothing'}; expected embeddings (samples, dim) and "
            "labels, two or three tensors of embeddings, or two and a target: hand in embed=, a function of model and batch "
            "that returns what the criterion is called with"
        )
    labels = others[0] if others else None
    if labels is not None and labels.numel() != len(points[0]):
        raise InvalidInput(
            f"{described(labels)} as labels of {described(points[0])}; expected one for each row: hand in embed="
        )
    return Call(points, labels), tuple(inputs)


def _read(batch: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """What goes through the model, and what goes on to the criterion."""
    if isinstance(batch, Mapping):
        key = next((name for name in LABELS if name in batch), None)
        inputs = [value for name, value in batch.items() if name != key]
        if key is not None and len(inputs) == 1:
            return inputs, [batch[key]]
    elif isinstance(batch, list | tuple):
        like = [isinstance(one, Tensor) and one.is_floating_point() and one.ndim > 1 for one in batch]
        if len(batch) == 2:
            whole = like[1] and batch[0].shape[1:] == batch[1].shape[1:] if like[0] else False
            return (batch, ()) if whole else (batch[:1], batch[1:])
        if len(batch) == 3:
            return (batch, ()) if all(like) else (batch[:2], batch[2:])
    shown = f"a mapping with {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else described(batch)
    raise InvalidInput(
        f"the loader gave {shown}; expected (inputs, labels), a mapping with one input and labels under one of "
        f"{', '.join(LABELS)}, (anchor, positive, negative) or (first, second, target): hand in embed=, a function of model "
        "and batch that returns what the criterion is called with"
    )


def _moved(one: Any, device: torch.device | None) -> Any:
    return one.to(device) if isinstance(one, Tensor) and device is not None else one


def described(one: Any) -> str:
    """A value in words.

    >>> described(torch.zeros(3, 2))
    'a tensor (3, 2) of torch.float32'
    """
    if isinstance(one, Tensor):
        return f"a tensor {tuple(one.shape)} of {one.dtype}"
    return f"{type(one).__name__} of {len(one)}" if isinstance(one, list | tuple) else type(one).__name__


def parameters_of(one: object) -> dict[str, nn.Parameter]:
    """Trained parameters of a module by name, without those of an encoder in it; none of a function."""
    if not isinstance(one, nn.Module):
        return {}
    encoder = encoder_of(one)
    inside = {id(value) for value in encoder.parameters()} if encoder is not None else set()
    named = one.named_parameters()
    return {name: value for name, value in named if value.requires_grad and id(value) not in inside}


def encoder_of(criterion: nn.Module) -> nn.Module | None:
    """The model that a criterion calls itself, as losses of sentence-transformers and what wraps them do."""
    inside = (part for part in criterion.modules() if part is not criterion)
    return next((part for part in inside if callable(getattr(part, "encode", None))), None)


def _same(labels: Tensor) -> Tensor:
    return labels.unsqueeze(1) == labels.unsqueeze(0)
