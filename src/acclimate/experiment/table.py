# SPDX-License-Identifier: Apache-2.0
"""Tables that show what was measured beside what was published or asked, as text and markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from acclimate.report.text import align


@dataclass(frozen=True)
class Beside:
    """A measured value and the published one for the same thing.

    Args:
        measured: as it is shown.
        published: as it is shown; empty where nothing was published.
    """

    measured: str
    published: str = ""


Value = str | Beside


@dataclass(frozen=True)
class Column:
    """Head of a column: `l` for words, `r` for numbers; `beside` has one more for the published."""

    title: str
    kind: str = "r"
    beside: bool = False


@dataclass(frozen=True)
class Footer:
    """Where the numbers come from.

    Args:
        command: that prints the table.
        data: recordings, or what else was measured on.
        seeds: of models, draws or random numbers.
        notes: whatever else a reader must know, one sentence each.
    """

    command: str
    data: str
    seeds: str
    notes: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """One line for each of them."""
        return (*self.notes, f"seeds: {self.seeds}", f"data: {self.data}", self.command)


@dataclass(frozen=True)
class Table:
    """Rows of values under a head.

    Args:
        title: what is shown.
        columns: of every row.
        rows: values as they are shown, as many as there are columns.
        footer: stands under it, always.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    footer: Footer
    heads: tuple[str, ...] = field(init=False)
    kinds: str = field(init=False)

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"{self.title}: {len(self.columns)} columns, but the row {wrong[0]}")
        pairs = [(c.title, c.kind) for c in self.columns for _ in range(1 + c.beside)]
        heads: list[str] = []
        for title, _ in pairs:
            heads.append("published" if heads and heads[-1] == title else title)
        object.__setattr__(self, "heads", tuple(heads))
        object.__setattr__(self, "kinds", "".join(kind for _, kind in pairs))

    def cells(self) -> list[list[str]]:
        """Rows of plain text, a published value in a column of its own."""
        rows = []
        for row in self.rows:
            cells: list[str] = []
            for value, column in zip(row, self.columns, strict=True):
                both = value if isinstance(value, Beside) else Beside(value)
                cells += [both.measured, both.published] if column.beside else [both.measured]
            rows.append(cells)
        return rows

    def text(self) -> str:
        """For a terminal."""
        lines = align([self.heads, *self.cells()], self.kinds)
        lines.insert(1, "-" * max(map(len, lines)))
        return "\n".join([self.title, "", *lines, "", *(f"  {x}" for x in self.footer.lines())])

    def markdown(self) -> str:
        """For the documentation."""
        rule = ["---:" if kind == "r" else "---" for kind in self.kinds]
        rows = [list(self.heads), rule, *self.cells()]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        *notes, command = self.footer.lines()
        return "\n".join([*lines, "", *(f"{note}  " for note in notes), f"`{command}`"])


def spread(values: Sequence[float], form: str = "{:.1f}") -> str:
    """Mean and range of values: `+7.9 [+6.4..+9.0]`; the mean alone where there is one value."""
    if not values:
        return ""
    mean = form.format(fmean(values))
    if len(values) == 1:
        return mean
    return f"{mean} [{form.format(min(values))}..{form.format(max(values))}]"


def points(gains: Sequence[float]) -> str:
    """Mean and range of differences of shares within 0 .. 1, in percentage points."""
    return spread([100 * gain for gain in gains], "{:+.1f}")


def asked(measured: float, bound: float, *, at_least: bool = True) -> str:
    """Whether a measured value is within what was asked of it."""
    holds = measured >= bound if at_least else measured <= bound
    return "reached" if holds else "it does not reach it"
