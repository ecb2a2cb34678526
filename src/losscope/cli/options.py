"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, everything else on stderr.")]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Data folder (default: $LOSSCOPE_DATA).")]
