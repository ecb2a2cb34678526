"""The wheel holds all that the program needs: built, installed into an empty environment, and run from there."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_wheel_in_an_empty_environment(tmp_path: Path) -> None:
    def run(*command: object) -> str:
        ran = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=tmp_path, timeout=900)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("losscope-*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt", wheel)
    said = run(tmp_path / "empty" / "bin" / "losscope", "study", "quick", "--out", tmp_path / "o", "--dry-run")
    assert "30 runs to do" in said
    where = run(python, "-c", "import losscope; print(losscope.__file__)")
    assert str(tmp_path / "empty") in where
