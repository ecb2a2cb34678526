"""losscope: what a metric-learning loss does to embeddings and to training, and whether one is really better.

The doors load what they need when they are first used, so that importing losscope doesn't import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losscope import claims, diagnostics, doctor, evaluation, losses
    from losscope.cards import card
    from losscope.criterion import Criterion
    from losscope.diagnosis.door import diagnose
    from losscope.distributed import verify_distributed
    from losscope.integrations.pml import from_pml
    from losscope.monitor import Monitor, tap
    from losscope.receipts.merging import merge
    from losscope.receipts.repairing import repair
    from losscope.receipts.verifying import rerun, verify
    from losscope.report import write_report
    from losscope.studies import load as load_study
    from losscope.study import Study
    from losscope.study import parse as parse_study
    from losscope.summary.pairing import compare
    from losscope.sweep.drive import StudyResult, run
    from losscope.types import Loss, LossTerms

__version__ = "0.1.0"

_DOORS = {
    "Criterion": "losscope.criterion",
    "Loss": "losscope.types",
    "LossTerms": "losscope.types",
    "Monitor": "losscope.monitor",
    "Study": "losscope.study",
    "StudyResult": "losscope.sweep.drive",
    "card": "losscope.cards",
    "claims": "losscope.claims",
    "compare": "losscope.summary.pairing",
    "diagnose": "losscope.diagnosis.door",
    "diagnostics": "losscope.diagnostics",
    "doctor": "losscope.doctor",
    "evaluation": "losscope.evaluation",
    "from_pml": "losscope.integrations.pml",
    "load_study": "losscope.studies",
    "losses": "losscope.losses",
    "merge": "losscope.receipts.merging",
    "parse_study": "losscope.study",
    "repair": "losscope.receipts.repairing",
    "rerun": "losscope.receipts.verifying",
    "run": "losscope.sweep.drive",
    "tap": "losscope.monitor",
    "verify": "losscope.receipts.verifying",
    "verify_distributed": "losscope.distributed",
    "write_report": "losscope.report",
}

__all__ = [
    "Criterion", "Loss", "LossTerms", "Monitor", "Study", "StudyResult", "card", "claims", "compare", "diagnose", "diagnostics",
    "doctor", "evaluation", "from_pml", "load_study", "losses", "merge", "parse_study", "repair", "rerun", "run", "tap", "verify",
    "verify_distributed", "write_report",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module 'losscope' has no attribute '{name}'")
    module = import_module(_DOORS[name])
    if module.__name__ == f"losscope.{name}":
        return module
    return getattr(module, name.removesuffix("_study"))


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
