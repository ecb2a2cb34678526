"""The manifest of a study's folder: what its numbers were made with, one entry for each invocation."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from losscope.files import read_json, write_json
from losscope.study import NUMERICS_VERSION
from losscope.table import SCHEMA_VERSION

PACKAGES = ("torch", "numpy", "scipy", "pyarrow", "safetensors", "pydantic")


def add_invocation(
    folder: Path,
    *,
    seeds: Sequence[int],
    data: Mapping[str, Mapping[str, Any]],
    device: str,
    planned: int,
    finished_before: int,
) -> None:
    """Add this invocation to `folder`'s manifest: the runs it is to train, and what it found there."""
    path = folder / "manifest.json"
    manifest: dict[str, Any] = read_json(path) if path.is_file() else {"schema": SCHEMA_VERSION, "invocations": []}
    manifest["data"] = manifest.get("data", {}) | dict(data)
    manifest["invocations"].append(
        {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": sys.argv,
            "losscope": _version("losscope"),
            "numerics": NUMERICS_VERSION,
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in PACKAGES},
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "device": device,
            "threads_per_process": 1,
            "seeds": list(seeds),
            "runs_planned": planned,
            "runs_finished_before": finished_before,
        }
    )
    write_json(path, manifest)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
