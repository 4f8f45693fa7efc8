# SPDX-License-Identifier: Apache-2.0
"""acclimate demo: the whole loop on keyword spotting, without a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acclimate.cli.console import say, show, show_json, working
from acclimate.cli.options import Json


def demo_verb(
    out: Annotated[Path, typer.Option(help="Folder for the C, the report and the results.")] = Path(
        "build/demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer clips and one seed.")] = False,
    as_json: Json = False,
) -> None:
    """Adapts a keyword spotter to a new place with the C that a device would run."""
    from acclimate.demo import run_demo

    with working("demo") as advance:
        result = run_demo(out, quick=quick, progress=advance)
    text = result.pop("text")
    if as_json:
        show_json(result)
        return
    show(text)
    say(f"report: {out / 'report.html'}, numbers: {out / 'report.json'}, C: {out / 'c'}")
