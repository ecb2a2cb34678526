"""The examples run as a reader would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_your_own_loss(tmp_path: Path) -> None:
    said = run("your_own_loss.py", str(tmp_path / "o"))
    assert "10 runs" in said  # 3 seeds x 3 variants, and the inputs once: digits are the same for all seeds
    assert (tmp_path / "o" / "report.html").is_file()


def test_your_own_loop() -> None:
    recall = float(run("your_own_loop.py").rsplit(" ", 1)[1])
    assert 0.9 < recall < 1


def test_losses_of_pml(tmp_path: Path) -> None:
    said = run("losses_of_pml.py", str(tmp_path / "o"))
    assert "multi_similarity: active ratio 1.00" in said
    assert "proxy_anchor: active ratio 1.00" in said
    assert "10 runs" in said  # 3 seeds x 3 losses, and the inputs once
    assert (tmp_path / "o" / "report.html").is_file()


def test_your_own_embeddings(tmp_path: Path) -> None:
    said = run("your_own_embeddings.py", str(tmp_path))
    assert "lowest MAP@R: a digit 8" in said
    assert "a quarter of the dimensions: MAP@R -0.078" in said
    assert (tmp_path / "report.html").is_file()


def test_monitors_in_loops_of_others(tmp_path: Path) -> None:
    assert "loss 8.23 -> 0." in run("monitor_cross_modal.py", str(tmp_path / "pairs"))
    assert "active negative pairs 1.00 -> 0.1" in run("monitor_pml.py", str(tmp_path / "pml"))
    assert "30 steps, Recall@1 0.9" in run("monitor_lightning.py", str(tmp_path / "lightning"))
    assert "8 steps, loss 2." in run("monitor_sentence_transformers.py", str(tmp_path / "sentences"))
    assert all((tmp_path / name / "study.json").is_file() for name in ("pairs", "pml", "lightning", "sentences"))
