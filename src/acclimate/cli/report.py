# SPDX-License-Identifier: Apache-2.0
"""acclimate report: what the compiled model costs, as text, JSON or one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.console import say, show, working
from acclimate.errors import BadOutput


def report_verb(
    spec: options.Spec,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML file.")] = None,
    calls: Annotated[bool, typer.Option("--calls", help="List every call.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Build the C and time it on this machine.")
    ] = False,
    target: options.Target = None,
    loss: options.Loss = None,
    optimizer: options.Optimizer = None,
    lr: options.Rate = None,
    name: options.Name = None,
    entries: options.Entries = None,
    budget: options.Budget = None,
    as_json: options.Json = False,
) -> None:
    """Shows memory, work and passes of a model: every number is a sum over the program."""
    from acclimate.report import build_report
    from acclimate.report.measure import host_milliseconds

    choices = options.Choices(target, loss, optimizer, lr, name, entries, budget)
    task = options.load_with(spec, choices)
    firmware = options.compile_task(task)
    milliseconds = None
    if measure:
        with working("measuring on this machine"):
            milliseconds = host_milliseconds(firmware, task.example)
    report = build_report(firmware, milliseconds=milliseconds)
    if html is not None:
        _write(html, report.html())
    show(report.json() if as_json else report.text(calls=calls))


def _write(path: Path, text: str) -> None:
    from acclimate.cache import write_atomic

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except OSError as error:
        raise BadOutput(
            f"cannot write {path}", found=str(error), hint="--html build/report.html"
        ) from error
    say(f"wrote {path}")
