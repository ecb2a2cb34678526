"""`losscope diagnose`: embeddings and labels in, retrieval quality and geometry out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from losscope.cli.console import errors, loading_progress, out, print_json
from losscope.cli.options import AsJson

if TYPE_CHECKING:
    from losscope.diagnosis.result import Diagnosis

KS = (1, 5, 10)
GATED = 3
"""Exit code where the condition of --fail-if is true."""


def diagnose(
    embeddings: Annotated[
        str,
        typer.Argument(
            metavar="EMBEDDINGS",
            help="npy, npz, parquet, safetensors or csv; FILE::NAME names an array or column in it. 'shards/*.npy' are many.",
        ),
    ],
    labels: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="A file (also txt), or a column beside the embeddings.")
    ] = None,
    gallery: Annotated[
        str | None, typer.Option(metavar="FILE", help="What is searched, where it is not the embeddings themselves.")
    ] = None,
    gallery_labels: Annotated[str | None, typer.Option(metavar="FILE|NAME", help="Labels of the gallery.")] = None,
    names: Annotated[
        str | None, typer.Option(metavar="FILE", help="Names of rows, paths of images, or a parquet column of images.")
    ] = None,
    class_names: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON: a list of class names by number, or a mapping by label.")
    ] = None,
    similarity: Annotated[str, typer.Option(help="cosine, euclidean or inner_product.")] = "cosine",
    ks: Annotated[
        list[int] | None, typer.Option("--k", min=1, help="K of Recall@K; repeat (default: 1, 5, 10).")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=2, help="So many queries where rows are more (default: 2000 beyond 20,000 rows).")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="All rows query, however many; with --out an interrupted run goes on.")
    ] = False,
    against: Annotated[
        str | None, typer.Option(metavar="FILE", help="A second space of the same rows: this one minus that.")
    ] = None,
    fail_if: Annotated[
        str | None, typer.Option(metavar="CONDITION", help="Exit with 3 if true, e.g. 'map_at_r.low < -0.01'.")
    ] = None,
    umap: Annotated[bool, typer.Option("--umap", help="Draw the map with UMAP (package umap-learn).")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of samples.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for diagnosis.json, rows.parquet and report.html.")
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="Moments and retrieval in tasks over shards: local (processes) or ray.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Workers of --on (default: cores).")] = None,
    ray_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A cluster of Ray; without it, one of our own here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How good embeddings are, where they fail, and whether they collapse. Nothing is trained."""
    from losscope.diagnosis.gate import check, holds
    from losscope.diagnosis.numbers import names_of, numbers

    if fail_if is not None:
        check(fail_if, names_of(tuple(ks or KS), against=against is not None))  # told before minutes of work
    from losscope.diagnosis.door import diagnose as diagnosed

    with loading_progress() as progress:
        found = diagnosed(
            embeddings, labels, gallery=gallery, gallery_labels=gallery_labels, names=names, class_names=class_names,
            similarity=similarity, sample=sample, exact=exact, against=against, umap=umap, seed=seed, device=device,  # type: ignore[arg-type]
            out=out_folder, progress=progress, ks=tuple(ks or KS), on=on, jobs=jobs, ray_address=ray_address,  # type: ignore[arg-type]
        )  # fmt: skip
    document = found.document()
    print_json(document) if as_json else _show(found)
    if fail_if is not None and holds(fail_if, numbers(document)):
        errors.print(f"--fail-if {fail_if}: true", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(GATED)


def _show(found: Diagnosis) -> None:
    """One screen: answers in words, the measures, where the files are."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from losscope.report.space.answers import answers
    from losscope.report.space.words import estimate, matters, title

    document = found.document()
    for question, text in answers(document):
        out.print(f"[bold]{question}[/bold] {escape(text)}", highlight=False)
    compared = document["comparison"]
    columns = ["this", "other", "difference"] if compared else ["mean", "over queries"]
    table = Table("measure", *columns, box=box.SIMPLE)
    for name, one in ((name, one) for name, one in document["intervals"].items() if matters(name)):
        if compared:
            other = compared["other"]["intervals"][name]
            cells = [f"{one['mean']:.4f}", f"{other['mean']:.4f}", estimate(compared["differences"][name], signed=True)]
        else:
            cells = [estimate(one), estimate(one, "low_queries", "high_queries")]
        table.add_row(title(name), *map(escape, cells))
    out.print(table)
    for note in document["notes"]:
        out.print(note, markup=False, highlight=False)
    out.print("Means with 95 % t intervals over classes: other classes like these, this model, this gallery.")
    if found.folder is not None:
        out.print(f"Report: {found.folder / 'report.html'}", soft_wrap=True, highlight=False, markup=False)
