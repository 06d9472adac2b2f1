"""How commands print: tables for people and for pipes, JSON, counts in short form."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Print rows under headers; `right` names the headers of columns of numbers.

    In a terminal as a table that fits it; elsewhere plain columns, two spaces apart, nothing cut.
    """
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(headers, cells, right)
        return
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    for row in [list(headers), *cells]:
        padded = [
            cell.rjust(width) if header in right else cell.ljust(width) for cell, width, header in zip(row, widths, headers)
        ]
        print("  ".join(padded).rstrip())


def _print_rich(headers: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))  # names of files may hold what rich takes for markup
    Console().print(table)


def print_fields(fields: dict[str, Any]) -> None:
    """Print names and values, one a line; what is None or empty is left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, "", ())}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        lines = str(value).splitlines()
        print(f"{name:<{width}}  {lines[0]}")
        for line in lines[1:]:
            print(f"{'':<{width}}  {line}")


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def warn(command: str, message: str) -> None:
    """One line on standard error, for what goes wrong without ending the command."""
    print(f"vidmodels {command}: {message}", file=sys.stderr)


def count(value: int | None) -> str:
    """A large count in short form: `304.5 M`, `180.6 G`, `12,345`; empty for None."""
    if value is None:
        return ""
    for limit, unit in ((1e9, "G"), (1e6, "M")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:,}"
