# SPDX-License-Identifier: Apache-2.0
"""Where text goes: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

Advance = Callable[[int, int, str], None]


def show(text: str) -> None:
    """Prints data to stdout."""
    typer.echo(text.rstrip("\n"))


def show_json(value: Any) -> None:
    """Prints a value as JSON to stdout."""
    typer.echo(json.dumps(value, indent=1))


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
