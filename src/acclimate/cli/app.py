# SPDX-License-Identifier: Apache-2.0
"""All verbs together. Their modules import PyTorch only when they run: `--help` answers at once."""

from __future__ import annotations

from typing import Annotated

import typer

import acclimate
from acclimate.cli import bench, data
from acclimate.cli.compile import compile_verb
from acclimate.cli.demo import demo_verb
from acclimate.cli.doctor import doctor_verb
from acclimate.cli.options import EXAMPLE
from acclimate.cli.plan import plan_verb
from acclimate.cli.report import report_verb
from acclimate.cli.run import run_verb
from acclimate.cli.targets import targets_verb
from acclimate.cli.tune import tune_verb
from acclimate.cli.verb import Verb

app = typer.Typer(
    name="acclimate",
    help="Turns a PyTorch model into C that keeps learning on a microcontroller.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Every verb has --help and --json. ACCLIMATE_DEBUG=1 shows tracebacks.",
)
app.command("plan", cls=Verb, epilog=EXAMPLE)(plan_verb)
app.command("compile", cls=Verb, epilog=EXAMPLE)(compile_verb)
app.command("run", cls=Verb, epilog=EXAMPLE)(run_verb)
app.command("report", cls=Verb, epilog=EXAMPLE)(report_verb)
app.command("tune", cls=Verb, epilog=EXAMPLE)(tune_verb)
app.command("demo", cls=Verb)(demo_verb)
app.command("targets", cls=Verb)(targets_verb)
app.command("doctor", cls=Verb)(doctor_verb)
app.add_typer(bench.app)
app.add_typer(data.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(acclimate.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Turns a PyTorch model into C that keeps learning on a microcontroller."""
