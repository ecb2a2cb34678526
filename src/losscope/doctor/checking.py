"""`check`: a training set-up is looked at before its first step, on a few batches, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from losscope.doctor.calls import Embed
from losscope.doctor.case import Case
from losscope.doctor.finding import Diagnosis, Finding
from losscope.doctor.observing import observe, tried
from losscope.doctor.table import CHECKS
from losscope.doctor.traits import traits_of
from losscope.doctor.untouched import untouched, unwatched
from losscope.errors import InvalidInput


def check(
    model: nn.Module,
    criterion: Callable[..., Any],
    loader: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    *,
    embed: Embed | None = None,
    miner: Any = None,
    batches: int = 4,
    accumulation: int = 1,
    half: bool | None = None,
) -> Diagnosis:
    """What is wrong with a training set-up, by name, with evidence and what to do about it.

    criterion     of this package, of pytorch-metric-learning, of torch, or any function or module that is called with
                  embeddings (samples, dim) and labels (samples,); or with (anchor, positive, negative), (first, second) or
                  (first, second, target)
    loader        gives (inputs, labels), a mapping with labels, (anchor, positive, negative), (first, second, target)
    embed         for all else: a function (model, batch) -> what the criterion is called with
    miner         of pytorch-metric-learning: criterion(embeddings, labels, miner(embeddings, labels))
    batches       how many are looked at
    accumulation  batches whose gradients are added before a step
    half          whether the loss is computed in float16; None: as the embeddings, and autocast around this call, are

    Weights, gradients, buffers, modes and random states are afterwards what they were. The criterion is called about
    ten times more on the first batch than in training. Raises InvalidInput for objects that are no training set-up, and
    for batches that can't be read. What the model or criterion raises is a finding (`fails`).
    """
    _check_objects(model, criterion, loader, optimizer, batches, accumulation)
    criterion = getattr(criterion, "untapped", criterion)  # a function that a monitor watches
    modules = [one for one in (model, criterion, miner) if isinstance(one, nn.Module)]
    with untouched(modules, loader), unwatched(criterion):
        observed = observe(model, criterion, loader, miner=miner, embed=embed, batches=batches)
        trials = tried(criterion, observed)
        if half is None:
            half = any(
                torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
                for device in ("cpu", "cuda")
            )
            half |= any(part.dtype == torch.float16 for one in observed if one.call for part in one.call.parts)
        case = Case(
            model, criterion, optimizer, traits_of(criterion), observed, trials, miner, accumulation, half
        )  # fmt: skip
        findings = tuple(Finding.of(one, one.function(case) if one.function else None) for one in CHECKS)
    return Diagnosis(findings, len(observed))


def _check_objects(
    model: Any, criterion: Any, loader: Any, optimizer: Any, batches: int, accumulation: int
) -> None:  # fmt: skip
    for name, given, kind, expected in (
        ("model", model, nn.Module, "a torch.nn.Module"),
        ("optimizer", optimizer, torch.optim.Optimizer, "a torch.optim.Optimizer"),
    ):
        if not isinstance(given, kind):
            raise InvalidInput(
                f"{name} is a {type(given).__name__}; expected {expected}: check(model, criterion, loader, optimizer)"
            )
    if not callable(criterion):
        raise InvalidInput(f"criterion is a {type(criterion).__name__}; expected a module or function of embeddings")
    if not isinstance(loader, Iterable):
        raise InvalidInput(f"loader is a {type(loader).__name__}; expected a DataLoader, or a list of batches")
    if iter_is_self(loader):
        raise InvalidInput(
            f"loader is an iterator ({type(loader).__name__}), which looking would use up; hand in what can be iterated "
            "again: the DataLoader itself, or a list of batches"
        )
    for name, number in (("batches", batches), ("accumulation", accumulation)):
        if number < 1:
            raise InvalidInput(f"{name} is {number}; expected at least 1")


def iter_is_self(loader: Any) -> bool:
    """Whether iterating uses it up, as it does a generator."""
    return hasattr(loader, "__next__")
