# SPDX-License-Identifier: Apache-2.0
"""Tables and charts as one HTML file: style and drawings are inside it, nothing is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from acclimate.cache import write_atomic
from acclimate.errors import BadOutput
from acclimate.experiment.chart import BarChart, LineChart
from acclimate.experiment.table import Table


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        title: head of it.
        words: paragraphs.
        tables: under them.
        bars: charts of bars.
        lines: charts of lines.
    """

    title: str
    words: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    bars: tuple[BarChart, ...] = ()
    lines: tuple[LineChart, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole report: title, what it is about, sections."""

    title: str
    about: str
    sections: tuple[Section, ...]

    def html(self) -> str:
        """The file."""
        return _template().render(page=self)


def save_page(page: Page, path: Path) -> None:
    """Writes the page, whole or not at all.

    Raises:
        BadOutput: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, page.html().encode())
    except OSError as error:
        raise BadOutput(
            "the report cannot be written", found=str(error), where=str(path),
            hint="choose another folder with --out",
        ) from error  # fmt: skip


@cache
def _template() -> jinja2.Template:
    packages = ("acclimate.experiment", "acclimate.report")
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in packages]),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("experiment.html.jinja")
