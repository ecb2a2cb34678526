"""csv and tsv files with a header line (or with numbers alone), and txt files with one value a line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from losscope.diagnosis.reading import Columns, brief
from losscope.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_LINE = 1 << 24
LEADING_ZERO = "^-?0[0-9]"
WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def open_csv(path: Path) -> Columns:
    """The columns of a csv (or tsv) file. Where the first line holds numbers alone, they are called column_0, ..."""
    import pyarrow as pa
    from pyarrow import csv

    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE)
    fields = first.decode("utf-8", errors="replace").strip().split(separator)
    reading: dict[str, Any] = {"use_threads": False, "block_size": max(1 << 20, min(len(first) * 64, LONGEST_LINE))}
    if all(_is_number(field) for field in fields):
        reading["column_names"] = [f"column_{place}" for place in range(len(fields))]
    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(**reading),
            parse_options=csv.ParseOptions(delimiter=separator),
            convert_options=csv.ConvertOptions(strings_can_be_null=False, timestamp_parsers=[csv.ISO8601]),
        )
        columns = from_table(path, _codes_kept(path, table, reading, separator))  # decodes the names in the header
    except InvalidInput:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:  # among them what is no UTF-8
        raise InvalidInput(f"{path} can't be read ({brief(error)}); expected text in UTF-8 with the same columns in each "
                           "line") from None  # fmt: skip
    return columns


def _codes_kept(path: Path, table: pa.Table, reading: dict[str, Any], separator: str) -> pa.Table:
    """The table with columns of whole numbers as text where any of these has leading zeros: "007" is a name."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    whole = [field.name for field in table.schema if pa.types.is_integer(field.type)]
    if not whole or len(set(table.column_names)) < len(table.column_names):
        return table
    options = csv.ConvertOptions(
        strings_can_be_null=False, include_columns=whole, column_types=dict.fromkeys(whole, pa.string())
    )
    texts = csv.read_csv(path, csv.ReadOptions(**reading), csv.ParseOptions(delimiter=separator), options)
    for name in whole:
        if pc.any(pc.match_substring_regex(texts[name], LEADING_ZERO)).as_py():
            table = table.set_column(table.schema.get_field_index(name), name, texts[name])
    return table


def open_lines(path: Path) -> Columns:
    """One column, called "array": the lines of a text file, as whole numbers where all of them are."""
    import pyarrow as pa

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no text in UTF-8 ({error}); expected one value a line") from None
    lines: list[str] = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    lines = [line.rstrip("\r") for line in lines]
    table = pa.table({"array": pa.array(_whole_numbers(lines) or lines)})
    return from_table(path, table)


def from_table(path: Path, table: pa.Table) -> Columns:
    """The columns of a table in memory."""
    from losscope.diagnosis.reading.matrices import from_lists

    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise InvalidInput(f"{path} has more than one column '{brief(sorted(twice)[0])}'; expected a name for each")

    def matrix(name: str) -> np.ndarray:
        return from_lists(path, name, table.column(name))

    return Columns(path, tuple(table.column_names), table.column, matrix, table=True, held=True)


def _whole_numbers(lines: list[str]) -> list[int] | None:
    """The lines as numbers, where each is written as numbers are: "007" and "1_0" are names."""
    if not all(WHOLE_NUMBER.fullmatch(line.strip()) for line in lines):
        return None
    numbers = [int(line) for line in lines]
    return numbers if all(-(2**63) <= number < 2**63 for number in numbers) else None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
