# SPDX-License-Identifier: Apache-2.0
"""acclimate plan: what could learn on a device, and what it costs, before anything is flashed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options
from acclimate.cli.console import show, show_table, working
from acclimate.cli.report import write_page

if TYPE_CHECKING:
    from acclimate.report.points import Survey


def plan_verb(
    spec: options.Spec,
    target: options.Target = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML file.")] = None,
    loss: options.Loss = None,
    optimizer: options.Optimizer = None,
    name: options.Name = None,
    entries: options.Entries = None,
    budget: options.Budget = None,
    as_json: options.Json = False,
) -> None:
    """Lists what could learn on a target: RAM, cycles and energy of every choice, and its name.

    `acclimate compile FILE.py:FUNCTION --point NAME` compiles one of them.
    """
    import acclimate

    choices = options.Choices(target, loss, optimizer, None, name, entries, budget)
    task = options.load_with(spec, choices)
    with working(f"planning {task.options['name']}") as advance:
        found = acclimate.survey(
            task.model,
            example=task.example,
            plans=task.plans,
            progress=advance,
            **task.options,
        )
    if html is not None:
        write_page(html, found.html())
    if as_json:
        show(found.json())
    else:
        _show(found)


def _show(survey: Survey) -> None:
    from acclimate.report.survey_text import survey_notes, survey_table

    head, kinds, rows = survey_table(survey)
    styles = ["bold green" if p.front else "" if p.fits else "dim" for p in survey]
    show(f"{survey.name}: {survey.title}\ntarget {survey.target}\n")
    show_table(head, kinds, rows, styles)
    show("\n".join(["", *survey_notes(survey)]))
