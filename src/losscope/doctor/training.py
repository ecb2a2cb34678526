"""Checks of what is trained: by which optimizer, at which rate, in which mode."""

from __future__ import annotations

import torch
from torch import nn

from losscope.doctor.calls import parameters_of
from losscope.doctor.case import Case, share


def untrained_criterion(case: Case) -> list[str] | None:
    """Parameters of the criterion that no optimizer moves."""
    own = parameters_of(case.criterion)
    if not own:
        return None
    trained = _trained(case.optimizer)
    left = [f"{name} {tuple(one.shape)}" for name, one in own.items() if id(one) not in trained]
    return [f"in no group of the optimizer: {', '.join(left)}."] if left else []


def untrained_model(case: Case) -> list[str] | None:
    """Parameters of the model that no optimizer moves."""
    own, trained = parameters_of(case.model), _trained(case.optimizer)
    if not own:
        return [f"the model has no trainable parameter: {type(case.model).__name__}."]
    left = [name for name, one in own.items() if id(one) not in trained]
    if not left:
        return []
    some = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
    return [f"{share(len(left), len(own), 'trainable parameters')} are in no group of the optimizer: {some}."]


def class_vector_rate(case: Case) -> list[str] | None:
    """Class vectors that move no faster than the encoder."""
    vectors = {id(one) for one in parameters_of(case.criterion).values() if one.ndim > 1}
    encoder = {id(one) for one in parameters_of(case.model).values()}
    groups = case.optimizer.param_groups
    own = [float(group["lr"]) for group in groups if any(id(one) in vectors for one in group["params"])]
    of_encoder = [float(group["lr"]) for group in groups if any(id(one) in encoder for one in group["params"])]
    if not own or not of_encoder:
        return None
    if max(own) > max(of_encoder):
        return []
    return [f"class vectors have the learning rate {max(own):g}, the model {max(of_encoder):g}."]


def evaluation_mode(case: Case) -> list[str] | None:
    """A model in evaluation mode as a whole that has dropout or batch norm."""
    parts = _two_faced(case.model)
    if not parts:
        return None
    return [f"in evaluation mode: {_some([name for name, _ in parts])}."] if _rests(case.model) else []


def mixed_modes(case: Case) -> list[str] | None:
    """Dropout and batch norm, some in training mode and some not; or statistics of frozen layers that still move."""
    parts = _two_faced(case.model)
    if not parts:
        return None
    resting = [name for name, part in parts if not part.training]
    moving = [
        name
        for name, part in parts
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
        and part.training
        and part.track_running_stats
        and any(True for _ in part.parameters())
        and not any(one.requires_grad for one in part.parameters())
    ]
    said = []
    if resting and not _rests(case.model):
        said.append(f"in evaluation mode while the model trains: {_some(resting)}.")
    if moving:
        said.append(f"weights are frozen and running statistics move in training mode: {_some(moving)}.")
    return said


def _trained(optimizer: torch.optim.Optimizer) -> set[int]:
    return {id(one) for group in optimizer.param_groups for one in group["params"]}


def _rests(model: nn.Module) -> bool:
    """Whether `eval()` was called on all of it. Batch norm alone is often kept there on purpose."""
    return not any(part.training for part in model.modules())


def _two_faced(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules that compute something else in evaluation mode."""
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)
    return [
        (name or type(part).__name__, part)
        for name, part in model.named_modules()
        if isinstance(part, kinds) and getattr(part, "p", 1.0) > 0
    ]


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
