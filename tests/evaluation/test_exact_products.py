"""Products of an evaluation are exact, and the settings of the caller's training are as they were."""

from __future__ import annotations

import subprocess
import sys

import pytest

SETTINGS = {
    "as it comes": "pass",
    "for all places together": "torch.set_float32_matmul_precision('medium')",
    "allow_tf32": "torch.backends.cuda.matmul.allow_tf32 = True",
    "for one place": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "for everything": "torch.backends.fp32_precision = 'tf32'",
}
PROGRAM = """
import torch
from torch import backends
from losscope.evaluation.precision import exact_products
{setting}
places = backends.cuda.matmul, backends.mkldnn.matmul
before = [place.fp32_precision for place in places]
with exact_products(torch.device("cpu")):
    assert [place.fp32_precision for place in places] == ["ieee", "ieee"]
assert [place.fp32_precision for place in places] == before
if "backends.fp32_precision" in {setting!r}:  # goes on being followed
    backends.fp32_precision = "ieee"
    assert [place.fp32_precision for place in places] == ["ieee", "ieee"]
"""


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_settings_are_as_they_were(setting: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(setting=setting)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
