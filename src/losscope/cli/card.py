"""`losscope card`: a loss card in the terminal."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from losscope.cards import Card, Composition
from losscope.cli.console import out, print_json
from losscope.cli.options import AsJson

COSINES = (1.0, 0.95, 0.9, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5, -0.75, -1.0)
BAR = 12
"""Characters of the longest bar."""


def card(
    name: Annotated[str, typer.Argument(help="A loss (losscope list losses).")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a hyper-parameter, e.g. margin=0.5.")
    ] = None,
    classes: Annotated[int, typer.Option(help="Classes in training.")] = 10,
    per_class: Annotated[int, typer.Option(help="Samples of a class in a batch.")] = 5,
    batch_classes: Annotated[int | None, typer.Option(help="Classes in a batch (default: all).")] = None,
    one_tuple: Annotated[
        bool, typer.Option("--one-tuple", help="One positive for each anchor, not all of the batch.")
    ] = False,
    dim: Annotated[int | None, typer.Option(help="Embedding dimension, for the value of random embeddings.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a loss card: equation, floor, collapse, gradients, and what other libraries compute under the name."""
    from losscope.cards import Composition
    from losscope.cards import card as card_of
    from losscope.cards.document import document
    from losscope.studies import apply

    given: dict[str, Any] = {}
    for setting in settings or []:
        apply(given, setting)
    found = card_of(name, **given)
    batch = Composition(classes, per_class, batch_classes, "one_tuple" if one_tuple else "all_in_batch")
    if as_json:
        print_json(document(found, dim=dim, **batch.shape))
    else:
        show_card(found, batch, dim)


def show_card(card: Card, batch: Composition, dim: int | None) -> None:
    """Print equation, numbers, curves, hyper-parameters, other libraries and degenerate batches."""
    tables = _hyperparameters(card), _numbers(card, batch, dim), _curves(card, batch)
    out.print(f"[bold]{escape(card.title)}[/bold]  {card.name}", highlight=False)
    out.print(f"\n{card.equation}\n", markup=False, highlight=False, soft_wrap=True)
    for word, text in (
        ("term", card.kind.replace("_", " ")),
        ("active", card.active),
        ("saturates", "yes: a term can be exactly 0 with zero gradient" if card.saturates else "no"),
        ("asks for", card.demands()),
    ):
        out.print(f"[bold]{word}[/bold]: {escape(text)}", highlight=False)
    for table in tables:
        out.print()
        out.print(table)
    out.print("\n[bold]Elsewhere[/bold]")
    for one in card.elsewhere:
        basis = "" if one.basis == "source read" else f" ({one.basis})"
        who = " ".join(filter(None, (one.library, one.function)))
        out.print(f"- [bold]{escape(who)}[/bold]: {escape(one.says + basis)}", highlight=False)
    out.print("\n[bold]Degenerate batches[/bold]")
    for case, what in card.degenerate.items():
        out.print(f"- {case}: {escape(what)}", highlight=False)


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE, title_style="bold")


def _hyperparameters(card: Card) -> Table:
    table = _table("Hyper-parameters", "name", "value", "default", "meaning", "default from")
    for key, value in card.hyperparameters.items():
        meaning = card.meanings[key]
        shown = (str(one).lower() if isinstance(one, bool) else f"{one:g}" for one in (value, card.defaults[key]))
        table.add_row(key, *shown, escape(meaning.says), escape(meaning.source))
    return table


def _numbers(card: Card, batch: Composition, dim: int | None) -> Table:
    table = _table(f"Mean over all terms: {batch}", "where", "loss", "what")
    shape = batch.shape
    table.add_row(
        "floor", _number(card.floor(**shape)), f"classes collapsed, all equally far (dim ≥ {batch.classes - 1})"
    )
    table.add_row("collapse", _number(card.collapse_value(**shape)), "all embeddings and class vectors are one point")
    table.add_row(
        "random", _number(card.random_value(**shape)), "random directions in very many dimensions: all cosines 0"
    )
    if dim is not None:
        found = card.random_value(dim=dim, **shape)
        table.add_row(f"random, dim {dim}", _number(found), f"the same in {dim} dimensions")
    table.add_row("gradient ≤", _number(card.bound()), "of one term along the sphere, by its anchor")
    return table


def _curves(card: Card, batch: Composition) -> Table:
    """Value and gradient of a term at some cosines of its pair, with bars for the gradients."""
    table = _table("One pair moves", "cosine", "positive", "pulled by", "", "negative", "pushed by", "")
    rows = [(card.positive(cosine, **batch.shape), card.negative(cosine, **batch.shape)) for cosine in COSINES]
    strongest = [max(abs(one.pull) for one in side) or 1.0 for side in zip(*rows, strict=True)]
    for cosine, (positive, negative) in zip(COSINES, rows, strict=True):
        table.add_row(
            f"{cosine:g}",
            _number(positive.value),
            _number(positive.pull),
            _bar(positive.pull / strongest[0]),
            _number(negative.value),
            _number(-negative.pull + 0.0),
            _bar(-negative.pull / strongest[1]),
        )
    table.caption = "\n".join(
        f"{side}: with {held}" for side, held in zip(("positive", "negative"), card.held, strict=True)
    )
    table.caption_justify = "left"
    return table


def _bar(share: float) -> str:
    """A share of the strongest gradient; arrows where a positive is pushed away."""
    length = round(abs(share) * BAR)
    return ("←" if share < 0 else "█") * length


def _number(value: float) -> str:
    return "unbounded" if value == float("inf") else f"{value:.4g}"
