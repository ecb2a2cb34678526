"""What numbers are made with: code, packages, processor and libraries, and how far the same numbers can be expected again.

bitwise    on a CPU with one thread: the same bits again with the same code, packages and kind of processor
rounding   elsewhere: sums are taken in another order, and what rounding starts, training may amplify
"""

from __future__ import annotations

import hashlib
import platform
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import losscope
from losscope.errors import DamagedRecord
from losscope.files import read_json, write_json
from losscope.study import NUMERICS_VERSION
from losscope.table import ENVIRONMENT, SCHEMA_VERSION

PACKAGES = ("torch", "numpy", "scipy", "pyarrow", "safetensors", "pydantic")

_MEANING = {
    "bitwise": "the same bits again with the same code, packages, libraries and kind of processor, alone or in a group",
    "rounding": "equal but for rounding, which training can amplify: sums are taken in an order that may change",
}


def environment(device: str, threads: int = 1) -> dict[str, Any]:
    """What numbers are made with here, on `device` with so many `threads` for each run."""
    level = "bitwise" if torch.device(device).type == "cpu" and threads == 1 else "rounding"
    return {
        "losscope": _version("losscope"),
        "code": _code(),
        "numerics": NUMERICS_VERSION,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "blas": _blas(),
        "threads_per_process": threads,
        "device": device,
        "cuda": _cuda(device),
        "determinism": {"level": level, "means": _MEANING[level]},
    }


def note(group: Path, device: str) -> None:
    """Add the environment to those that a group was trained in, unless it is the last of them."""
    path = group / ENVIRONMENT
    try:
        found: list[dict[str, Any]] = read_json(path)["environments"] if path.is_file() else []
    except DamagedRecord:
        found = [{}]  # one that nobody knows any more; no reason to lose what was trained
    present = environment(device)
    if found[-1:] != [present]:
        write_json(path, {"schema": SCHEMA_VERSION, "environments": [*found, present]})


@cache
def _code() -> str:
    """SHA-256 over the package's own files, shortened: a version does not tell two states of a checkout apart."""
    root, found = Path(losscope.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]


@cache
def _processor() -> str:
    """The kind of processor: where the system tells them, its name, family and model."""
    info = Path("/proc/cpuinfo")
    first = info.read_text("utf-8").split("\n\n")[0] if info.is_file() else ""
    told = dict(re.findall(r"^([^:\t]+?)\s*: (.+)$", first, re.MULTILINE))
    if "model name" not in told:
        return platform.processor() or platform.machine()
    numbers = [f"{name.removeprefix('cpu ')} {told[name]}" for name in ("cpu family", "model") if name in told]
    return " ".join([told["model name"], *([f"({', '.join(numbers)})"] if numbers else [])])


@cache
def _blas() -> str:
    """The library of torch's matrix products."""
    built = torch.__config__.show()
    name = re.search(r"BLAS_INFO=(\w+)", built)
    mkl = re.search(r"Math Kernel Library Version ([\w.-]+)", built)
    return " ".join([name[1] if name else "unknown", *([mkl[1]] if mkl else [])])


def _cuda(device: str) -> dict[str, Any] | None:
    """The GPU and its libraries; None on a CPU."""
    if torch.device(device).type != "cuda":
        return None
    return {
        "name": torch.cuda.get_device_name(device),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
