"""The loss of a stack: its hyper-parameters along the run axis, and what is trained beside the encoder.

Class vectors and the parameters of a loss's own module have a learning rate of their own and never count into the
encoder's gradient norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from losscope.cards import card
from losscope.diagnostics.greediness import ACTIVE_ABOVE
from losscope.errors import InvalidStudy
from losscope.losses import LOSSES
from losscope.losses.centers import moved_centers
from losscope.losses.reductions import masked
from losscope.losses.tuples import for_each_run
from losscope.seeds import generator
from losscope.study import Optimizer
from losscope.training.models import padded
from losscope.training.optimizer import OPTIMIZERS
from losscope.training.probe import Probed, Terms
from losscope.types import Loss, LossTerms, Samples, Tuples


class Objective:
    """`hyperparameters` has one entry for each run; only numbers that a stackable loss takes may differ.

    classes, dim  number and length of class vectors

    Raises InvalidStudy for a loss that was made for other data or another model.
    """

    def __init__(
        self,
        loss: Loss,
        hyperparameters: Sequence[Mapping[str, Any]],
        seeds: Sequence[int],
        classes: int,
        dim: int,
        optimizer: Optimizer,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        check_fit(loss, classes, dim)
        self.loss = loss
        self.training = {key: hyperparameters[0][key] for key in loss.training}
        of_terms = [{key: value for key, value in one.items() if key not in loss.training} for one in hyperparameters]
        self.hyperparameters = along_runs(of_terms, dtype, device) if loss.stacking == "native" else of_terms[0]
        self.bounds = [bound_of(loss, one) for one in hyperparameters]
        self.unit_length = bool(self.training.get("unit_length", True))
        self.momentum = float(self.training.get("momentum", 0.0))
        self.bank: Tensor | None = None  # class vectors of each run, flat
        self.shape = (classes, dim)
        self.modules: list[nn.Module] = []
        if loss.proxies:
            self.bank = padded([class_vectors(classes, dim, seed) for seed in seeds], dtype).to(device)
        elif loss.module:
            self.modules = [loss.module(seed).to(device, dtype) for seed in seeds]
        self.parameters = self._trained()
        rate = float(self.training.get("proxy_lr", optimizer.lr))
        self.optimizer = OPTIMIZERS[optimizer.name](self.parameters, lr=rate) if self.parameters else None

    @property
    def proxies(self) -> Tensor | None:
        """Class vectors (runs, classes, dim)."""
        if self.bank is None:
            return None
        return self.bank[:, : math.prod(self.shape)].view(-1, *self.shape)

    def _trained(self) -> list[Tensor]:
        if self.bank is not None and not self.momentum:
            return [self.bank.requires_grad_()]
        return [one for module in self.modules for one in module.parameters() if one.requires_grad]

    def terms(self, embeddings: Tensor, tuples: Tuples, proxies: Tensor | None = None) -> LossTerms:
        """The masked terms of all runs, by the way of stacking that the loss allows; with `proxies` in place of the
        class vectors."""
        if self.modules:
            spread = for_each_run(tuples, len(embeddings))
            each = [
                # A copy lies in memory as it would alone, so that a run meets the same kernels in any stack.
                masked(module(points.clone(), type(tuples)(*parts)))
                for module, points, *parts in zip(self.modules, embeddings, *spread, strict=True)
            ]
            # Runs may have unequal numbers of terms: the shorter ones are padded with invalid ones of value 0.
            return LossTerms(*(pad_sequence(list(parts), batch_first=True) for parts in zip(*each, strict=True)))
        own = None if self.bank is None else self.proxies if proxies is None else proxies
        return stacked_terms(self.loss, embeddings, tuples, self.hyperparameters, own)

    def probed(self, run: int, embeddings: Tensor, labels: Tensor, tuples: Tuples) -> Probed:
        """One run's loss on its probe: embeddings (samples, dim) as `terms` takes them, the tuples without a run axis."""
        own = {key: value[run : run + 1] for key, value in self.hyperparameters.items() if isinstance(value, Tensor)}
        given = self.hyperparameters | {key: value.double() for key, value in own.items()}

        def of_one(function: Callable[..., LossTerms]) -> Terms:
            def terms(points: Tensor, tuples: Tuples, proxies: Tensor | None) -> LossTerms:
                stack = None if proxies is None else proxies.unsqueeze(0)
                found = stacked_terms(
                    replace(self.loss, terms=function), points.unsqueeze(0), for_each_run(tuples, 1), given, stack
                )
                return LossTerms(found.values[0], found.valid[0])

            return terms

        function = self._module_terms(run) if self.modules else self.loss.terms
        missed = partial(self._missed, function) if self.loss.saturates else None
        residual = self.loss.residual or missed
        return Probed(
            terms=of_one(function),
            residual=of_one(residual) if residual else None,
            bound=self.bounds[run],
            embeddings=embeddings.detach().double(),
            labels=labels,
            tuples=tuples,
            proxies=None if self.proxies is None else self.proxies[run].detach().double(),
            roles=any(known is self.loss for known in LOSSES.values()),
        )

    def _missed(self, function: Callable[..., LossTerms], *batch: Any, **given: Any) -> LossTerms:
        """A hinge's distance from its goal: all or nothing."""
        values, valid = function(*batch, **given)
        return LossTerms((values > ACTIVE_ABOVE).to(values.dtype), valid)

    def _module_terms(self, run: int) -> Callable[..., LossTerms]:
        """The terms by a copy of one run's module, in float64: the module itself may not be touched."""
        module = deepcopy(self.modules[run]).double()
        return lambda points, tuples: module(points, tuples)

    def observed(self, gradients: Sequence[Tensor]) -> dict[str, Tensor]:
        """What a step shows of its class vectors or the loss's own parameters, each (runs,)."""
        if not gradients:
            return {}
        if self.modules:
            norms = torch.stack([gradient.norm() for gradient in gradients]).view(len(self.modules), -1)
            return {"proxy_gradient_norm": norms.norm(dim=-1)}
        return {"proxy_gradient_norm": gradients[0].norm(dim=-1)}

    def update(self, gradients: Sequence[Tensor], alive: Tensor) -> None:
        """One step of the class vectors or the loss's own parameters; a run that is not alive keeps its own."""
        if self.optimizer is None:
            return
        of_each_run = len(self.parameters) // max(len(self.modules), 1)
        masked_gradients = [
            gradient.nan_to_num_(0.0, 0.0, 0.0).mul_(
                alive[place // of_each_run] if self.modules else alive.unsqueeze(1)
            )
            for place, gradient in enumerate(gradients)
        ]
        self.optimizer.step(masked_gradients)

    @torch.no_grad()
    def follow(self, embeddings: Tensor, tuples: Tuples, alive: Tensor) -> None:
        """Move centers that are averaged instead of trained; those of a run that is not alive stay."""
        proxies = self.proxies
        if proxies is not None and self.momentum and isinstance(tuples, Samples):
            moved = moved_centers(proxies, embeddings, tuples, self.momentum)
            proxies.copy_(torch.where(alive.view(-1, 1, 1), moved, proxies))

    def state(self) -> dict[str, Tensor]:
        """What the next step depends on, beside the encoder."""
        kept = {"proxies": self.bank.detach()} if self.bank is not None else {}
        for place, parameter in enumerate(self.parameters):
            if self.modules:
                kept[f"module.{place}"] = parameter.detach()
        if self.optimizer is not None:
            kept |= self.optimizer.state("proxy_optimizer.")
        return kept

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()` of an equal objective."""
        if self.bank is not None:
            self.bank.copy_(state["proxies"])
        for place, parameter in enumerate(self.parameters):
            if self.modules:
                parameter.copy_(state[f"module.{place}"])
        if self.optimizer is not None:
            self.optimizer.load(state, "proxy_optimizer.")


def check_fit(loss: Loss, classes: int, dim: int) -> None:
    """Raise InvalidStudy unless a loss with a module was made for as many `classes` and for embeddings of `dim`."""
    name = getattr(loss.terms, "__name__", "the loss")
    if loss.classes is not None and loss.classes < classes:
        raise InvalidStudy(
            f"{name} was made for {loss.classes} classes; the training split has {classes}: make it with "
            f"num_classes={classes}"
        )
    if loss.dim is not None and loss.dim != dim:
        raise InvalidStudy(
            f"{name} was made for embeddings of length {loss.dim}; the model's have {dim}: make it with "
            f"embedding_size={dim}, or set the last of model.widths to {loss.dim}"
        )


def bound_of(loss: Loss, hyperparameters: Mapping[str, Any]) -> float | None:
    """The largest tangential gradient that a term can have, from the loss's card; None for a loss without one."""
    name = next((name for name, known in LOSSES.items() if known is loss), None)
    bound = card(name, **hyperparameters).bound() if name else math.inf
    return bound if math.isfinite(bound) else None


def class_vectors(classes: int, dim: int, seed: int) -> Tensor:
    """Random directions (classes, dim) of unit length, from the seed alone."""
    random = torch.Generator().manual_seed(int(generator(seed, "class vectors").integers(2**63)))
    return nn.functional.normalize(torch.randn(classes, dim, generator=random), dim=-1)


def along_runs(
    of_each_run: Sequence[Mapping[str, Any]], dtype: torch.dtype, device: torch.device | str
) -> dict[str, Any]:
    """Numbers as tensors (runs,), also where they don't differ, so that a run meets the same kernels in any stack;
    switches as they are."""
    return {
        key: torch.tensor([one[key] for one in of_each_run], dtype=dtype, device=device)
        if isinstance(value, float)
        else value
        for key, value in of_each_run[0].items()
    }


def stacked_terms(
    loss: Loss,
    embeddings: Tensor,
    tuples: Tuples,
    hyperparameters: Mapping[str, Any],
    proxies: Tensor | None = None,
) -> LossTerms:
    """The masked terms of all runs; class vectors `proxies` (runs, classes, dim) for a loss that takes them."""
    own = {} if proxies is None else {"proxies": proxies}
    if loss.stacking == "native":
        return loss.terms(embeddings, tuples, **hyperparameters, **own)
    spread = tuple(for_each_run(tuples, len(embeddings)))

    def one_run(points: Tensor, parts: tuple[Tensor, ...], own: dict[str, Tensor]) -> LossTerms:
        return masked(loss.terms(points, type(tuples)(*parts), **hyperparameters, **own))

    if loss.stacking == "vmap":
        try:
            stacked: LossTerms = torch.func.vmap(one_run)(embeddings, spread, own)
        except RuntimeError as error:
            name = getattr(loss.terms, "__name__", "the loss")
            raise InvalidStudy(
                f"{name} can't be vectorised over runs ({str(error).splitlines()[0]}); say stacking='loop', or 'native' if it "
                "takes leading run axes itself"
            ) from error
        return stacked
    each = [
        one_run(points, tuple(parts), {key: value[run] for key, value in own.items()})
        for run, (points, *parts) in enumerate(zip(embeddings, *spread, strict=True))
    ]
    return LossTerms(*(torch.stack(parts) for parts in zip(*each, strict=True)))
