"""The verbs: what they print, what they write, how they exit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.conftest import TINY, Cli
from losscope.table import MEASUREMENT


def test_study_writes_record_and_report(cli: Cli, tmp_path: Path) -> None:
    called = cli("study", "quick", "--out", tmp_path / "o", *TINY)
    assert called.code == 0, called.err
    assert (tmp_path / "o" / "report.html").is_file()
    assert (tmp_path / "o" / "report.md").is_file()
    assert "contrastive" in called.out
    assert "losscope study quick" in called.out  # the command that repeats the run
    manifest = json.loads((tmp_path / "o" / "manifest.json").read_text())
    assert manifest["invocations"][0]["packages"]["torch"]
    assert manifest["data"]["digits"]["split_protocol"] == "stratified_half"
    assert set(manifest["data"]["synthetic"]["fingerprints"]) == {"0"}


def test_json_is_one_document_on_stdout_and_nothing_else(cli: Cli, tmp_path: Path) -> None:
    called = cli("study", "quick", "--out", tmp_path / "o", *TINY, "--json")
    document = called.json()
    assert document["runs"] == 8  # 2 data sets x (3 losses + inputs)
    assert document["failed"] == 0
    again = cli("study", "quick", "--out", tmp_path / "o", *TINY, "--json").json()
    assert again["runs"] == 0
    assert again["finished_before"] == 8


def test_table_selects_rows(cli: Cli, tmp_path: Path) -> None:
    cli("study", "quick", "--out", tmp_path / "o", *TINY, "--set", "protocol.epochs=2")
    rows = cli("table", tmp_path / "o", "--format", "json", "--diagnostic", "recall_at_k", "--epoch", "last").json()
    assert rows
    assert list(rows[0]) == MEASUREMENT.names
    assert {row["item"] for row in rows} == {1, 5, 10}
    assert {row["epoch"] for row in rows if row["loss"] == "none"} == {0}
    assert {row["epoch"] for row in rows if row["loss"] != "none"} == {2}
    assert {row["step"] for row in rows} == {None}
    assert {row["diagnostic"] for row in rows} == {"recall_at_k"}
    assert {row["split"] for row in cli("table", tmp_path / "o", "--format", "json", "--split", "heldout").json()} == {
        "heldout"
    }
    steps = cli("table", tmp_path / "o", "--format", "json", "--steps", "--diagnostic", "gradient_norm").json()
    assert all(row["step"] >= 1 for row in steps)
    csv = cli("table", tmp_path / "o", "--format", "csv", "--diagnostic", "loss_decay_epoch").out
    assert csv.splitlines()[0].replace('"', "").startswith("run,dataset,protocol")


def test_dry_run_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    called = cli("study", "quick", "--out", tmp_path / "o", "--dry-run", "--json")
    document = called.json()
    assert document["runs"] == 30
    assert len(document["cells"]) == 6
    assert document["seconds"] > 0
    assert not (tmp_path / "o").exists()


def test_list_names_everything(cli: Cli) -> None:
    losses = {entry["name"]: entry for entry in cli("list", "losses", "--json").json()}
    assert losses["contrastive"]["kind"] == "pair"
    assert losses["triplet"]["saturates"] is True
    everything = cli("list", "--json").json()
    assert "quick" in {entry["name"] for entry in everything["studies"]}
    assert "effective_rank" in {entry["name"] for entry in everything["diagnostics"]}
    assert "synthetic" in cli("list", "data").out


@pytest.mark.parametrize("arguments", [["--help"], ["report", "RECORD"], ["table", "RECORD"], ["list", "studies"]])
def test_reading_stays_free_of_torch(cli: Cli, tmp_path: Path, arguments: list[str]) -> None:
    record = tmp_path / "o"
    if "RECORD" in arguments:
        cli("study", "quick", "--out", record, *TINY)
    given = [str(record) if part == "RECORD" else part for part in arguments]
    program = (
        "import sys; sys.argv = ['losscope', *sys.argv[1:]]\n"
        "from losscope.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True, check=True)
    assert ran.stderr.strip().splitlines()[-1] == "False"


def test_interrupted_leaves_a_readable_record_and_goes_on(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "o"
    command = [
        sys.executable,
        "-m",
        "losscope",
        "study",
        "quick",
        "--out",
        str(out),
        "--jobs",
        "2",
        "--seeds",
        "1",
        "--epochs",
        "400",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(out.glob("groups/*/epochs.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    rows = cli("table", out, "--format", "json", "--diagnostic", "loss").json()
    assert rows
    assert cli("report", out).code == 0
