"""`losscope doctor`: exit codes, JSON, and errors in a person's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Cli

SCRIPT = """
import torch
from torch import nn

print("chatter of a script")
LIMIT = 3

def batches(classes):
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(12) % classes
    return [(torch.randn(12, 6, generator=random), labels)] * 2

def parts(classes=3):
    import losscope
    torch.manual_seed(0)
    model = nn.Linear(6, 8)
    criterion = losscope.Criterion("triplet", margin=0.2, normalize=True)
    return model, criterion, batches(classes), torch.optim.Adam(model.parameters())

def healthy():
    return parts()

def broken():
    return dict(zip(("model", "criterion", "loader", "optimizer"), parts(classes=1)), accumulation=2)

def three(): return parts()[:3]
def unknown(): return {"modell": 1}
def incomplete(): return {"model": parts()[0]}
def raising(): raise KeyError("images")
def ending(): raise SystemExit(4)
def no_batches(): return *parts()[:2], [], parts()[3]
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "a_training_script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_a_healthy_set_up_exits_with_0_and_a_broken_one_with_3(cli: Cli, script: Path) -> None:
    called = cli("doctor", f"{script}:healthy")
    assert called.code == 0, called.err
    assert called.out.startswith("passed: ")
    assert "0 issues" in called.out
    assert "chatter" in called.err
    called = cli("doctor", f"{script}:broken", "--batches", "1")
    assert called.code == 3
    assert "issue single-class-batches" in called.out
    assert "1 of 1 batches (100 %)" in called.out
    assert "note accumulation-adds-no-negatives" in called.out
    assert "Fix: Shuffle" in called.out


def test_json_is_one_document_with_every_check(cli: Cli, script: Path) -> None:
    called = cli("doctor", f"{script}:broken", "--json")
    assert called.code == 3
    document = called.json()
    found = {one["code"]: one for one in document["findings"]}
    assert found["single-class-batches"]["outcome"] == "issue"
    assert found["half-overflow"]["outcome"] == "not applicable"
    assert document["issues"] == sum(one["outcome"] == "issue" for one in document["findings"]) >= 2
    assert all(one["fix"] and one["why"] and one["detects"] for one in document["findings"])


def test_a_module_is_found_from_the_present_folder(cli: Cli, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(script.parent)
    assert cli("doctor", "a_training_script:healthy").code == 0


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (":helthy", "did you mean 'healthy'"),
        (":LIMIT", "is a int; expected a function"),
        (":three", "returned a tuple of 3; expected (model, criterion, loader, optimizer)"),
        (":unknown", "did you mean 'model'"),
        (":incomplete", "returned no criterion, loader, optimizer"),
        (":raising", "raised KeyError: 'images'"),
        (":ending", 'keep what runs under if __name__ == "__main__"'),
        (":no_batches", "the loader gave no batch"),
        ("", "names no factory; expected module:factory"),
        ("x.py:healthy", "no file"),
    ],
)
def test_bad_usage_exits_with_2_and_says_what_to_do(cli: Cli, script: Path, factory: str, said: str) -> None:
    called = cli("doctor", f"{script}{factory}")
    assert called.code == 2
    assert said in called.err
    assert "Traceback" not in called.err


def test_a_module_that_does_not_exist_is_named(cli: Cli) -> None:
    called = cli("doctor", "no_such_module_anywhere:make")
    assert called.code == 2
    assert "No module named 'no_such_module_anywhere'" in called.err
