"""`losscope diagnose`: one screen, a gate that ends with 3, errors of one paragraph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cli.conftest import Cli


def blobs(spread: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 12)
    return (random.standard_normal((6, 5))[labels] + spread * random.standard_normal((72, 5))).astype("f"), labels


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (worse, labels), (better, _) = blobs(1.5), blobs(0.3)
    np.savez(tmp_path / "worse.npz", embeddings=worse, label=labels)
    np.savez(tmp_path / "better.npz", embeddings=better, label=labels)
    return tmp_path


@pytest.mark.parametrize(
    ("condition", "code"),
    [("map_at_r.low < -0.01", 3), ("map_at_r.low < -1", 0), ("this.recall_at_1 < 2 and cka < 2", 3), ("map_at.low < 0", 2),
     ("map_at_r.low ! 0", 2)],
)  # fmt: skip
def test_a_gate_ends_with_3(cli: Cli, files: Path, condition: str, code: int) -> None:
    called = cli("diagnose", files / "worse.npz", "--against", files / "better.npz", "--fail-if", condition, "--json")
    assert called.code == code, called.err
    if code != 2:
        assert called.json()["comparison"]["differences"]["map_at_r"]["mean"] < 0
    else:
        assert "Error:" in called.err


def test_the_terminal_says_it_in_one_screen(cli: Cli, files: Path) -> None:
    called = cli("diagnose", files / "worse.npz", "--labels", "label", "--out", files / "out", "--k", 1, "--k", 3)
    assert called.code == 0, called.err
    for words in ("How good is it?", "Where does it fail?", "Does it collapse?", "Recall@3", "report.html"):
        assert words in called.out
    assert len(called.out.splitlines()) < 30
    assert (files / "out" / "report.html").is_file()


def test_bad_files_are_errors_of_one_paragraph(cli: Cli, files: Path) -> None:
    path = files / "worse.npz"
    path.write_bytes(path.read_bytes()[:300])
    called = cli("diagnose", path)
    assert called.code == 2
    assert "worse.npz can't be read" in called.err
    assert "Traceback" not in called.err
