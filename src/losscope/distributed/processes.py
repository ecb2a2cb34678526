"""A criterion in processes of its own, which talk through gloo on the loopback interface alone and never outlive a call."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from losscope.errors import InvalidInput

Factory = Callable[[], Callable[..., Tensor]]
"""Makes a criterion, in each process anew."""


class Result(NamedTuple):
    """What one process got: the loss, and gradients of its rows and of the criterion's own parameters."""

    loss: float
    rows: list[Tensor]  # for each argument that is differentiated, (samples of this process, dim)
    parameters: list[Tensor]


def run(jobs: Sequence[tuple[Factory, list[list[Tensor]]]], seed: int, timeout: float) -> list[list[Result]]:
    """Each job is a criterion and the arguments of each of its processes, which form one group. All run at once.

    Raises InvalidInput where a factory can't be sent to another process, where a process fails, and after `timeout`
    seconds.
    """
    context = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        started = []
        try:
            for number, (factory, batches) in enumerate(jobs):
                group = Path(folder) / str(number)
                group.mkdir()
                for rank, arguments in enumerate(batches):
                    (group / f"{rank}.pt.in").write_bytes(_sent((factory, arguments)))
                    given = (str(group), rank, len(batches), seed, timeout)
                    process = context.Process(target=_child, args=given, daemon=True)
                    process.start()
                    started.append((group, rank, process))
            _wait(started, timeout)
            found: list[list[Result]] = [[] for _ in jobs]
            for group, rank, _ in started:
                found[int(group.name)].append(Result(*torch.load(group / f"{rank}.pt", weights_only=True)))
            return found
        finally:
            for _, _, process in started:
                if process.is_alive():
                    process.kill()
                process.join()
                process.close()


def _sent(what: Any) -> bytes:
    try:
        return pickle.dumps(what)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidInput(
            f"the criterion's factory can't be sent to another process ({error}); give a function at the top of a module"
        ) from None


def _wait(started: Sequence[tuple[Path, int, Any]], timeout: float) -> None:
    end = time.monotonic() + timeout
    while any(process.is_alive() for *_, process in started):
        _refuse_failures(started)
        if time.monotonic() > end:
            raise InvalidInput(
                f"the criterion did not end within {timeout:g} seconds; expected each process to take part in the same "
                "collective calls: one that waits for another for ever, or raise timeout="
            )
        time.sleep(0.02)
    _refuse_failures(started)


def _refuse_failures(started: Sequence[tuple[Path, int, Any]]) -> None:
    """The one that failed first is the cause; others fail because it is gone."""
    failures = [group / f"{rank}.error" for group, rank, process in started if process.exitcode]
    said = sorted((path for path in failures if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    if failures:
        words = said[0].read_text(encoding="utf-8") if said else "it ended without a word"
        raise InvalidInput(f"the criterion failed in process {(said or failures)[0].stem}: {words}")


def _child(group: str, rank: int, world: int, seed: int, timeout: float) -> None:
    folder = Path(group)
    try:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
        torch.set_num_threads(1)
        store = torch.distributed.FileStore(str(folder / "store"), world)  # type: ignore[attr-defined]
        torch.distributed.init_process_group(
            "gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=timeout)
        )
        factory, arguments = pickle.loads((folder / f"{rank}.pt.in").read_bytes())
        torch.manual_seed(seed)
        result = _result(factory(), arguments)
        torch.save(tuple(result), folder / f"{rank}.pt")
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    except BaseException as error:
        text = traceback.format_exception_only(error)[-1].strip()
        (folder / f"{rank}.error").write_text(text, encoding="utf-8")
        os._exit(1)


def _result(criterion: Callable[..., Tensor], arguments: list[Tensor]) -> Result:
    given = [one.requires_grad_() if one.is_floating_point() else one for one in arguments]
    loss = criterion(*given)
    if not loss.requires_grad:
        raise RuntimeError("the loss has no gradient: what it was computed from was gathered without one")
    loss.backward()  # type: ignore[no-untyped-call]
    own = list(criterion.parameters()) if isinstance(criterion, nn.Module) else []
    return Result(
        loss.item(),
        [torch.zeros_like(one) if one.grad is None else one.grad for one in given if one.requires_grad],
        [torch.zeros_like(one) if one.grad is None else one.grad for one in own],
    )
