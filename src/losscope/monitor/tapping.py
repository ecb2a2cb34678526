"""Hooks on a criterion's input and output: what it got, what it returned, and the gradient that came back.

The criterion stays the object it was, with its class, its parameters and its state: hooks look, and are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from losscope.errors import InvalidInput
from losscope.monitor.batch import Batch, batch_of, flat, labels_of
from losscope.monitor.terms import Reader, Reduced, Scalars, reader_of

if TYPE_CHECKING:
    from losscope.monitor.monitor import Monitor

Tapped = TypeVar("Tapped", bound=Callable[..., Any])


class Glance:
    """One call of a criterion in training of which the loss is all that is kept, and whether backward came."""

    __slots__ = ("is_complete", "loss", "samples")

    def __init__(self, samples: int) -> None:
        self.is_complete = False
        self.loss: Tensor | None = None
        self.samples = samples

    def came(self, gradient: Tensor) -> None:
        """Backward has brought this."""
        self.is_complete = True


class Call:
    """One call of a criterion in training: embeddings, labels, loss, activity, and gradients once backward has run.

    `unscaled` turns a gradient as backward brings it into that of the loss; None: there is no telling, so gradients
    are not kept.
    """

    def __init__(self, batch: Batch, unscaled: Callable[[Tensor], Tensor] | None) -> None:
        self.batch = batch
        self.loss: Tensor | None = None
        self.scalars: Scalars = {}
        self._unscaled = unscaled
        self._came = False
        self._gradients: list[Tensor | None] = [None] * len(batch.parts)
        for place, part in enumerate(batch.parts):
            if part.requires_grad:
                part.register_hook(self._keeper(place))  # type: ignore[no-untyped-call]

    def _keeper(self, place: int) -> Callable[[Tensor], None]:
        def keep(gradient: Tensor) -> None:
            self._came = True
            if self._unscaled is None:
                return
            mine = self._unscaled(gradient.detach())
            before = self._gradients[place]
            self._gradients[place] = mine if before is None else before + mine

        return keep

    @property
    def is_complete(self) -> bool:
        """Whether backward has brought any gradient."""
        return self._came

    @property
    def gradient(self) -> Tensor | None:
        """∂L/∂Z of all rows (samples, dim); parts that got none have 0. None before backward, and where its scale is
        not known."""
        if not self._came or self._unscaled is None:
            return None
        pairs = zip(self._gradients, self.batch.parts, strict=True)
        return flat([torch.zeros_like(part) if one is None else one for one, part in pairs])

    def came(self, gradient: Tensor) -> None:
        """Backward was run outside: this is what it brought to the one part."""
        self._came = True
        if self._unscaled is not None:
            self._gradients = [self._unscaled(gradient.clone())]


class Tap:
    """Watches one criterion for a monitor until it is removed."""

    def __init__(self, criterion: Callable[..., Any], monitor: Monitor) -> None:
        self.criterion, self.monitor = criterion, monitor
        self._reader: Reader | None = reader_of(criterion)
        self._reduced = Reduced(criterion) if isinstance(criterion, nn.Module) else None
        self._hooks: list[Any] = []
        self._call: Call | Glance | None = None
        self._encoded: list[Tensor] | None = None
        if isinstance(criterion, nn.Module):
            self._hooks.append(criterion.register_forward_pre_hook(self._before, with_kwargs=True))
            self._hooks.append(criterion.register_forward_hook(self._after, with_kwargs=True))
            if self._encoder is not None:
                self._hooks.append(self._encoder.register_forward_hook(self._encodes))

    @property
    def _encoder(self) -> nn.Module | None:
        """The model that a loss of sentence-transformers calls itself."""
        encoder = getattr(self.criterion, "model", None)
        return encoder if isinstance(encoder, nn.Module) else None

    @property
    def own_parameters(self) -> list[nn.Parameter]:
        """What the criterion trains itself, such as class vectors: never in the encoder's gradient norm."""
        if not isinstance(self.criterion, nn.Module):
            return []
        encoders = {id(one) for one in self._encoder.parameters()} if self._encoder is not None else set()
        return [one for one in self.criterion.parameters() if id(one) not in encoders]

    def remove(self) -> None:
        """Take the hooks away."""
        for hook in self._hooks:
            hook.remove()
        if self._reduced is not None:
            self._reduced.remove()

    def wrapped(self) -> Callable[..., Any]:
        """A plain function that does what the criterion does, watched."""

        @wraps(self.criterion)
        def watched(*arguments: Any, **keywords: Any) -> Any:
            self._before(None, arguments, keywords)
            loss = self.criterion(*arguments, **keywords)
            self._after(None, arguments, keywords, loss)
            return loss

        watched.untapped = self.criterion  # type: ignore[attr-defined]  # for who wants to call it unseen
        return watched

    def _before(self, module: nn.Module | None, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        self._call = self._encoded = None
        if not torch.is_grad_enabled():
            return
        with self.monitor.guarded:
            self.monitor.settle()
            if _features(arguments):
                self._encoded = []
            elif not self.monitor.measures:
                self._call = _glanced((*arguments, *keywords.values()))
            else:
                self._call = self._watched(batch_of(arguments, keywords))
                if self._reduced and self.monitor.reads_terms:
                    self._reduced.arm()

    def _after(
        self, module: nn.Module | None, arguments: tuple[Any, ...], keywords: Mapping[str, Any], loss: Any
    ) -> None:
        with self.monitor.guarded:
            if self._encoded:
                self._call = self._called_by(self._encoded, (*arguments, *keywords.values()))
            self._encoded = None
            call, self._call = self._call, None
            if call is None:
                return
            if isinstance(loss, Tensor) and loss.numel() == 1:
                call.loss = loss.detach().reshape(())
            if isinstance(call, Call) and self.monitor.reads_terms:
                if self._reduced:
                    call.scalars |= self._reduced.take()
                if self._reader:
                    call.scalars |= self._reader(arguments, keywords)
            self.monitor.expect(call)

    def _encodes(self, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        found = output.get("sentence_embedding") if isinstance(output, Mapping) else output
        if self._encoded is not None and isinstance(found, Tensor) and found.ndim == 2 and found.requires_grad:
            self._encoded.append(found)

    def _called_by(self, encoded: list[Tensor], given: Iterable[Any]) -> Call | Glance | None:
        """A call of a loss of sentence-transformers, which got sentences and has encoded them."""
        if not self.monitor.measures:
            return _glanced(encoded)
        beside = next((one for one in given if isinstance(one, Tensor)), None)
        whole = beside if beside is not None and not beside.is_floating_point() else None
        # One part with a label for each row has classes; several parts are matched rows, whatever stands beside.
        labels = labels_of(encoded, whole if len(encoded) == 1 else None)
        return self._watched(Batch(tuple(encoded), labels))

    def _watched(self, batch: Batch) -> Call | None:
        if not any(part.requires_grad for part in batch.parts):
            return None
        return Call(batch, self.monitor.unscaling(batch.parts[0]))


def tap(criterion: Tapped, monitor: Monitor) -> Tapped:
    """Let `monitor` see every call of `criterion` in training, and the gradient that comes back to its input.

    A module is returned as it is, with hooks that `monitor.close()` removes; a plain function comes back wrapped.
    Under torch.compile, tap the criterion outside the compiled region. Raises InvalidInput for what can't be called.
    """
    if not callable(criterion):
        raise InvalidInput(f"criterion is a {type(criterion).__name__}; expected a module or a function of embeddings")
    watching = Tap(criterion, monitor)
    monitor.keep(watching)
    return criterion if isinstance(criterion, nn.Module) else watching.wrapped()  # type: ignore[return-value]


def _glanced(given: Iterable[Any]) -> Glance | None:
    """The first of the arguments that a gradient will come to."""
    for one in given:
        if isinstance(one, Tensor) and one.requires_grad:
            glance = Glance(one.shape[0])
            one.register_hook(glance.came)  # type: ignore[no-untyped-call]
            return glance
    return None


def _features(arguments: tuple[Any, ...]) -> bool:
    """Whether a criterion got tokenized sentences instead of embeddings, as those of sentence-transformers do."""
    first = arguments[0] if arguments else None
    return isinstance(first, list | tuple) and bool(first) and all(isinstance(one, Mapping) for one in first)
