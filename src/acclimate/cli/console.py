# SPDX-License-Identifier: Apache-2.0
"""Where text goes: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

Advance = Callable[[int, int, str], None]
_WIDEST = 1000  # columns of a table


def show(text: str) -> None:
    """Prints data to stdout."""
    typer.echo(text.rstrip("\n"))


def show_json(value: Any) -> None:
    """Prints a value as JSON to stdout."""
    typer.echo(json.dumps(value, indent=1))


def show_table(
    head: Sequence[str], kinds: str, rows: Sequence[list[str]], styles: list[str]
) -> None:
    """Prints a table to stdout, in colours if that is a terminal.

    Args:
        head: of the columns.
        kinds: one letter per column: `l` left, `r` right.
        rows: cells.
        styles: of the rows, as rich names them.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title, kind in zip(head, kinds, strict=True):
        table.add_column(Text(title), justify="right" if kind == "r" else "left", no_wrap=True)
    for row, style in zip(rows, styles, strict=True):
        table.add_row(*map(Text, row), style=style)
    # A file or a pipe has no width, and a cut number is worse than a line that is wrapped.
    needed = Console(width=_WIDEST).measure(table).maximum
    Console(width=max(needed, Console().width)).print(table, soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """Prints a message to stderr; the first line gets the colour, if stderr is a terminal."""
    first, newline, rest = text.partition("\n")
    typer.echo(typer.style(first, fg=style or None, bold=bool(style)) + newline + rest, err=True)


@contextmanager
def working(what: str) -> Iterator[Advance]:
    """A progress bar on stderr for as long as the context lasts, if stderr is a terminal.

    Yields:
        A function of (done, total, what); until it is called the bar only shows that time passes.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=what)

        yield advance
