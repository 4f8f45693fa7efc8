# SPDX-License-Identifier: Apache-2.0
"""acclimate report: what the compiled model costs, as text, JSON or one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options
from acclimate.cli.console import say, show, working
from acclimate.cli.run import Cores, example_arrays, follow, for_device, open_device
from acclimate.cli.user_file import Task
from acclimate.errors import BadOption, BadOutput

if TYPE_CHECKING:
    from acclimate.firmware import Firmware
    from acclimate.report import StepCycles


def report_verb(
    spec: options.Spec,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML file.")] = None,
    calls: Annotated[bool, typer.Option("--calls", help="List every call.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Build the C and time it on this machine.")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option("--on", help="Simulate a step on cluster or cortex-m4: where cycles go."),
    ] = None,
    target: options.Target = None,
    cores: Cores = None,
    loss: options.Loss = None,
    optimizer: options.Optimizer = None,
    lr: options.Rate = None,
    name: options.Name = None,
    entries: options.Entries = None,
    budget: options.Budget = None,
    recompute: options.Recompute = None,
    page: options.Page = None,
    point: options.Point = None,
    as_json: options.Json = False,
) -> None:
    """Shows memory, work and passes of a model, and where the cycles of a simulated step go."""
    from acclimate.report import build_report
    from acclimate.report.measure import host_milliseconds

    if on == "host":
        raise BadOption("the host counts no cycles", hint="--measure for its milliseconds")
    choices = options.Choices(
        target, loss, optimizer, lr, name, entries, budget, recompute, point, page
    )
    task = for_device(options.load_with(spec, choices), on, cores)
    firmware = options.compile_task(task)
    milliseconds = None
    if measure:
        with working("measuring on this machine"):
            milliseconds = host_milliseconds(firmware, task.example)
    profile = _simulate(task, firmware, on) if on is not None else None
    report = build_report(firmware, milliseconds=milliseconds, profile=profile)
    if html is not None:
        write_page(html, report.html())
    show(report.json() if as_json else report.text(calls=calls))


def _simulate(task: Task, firmware: Firmware, on: str) -> StepCycles:
    """Cycles of the entry point that learns, or of predict where none does."""
    from acclimate.report import step_cycles

    device = open_device(firmware, on)
    entry = next(e for e in ("train", "accumulate", "predict") if e in firmware.program.entries)
    inputs, targets = example_arrays(task)
    with working(f"simulating {entry}") as advance:
        follow(device, advance, 0, 1, 0)
        if entry == "predict":
            device.predict(*inputs)
        else:
            getattr(device, entry)(*inputs, *targets)
    return step_cycles(firmware, device, entry)


def write_page(path: Path, text: str) -> None:
    """Writes a page and says where.

    Raises:
        BadOutput: it cannot be written.
    """
    from acclimate.cache import write_atomic

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except OSError as error:
        raise BadOutput(
            f"cannot write {path}", found=str(error), hint="--html build/report.html"
        ) from error
    say(f"wrote {path}")
