# SPDX-License-Identifier: Apache-2.0
"""How every verb ends: what an exception means for the user, and the exit code."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from acclimate.cli.console import say
from acclimate.errors import AcclimateError

MISTAKE, BUG, INTERRUPTED = 2, 70, 130
_PACKAGE = Path(__file__).parent.parent


class Verb(TyperCommand):
    """A command whose exceptions become messages on stderr and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb; the options have been parsed already."""
        try:
            return super().invoke(ctx)
        except AcclimateError as error:
            _trace()
            say(f"error: {error}", "red")
            raise typer.Exit(MISTAKE) from None
        except KeyboardInterrupt:
            say("interrupted", "yellow")
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            _trace()
            say(_bug_report(error), "red")
            raise typer.Exit(BUG) from None


def debugging() -> bool:
    """True if ACCLIMATE_DEBUG is set to anything but 0."""
    return os.environ.get("ACCLIMATE_DEBUG", "0") not in ("", "0")


def _trace() -> None:
    if debugging():
        say(traceback.format_exc().rstrip())


def _bug_report(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    lines = [f"error: this is a bug of acclimate: {type(error).__name__}: {error}"]
    if ours:
        place = Path(ours[-1].filename).relative_to(_PACKAGE.parent)
        lines.append(f"  where: {place}:{ours[-1].lineno}  {ours[-1].line}")
    lines += [
        "",
        "hint: set ACCLIMATE_DEBUG=1, run it again, and open an issue with that output, your file"
        " and the output of `acclimate doctor --json`",
    ]
    return "\n".join(lines)
