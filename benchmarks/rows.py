"""Rows of measurements: how one is timed, written down and printed, and on which machine."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

Row = dict[str, Any]


def cpu_seconds(work: Callable[..., object], *given: object) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work(*given)
    return time.process_time() - start


def divided(above: Iterable[float], below: Iterable[float]) -> list[float]:
    """Ratios of what was measured in the same repetition."""
    return [a / b for a, b in zip(above, below, strict=True)]


def row(loss: str, name: str, unit: str, values: Sequence[float], **beside: Any) -> Row:
    """One measurement with its repetitions; `beside` says what it should reach."""
    return {
        "loss": loss,
        "name": name,
        "unit": unit,
        "n": len(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "values": list(values),
        **beside,
    }


def machine() -> dict[str, Any]:
    """The processor and the versions that the rows were measured with."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": len(models) or None,
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("losscope", "torch", "pytorch-metric-learning", "numpy")},
    }


def finish(out: Path, settings: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write the rows to `out` and print them."""
    out.write_text(json.dumps({"machine": machine(), "settings": settings, "rows": rows}, indent=1) + "\n")
    names = max(len(line["name"]) for line in rows)
    for line in rows:
        aims = "".join(f"; {aim} {line[aim]:g}" for aim in ("bar", "goal") if aim in line)
        print(
            f"{line['loss']:18} {line['name']:{names}} {line['median']:9.3f}  ({line['min']:.3f} to {line['max']:.3f}, "
            f"n = {line['n']})  {line['unit']}{aims}"
        )
