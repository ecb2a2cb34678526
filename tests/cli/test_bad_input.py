"""The gallery of bad input: a clear error, exit code 2 or 1, no traceback, nothing lost."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cli.conftest import TINY, Called, Cli
from losscope.table import read_group

FEATURES = """
name = "mine"
seeds = 1
[[data]]
name = "features"
path = "{path}"
[[protocol]]
name = "p"
epochs = 1
[[loss]]
name = "contrastive"
[[loss]]
name = "triplet"
"""


def refused(called: Called, *words: str) -> None:
    """The command ended with exit code 2 and one paragraph that has these words."""
    assert called.code == 2, called
    message = called.err
    assert "Traceback" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "quik"], ["unknown study 'quik'", "did you mean 'quick'"]),
        (["study", "nowhere.toml"], ["no study file at nowhere.toml"]),
        (["study", "quick", "--set", "protocol.epoch=3"], ["'epoch'", "did you mean 'epochs'"]),
        (["study", "quick", "--set", "protocol.batch.term=3"], ["'term'", "did you mean 'terms'"]),
        (["study", "quick", "--set", "sead=3"], ["'sead'", "did you mean 'seeds'"]),
        (["study", "quick", "--set", "protocol.epochs=two"], ["protocol.0.epochs", "'two'"]),
        (["study", "quick", "--set", "protocol.epochs=0"], ["protocol.0.epochs"]),
        (["study", "quick", "--set", "protocol.optimizer.lr=-1"], ["protocol.0.optimizer.lr"]),
        (["study", "quick", "--set", "protocol.optimizer.name=adamm"], ["'adam'"]),
        (["study", "quick", "--set", "seeds=0"], ["seeds = 0"]),
        (["study", "quick", "--set", "seeds=[1, 1]"], ["seeds"]),
        (["study", "quick", "--set", "protocol.epochs"], ["KEY=VALUE"]),
        (["study", "quick", "--set", "name.x=1"], ["nothing to set"]),
        (["study", "quick", "--set", "loss.triplet.name=triplett"], ["did you mean 'triplet'"]),
        (["study", "quick", "--set", "loss.triplet.margn=1.0"], ["'margn'", "did you mean 'margin'"]),
        (["study", "quick", "--set", "loss.triplet.margin=wide"], ["margin", "'wide'"]),
        (["study", "quick", "--set", "loss.triplet.margin=-1.0"], ["margin", "-1.0"]),
        (["study", "quick", "--set", "loss.triplet.squared=1"], ["squared", "true or false"]),
        (["study", "quick", "--set", "data.digits.name=digit"], ["did you mean 'digits'"]),
        (["study", "quick", "--set", "data.synthetic.dificulty=0.5"], ["did you mean 'difficulty'"]),
        (["study", "quick", "--set", "data.synthetic.difficulty=hard"], ["difficulty", "'hard'"]),
        (["study", "quick", "--set", "protocol.model.name=mlpp"], ["did you mean 'mlp'"]),
        (["study", "quick", "--set", "protocol.model.name=convnet"], ["convnet", "images"]),
        (["study", "quick", "--set", "protocol.data=[\"digit\"]"], ["digit"]),
        (["study", "quick", "--set", "protocol.batch.mining=semi_hard"], ["all_in_batch"]),
        (["study", "quick", "--device", "cuda:99"], ["cuda:99", "cpu"]),
        (["study", "paper_a_mnist", "--data", "/nonexistent"], ["mnist", "/nonexistent"]),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else None,
)  # fmt: skip
def test_study_refuses(cli: Cli, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    called = cli(*arguments, "--out", tmp_path / "o", *(TINY if "seeds" not in " ".join(arguments) else ()))
    refused(called, *words)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table", "EMPTY"], ["no study in"]),
        (["report", "EMPTY"], ["no study in"]),
        (["list", "lossess"], ["did you mean 'losses'"]),
        (["data", "fetch", "mnistt", "--data", "EMPTY"], ["did you mean 'mnist'"]),
        (["data", "fetch", "mnist"], ["data folder"]),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else None,
)
def test_other_verbs_refuse(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.delenv("LOSSCOPE_DATA", raising=False)
    refused(cli(*[tmp_path if part == "EMPTY" else part for part in arguments]), *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["name"]),
        (b"name = ", ["not valid TOML"]),
        (b"\xff\xfe\x00", ["TOML"]),
        (b'name = "x"\nseeds = 1\n', ["data"]),
    ],
)
def test_study_file_that_is_none(cli: Cli, tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(content)
    refused(cli("study", path, "--out", tmp_path / "o"), *words)


def features(tmp_path: Path, **arrays: np.ndarray) -> Path:
    """A study of a user's own features."""
    np.savez(tmp_path / "f.npz", **arrays)
    study = tmp_path / "s.toml"
    study.write_text(FEATURES.format(path=tmp_path / "f.npz"))
    return study


GOOD = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
LABELS = np.repeat(np.arange(4), 10)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"features": GOOD, "label": LABELS[:-1]}, ["40", "39"]),
        ({"features": np.where(GOOD > 2, np.nan, GOOD), "label": LABELS}, ["NaN"]),
        ({"features": np.where(GOOD > 2, np.inf, GOOD), "label": LABELS}, ["infinite"]),
        ({"features": GOOD, "label": np.zeros(40, int)}, ["single class"]),
        ({"features": GOOD, "label": np.full(40, -1)}, ["outlier"]),
        ({"features": GOOD[:0], "label": LABELS[:0]}, ["at least one sample"]),
        ({"other": GOOD}, ["f.npz"]),
        ({"features": np.array([{}] * 40, dtype=object), "label": LABELS}, ["f.npz"]),
    ],
    ids=["lengths", "nan", "inf", "one class", "all outliers", "empty", "no labels", "pickled"],
)
def test_features_that_cannot_be_used(
    cli: Cli, tmp_path: Path, arrays: dict[str, np.ndarray], words: list[str]
) -> None:
    refused(cli("study", features(tmp_path, **arrays), "--out", tmp_path / "o", "--jobs", 1), *words)
    assert not (tmp_path / "o").exists()


def test_a_class_with_one_sample_is_allowed(cli: Cli, tmp_path: Path) -> None:
    lone = LABELS.copy()
    lone[0] = 9
    called = cli("study", features(tmp_path, features=GOOD, label=lone), "--out", tmp_path / "o", "--jobs", 1)
    assert called.code == 0, called.err


def test_truncated_features(cli: Cli, tmp_path: Path) -> None:
    study = features(tmp_path, features=GOOD, label=LABELS)
    path = tmp_path / "f.npz"
    path.write_bytes(path.read_bytes()[:200])
    refused(cli("study", study, "--out", tmp_path / "o", "--jobs", 1), "f.npz")


def test_folder_of_another_study_is_refused(cli: Cli, tmp_path: Path) -> None:
    assert cli("study", "quick", "--out", tmp_path / "o", *TINY).code == 0
    before = (tmp_path / "o" / "study.json").read_text()
    refused(
        cli("study", "quick", "--out", tmp_path / "o", *TINY, "--epochs", 2),
        "holds another study",
        "protocol",
    )
    assert (tmp_path / "o" / "study.json").read_text() == before


def test_folder_that_is_something_else(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    refused(cli("study", "quick", "--out", tmp_path, *TINY), "not empty")
    refused(cli("study", "quick", "--out", tmp_path / "notes.txt", *TINY), "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_folder_that_cannot_be_written(cli: Cli) -> None:
    refused(cli("study", "quick", "--out", "/proc/losscope", *TINY), "/proc/losscope")


def test_diverging_learning_rate_is_a_status(cli: Cli, tmp_path: Path) -> None:
    called = cli("study", "quick", "--out", tmp_path / "o", *TINY, "--set", "protocol.optimizer.lr=1e30", "--json")
    assert called.code == 0, called.err
    assert called.json()["diverged"] == 6
    assert "diverged at step" in called.err


def test_damaged_record_is_named(cli: Cli, tmp_path: Path) -> None:
    cli("study", "quick", "--out", tmp_path / "o", *TINY)
    path = next((tmp_path / "o").glob("groups/*contrastive*/measurements.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    called = cli("table", tmp_path / "o", "--format", "json")
    assert called.code == 1
    shown, lost = {row["run"] for row in called.json()}, set(read_group(path.parent)["runs"])
    assert shown
    assert not shown & lost
    assert str(path) in called.err
    assert "losscope repair" in called.err


def test_full_disk_ends_with_1_and_the_next_try_goes_on(tmp_path: Path, cli: Cli) -> None:
    """A limit on file sizes stands for a full disk: every write beyond it fails."""
    out = tmp_path / "o"
    command = [sys.executable, "-m", "losscope", "study", "quick", "--out", str(out), *TINY]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    ran = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=300)
    assert ran.returncode == 1, ran.stderr
    assert "Traceback (most recent call last)" not in ran.stderr
    again = cli("study", "quick", "--out", out, *TINY)
    assert again.code == 0, again.err
    assert (out / "report.html").is_file()


def test_losses_that_tables_cannot_tell_apart(cli: Cli, tmp_path: Path) -> None:
    study = features(tmp_path, features=GOOD, label=LABELS)
    twice = study.read_text() + '[[loss]]\nname = "triplet"\nsquared = true\n'
    study.write_text(twice)
    refused(cli("study", study, "--out", tmp_path / "o"), "differ in name or variant")
    study.write_text(FEATURES.format(path=tmp_path / "f.npz") + "squared = []\n")
    refused(cli("study", study, "--out", tmp_path / "o"), "its list is empty")
