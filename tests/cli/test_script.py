"""A script without a main guard runs a study in several processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_plain_script_with_two_processes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import losscope\n"
        "study = losscope.load_study('quick', ['seeds=1', 'protocol.epochs=1'])\n"
        f"result = losscope.run(study, out={str(tmp_path / 'o')!r}, jobs=2)\n"
        "print(len(result.records), len(result.failed))\n"
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout.split() == ["8", "0"], ran.stderr
