"""Two processes under DistributedDataParallel: what is gathered is the whole batch, and training is the same bits."""

from __future__ import annotations

import json
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import losscope
from losscope import diagnostics
from losscope.monitor import Monitor, every, tap
from losscope.monitor.buffer import Step
from losscope.monitor.measuring import scalars

STEPS, SIZES = 5, (6, 4)  # rows of the two processes
WAIT = 300  # seconds, on a machine that has much else to do
RANDOM = torch.Generator().manual_seed(0)
INPUTS, LABELS = (
    torch.randn(STEPS, sum(SIZES), 5, generator=RANDOM),
    torch.arange(STEPS * sum(SIZES)).view(STEPS, -1) % 3,
)


def matched(first: Tensor, second: Tensor) -> Tensor:
    return F.cross_entropy(first @ second.T / 0.1, torch.arange(len(first)))


def train(
    rank: int, out: Path, *, watched: bool, pairs: bool
) -> tuple[Monitor | None, list[Tensor], list[dict[str, Tensor]]]:
    """What one process does: its rows of each batch, a criterion that sees these alone."""
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Linear(5, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    criterion: Any = matched if pairs else losscope.Criterion("contrastive", margin=2.0)
    monitor = None
    if watched:
        monitor = Monitor(
            out=out, gather=True, batch=every(2), terms=every(2), full=every(4), optimizer=optimizer, strict=True
        )
        criterion = tap(criterion, monitor)
    seen = []
    for step in range(STEPS):
        rows = slice(0, SIZES[0]) if rank == 0 else slice(SIZES[0], None)
        embeddings = model(INPUTS[step, rows])
        embeddings.retain_grad()
        other = (embeddings.detach().flip(1),) if pairs else (LABELS[step, rows],)
        loss = criterion(embeddings, *other)
        optimizer.zero_grad()
        loss.backward()
        if monitor is not None and rank == 0 and step == 2:
            monitor.state_dict()  # by one process alone, with a step that waits: nothing is gathered here
        optimizer.step()
        seen.append({"z": embeddings.detach(), "g": embeddings.grad, "loss": loss.detach()})
    if monitor is not None:
        monitor.close()
    return monitor, [*model.state_dict().values(), torch.get_rng_state()], seen


def child(rank: int, folder: str, pairs: bool) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=WAIT))
    _, alone, _ = train(rank, Path(folder), watched=False, pairs=pairs)
    monitor, state, seen = train(rank, Path(folder) / "run", watched=True, pairs=pairs)
    assert monitor is not None
    assert all(torch.equal(one, other) for one, other in zip(alone, state, strict=True))
    torch.save({"seen": seen, "count": monitor.count, "lines": monitor.lines}, f"{folder}/{rank}.pt")
    distributed.barrier()
    distributed.destroy_process_group()


def run(folder: Path, *, pairs: bool) -> list[dict[str, Any]]:
    context = get_context("spawn")
    processes = [context.Process(target=child, args=(rank, str(folder), pairs)) for rank in range(2)]
    for one in processes:
        one.start()
    waiting: dict[Any, Any] = {one.sentinel: one for one in processes}
    try:
        while waiting:
            ended = wait(waiting, WAIT)
            assert ended, "processes hang"
            for one in [waiting.pop(sentinel) for sentinel in ended]:
                one.join()
                assert one.exitcode == 0  # nor is the other one waited for
    finally:
        for one in processes:
            one.kill()
            one.join()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("pairs", [False, True])
def test_the_first_process_measures_the_rows_of_all(
    tmp_path: Path, pairs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first, second = run(tmp_path, pairs=pairs)
    assert (first["count"], second["count"], second["lines"]) == (STEPS, STEPS, [])
    assert [line["step"] for line in first["lines"]] == [*range(STEPS)]
    for step, line in enumerate(first["lines"]):
        assert line["loss"] == [first["seen"][step]["loss"].item()]  # its own
        assert ("batch_size" in line) is (step % 2 == 0)
        if step % 2 == 0:
            expected = directly(step, first["seen"][step], second["seen"][step], pairs)
            assert {name: line[name][0] for name in expected} == pytest.approx(expected, rel=1e-5)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["process"] == "rank 0 of 2, the rows of all"


def directly(step: int, first: dict[str, Tensor], second: dict[str, Tensor], pairs: bool) -> dict[str, float]:
    """The same of the whole batch, with the gradient that the average over processes applies."""
    rows, gradient = (torch.cat([first[name], second[name]]) for name in ("z", "g"))
    labels = LABELS[step]
    if pairs:
        rows, gradient = torch.cat([rows, rows.flip(1)]), torch.cat([gradient, torch.zeros_like(gradient)])
        labels = torch.arange(10).repeat(2)
    found = {name: value.item() for name, value in scalars([Step(0, rows, gradient / 2, labels)]).items()}
    del found["intra_class_variance_batch_unbiased"]
    assert found["batch_size"] == (20 if pairs else 10)
    assert found["gradient_norm_embedding"] == pytest.approx(gradient.norm().item() / 2)
    if step % 4 == 0:
        unit = F.normalize(rows, dim=-1)
        found["gradient_pull"] = diagnostics.gradient_pull(
            unit, gradient / 2 * rows.norm(dim=-1, keepdim=True), labels
        ).item()
    return found


def test_of_one_process_the_rows_are_all() -> None:
    criterion = losscope.Criterion("contrastive")
    with Monitor(criterion, gather=True, strict=True) as monitor:
        criterion(torch.randn(6, 4, requires_grad=True), LABELS[0, :6]).backward()
    assert monitor.lines[0]["batch_size"] == [6.0]
