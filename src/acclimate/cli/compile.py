# SPDX-License-Identifier: Apache-2.0
"""acclimate compile: model -> folder of C."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.console import show, show_json, working
from acclimate.errors import BadOption, nearest

_WEIGHTS = ("c", "binary")


def compile_verb(
    spec: options.Spec,
    out: Annotated[Path, typer.Option(help="Folder for the C files.")],
    target: options.Target = None,
    loss: options.Loss = None,
    optimizer: options.Optimizer = None,
    lr: options.Rate = None,
    name: options.Name = None,
    entries: options.Entries = None,
    weights: Annotated[str, typer.Option(help="c: arrays in C; binary: a file to load.")] = "c",
    kit: options.Kit = "cmake",
    modules: options.Modules = None,
    budget: options.Budget = None,
    recompute: options.Recompute = None,
    page: options.Page = None,
    point: options.Point = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a folder of other files.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Turns a model into C that predicts and learns."""
    from acclimate.device import find_modules
    from acclimate.emit import find_kit
    from acclimate.report import build_report

    find_kit(kit)  # before the work
    chosen = [name.strip() for name in modules.split(",")] if modules else []
    find_modules(chosen)
    if weights not in _WEIGHTS:
        raise BadOption(f"unknown form of weights {weights!r}", hint=nearest(weights, _WEIGHTS))
    choices = options.Choices(
        target, loss, optimizer, lr, name, entries, budget, recompute, point, page
    )
    firmware = options.compile_task(options.load_with(spec, choices))
    with working(f"writing {out}"):
        firmware.export(out, kit=kit, weights=weights, modules=chosen, force=force)
        report = build_report(firmware)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    if as_json:
        listed = [
            {"path": path.relative_to(out).as_posix(), "size_bytes": path.stat().st_size}
            for path in files
        ]
        show_json({"folder": str(out), "files": listed, "report": json.loads(report.json())})
        return
    show(f"{out}: {len(files)} files\n\n{report}")
