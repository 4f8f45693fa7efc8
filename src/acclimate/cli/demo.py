# SPDX-License-Identifier: Apache-2.0
"""acclimate demo: the whole loop on keyword spotting, without a board."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from acclimate.cli.console import show, show_json, working
from acclimate.cli.options import Json
from acclimate.errors import MissingTool

_MODULE = "acclimate.learn.demo"


def demo_verb(
    out: Annotated[Path, typer.Option(help="Folder for the C, the report and the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer clips and epochs.")] = False,
    as_json: Json = False,
) -> None:
    """Adapts a keyword spotter to a new place with the C that a device would run."""
    if find_spec(_MODULE) is None:
        raise MissingTool(
            "this version of acclimate has no demo", hint="pip install --upgrade acclimate"
        )
    run_demo: Any = import_module(_MODULE).run_demo
    with working("demo") as advance:
        result: dict[str, Any] = run_demo(out, quick=quick, progress=advance)
    if as_json:
        show_json(result)
        return
    width = max(map(len, result), default=0)
    show("\n".join(f"{key:<{width}}  {value}" for key, value in result.items()))
