# SPDX-License-Identifier: Apache-2.0
"""acclimate data: data sets."""

from __future__ import annotations

from typing import Annotated

import typer

from acclimate.cli.console import show, show_json
from acclimate.cli.options import Json
from acclimate.cli.verb import Verb
from acclimate.errors import BadOption, nearest

app = typer.Typer(name="data", help="Fetches data sets into the cache.", no_args_is_help=True)
SETS = ("speech-commands",)


@app.callback()
def _group() -> None:
    """Fetches data sets into the cache."""


@app.command("get", cls=Verb)
def get_verb(
    name: Annotated[str, typer.Argument(help=f"Data set: {', '.join(SETS)}.")],
    as_json: Json = False,
) -> None:
    """Downloads, checks and unpacks a data set; a stopped download goes on where it stopped."""
    if name not in SETS:
        raise BadOption(f"unknown data set {name!r}", hint=nearest(name, SETS))
    from acclimate.data.download import get_speech_commands

    folder = get_speech_commands()
    if as_json:
        show_json({"name": name, "folder": str(folder)})
    else:
        show(str(folder))
