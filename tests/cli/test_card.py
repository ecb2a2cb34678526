"""`losscope card`: what it prints, and what it never loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cli.conftest import Cli
from losscope.cards import CARDS, card


@pytest.mark.parametrize("name", CARDS)
def test_a_card_for_reading(cli: Cli, name: str) -> None:
    called = cli("card", name, "--dim", 64)
    assert called.code == 0, called.err
    assert called.err == ""
    found = CARDS[name]
    assert found.title in called.out
    assert found.equation in called.out
    for part in (
        "floor",
        "collapse",
        "random, dim 64",
        "gradient ≤",
        "Elsewhere",
        "Degenerate batches",
        found.demands(),
    ):
        assert part in " ".join(called.out.split())  # a terminal breaks lines
    assert all(key in called.out for key in found.defaults)
    assert f"{found.collapse_value():.4g}" in called.out
    assert f"{found.random_value(dim=64):.4g}" in called.out
    assert "█" in called.out
    assert "-0 " not in called.out


@pytest.mark.parametrize("name", CARDS)
def test_a_card_as_json(cli: Cli, name: str) -> None:
    document = cli("card", name, "--json", "--classes", 20, "--per-class", 4, "--batch-classes", 8, "--dim", 32).json()
    composition = {"classes": 20, "per_class": 4, "batch_classes": 8}
    found = CARDS[name]
    assert document["floor"] == found.floor(**composition)
    assert document["collapse_value"] == found.collapse_value(**composition)
    assert document["random_value"] == found.random_value(dim=32, **composition)
    assert document["composition"] == {**composition, "sampling": "all_in_batch", "dim": 32}
    assert {one["name"]: one["default"] for one in document["hyperparameters"]} == found.defaults
    place = document["curve"]["similarity"].index(0.5)
    for side in ("positive", "negative"):
        response = getattr(found, side)(0.5, **composition)
        assert (document["curve"][side]["value"][place], document["curve"][side]["pull"][place]) == response
    assert document["elsewhere"][0].keys() == {"library", "function", "says", "basis"}


def test_hyperparameters_and_one_tuple(cli: Cli) -> None:
    document = cli(
        "card", "sup_con", "--set", "temperature=0.5", "--set", "sum_outside=false", "--one-tuple", "--json"
    ).json()
    found = card("sup_con", temperature=0.5, sum_outside=False)
    assert document["floor"] == found.floor(sampling="one_tuple")
    assert document["bound"] == 4
    assert cli("card", "n_pair", "--set", "unit_length=false", "--json").json()["bound"] is None
    assert "unbounded" in cli("card", "n_pair", "--set", "unit_length=false").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tripplet"], "unknown loss 'tripplet'; did you mean 'triplet'?"),
        (["arcface", "--set", "margn=0.3"], "did you mean 'margin'?"),
        (["arcface", "--set", "scale=0"], "expected a positive, finite number"),
        (["arcface", "--set", "scale"], "expected KEY=VALUE"),
        (["sup_con", "--per-class", "1"], "has no term without a positive"),
        (["sup_con", "--classes", "1"], "expected at least 2"),
        (["sup_con", "--dim", "1"], "expected at least 2"),
    ],
)
def test_bad_input(cli: Cli, arguments: list[str], said: str) -> None:
    called = cli("card", *arguments)
    assert called.code == 2
    assert said in called.err
    assert called.out == ""


@pytest.mark.parametrize("arguments", [["sup_con"], ["arcface", "--dim", "16", "--json"]])
def test_a_card_stays_free_of_torch(arguments: list[str]) -> None:
    program = (
        "import sys; sys.argv = ['losscope', 'card', *sys.argv[1:]]\n"
        "from losscope.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"


def test_list_says_the_floors(cli: Cli) -> None:
    for entry in cli("list", "losses", "--json").json():
        found = CARDS[entry["name"]]
        at = {key: value for key, value in entry["floor_at"].items() if key != "hyperparameters"}
        assert at == {"classes": 10, "per_class": 5, "batch_classes": None, "sampling": "all_in_batch"}
        assert entry["floor_at"]["hyperparameters"] == found.defaults
        assert entry["floor"] == found.floor(**at)
        assert entry["collapse_value"] == found.collapse_value(**at)
        assert (entry["kind"], entry["saturates"]) == (found.kind, found.saturates)
