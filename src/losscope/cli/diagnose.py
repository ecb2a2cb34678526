"""`losscope diagnose`: embeddings and labels in, retrieval quality and geometry out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from losscope.cli.console import out, print_json
from losscope.cli.options import AsJson


def diagnose(
    embeddings: Annotated[
        str,
        typer.Argument(metavar="EMBEDDINGS", help="npy, npz, parquet, safetensors or csv; FILE::NAME names a column."),
    ],
    labels: Annotated[str | None, typer.Option(help="A file, or the name of a column beside the embeddings.")] = None,
    similarity: Annotated[str, typer.Option(help="cosine, euclidean or inner_product.")] = "cosine",
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for diagnosis.json, rows.parquet and report.html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How good embeddings are, where they fail, and whether they collapse. Nothing is trained."""
    from losscope.diagnosis.door import diagnose as diagnosed

    found = diagnosed(embeddings, labels, similarity=similarity, out=out_folder)  # type: ignore[arg-type]
    if as_json:
        print_json(found.document())
    else:
        out.print(repr(found), markup=False, highlight=False)
