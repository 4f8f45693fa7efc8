# SPDX-License-Identifier: Apache-2.0
"""Cells of an experiment: each has settings, is measured once, and is kept as one JSON file.

A cell is written when it is finished, in one step, under a name made of its settings. So a run that
was stopped loses at most the cell that it was in, a second run measures only what is missing, and
other settings never find an old result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

from acclimate.cache import write_atomic
from acclimate.errors import BadOutput, CorruptFile

S = TypeVar("S")
Result = dict[str, Any]
Advance = Callable[[float, float, str], None]
_SAY_EVERY_S = 30.0  # where the output is no terminal


@dataclass(frozen=True)
class Experiment(Generic[S]):
    """One kind of measurement.

    Args:
        name: of the files; letters, digits and underscores.
        version: counts changes of the code after which old results no longer hold.
        measure: makes the result of one cell, which `json` can write, from its settings: a frozen
            dataclass of numbers, words and tuples of them.
        weight: how long a cell takes compared with others, for the remaining time.
    """

    name: str
    version: int
    measure: Callable[[S], Result]
    weight: Callable[[S], float] = lambda settings: 1.0


class CellStore:
    """A folder of finished cells.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, experiment: Experiment[S], settings: S) -> Result | None:
        """The result of a cell, or None if it was not measured.

        Raises:
            CorruptFile: something else than a finished cell has its name.
        """
        path, head = self._place(experiment, settings)
        try:
            kept = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None  # whether a folder can be made there is for `keep` to say
        except (OSError, ValueError) as error:
            raise _corrupt(path, repr(error)) from error
        if not isinstance(kept, dict) or kept.get("cell") != head or "result" not in kept:
            raise _corrupt(path, "it holds another cell")
        result: Result = kept["result"]
        return result

    def keep(self, experiment: Experiment[S], settings: S, result: Result) -> None:
        """Writes a finished cell.

        Raises:
            BadOutput: the folder cannot be written.
        """
        path, head = self._place(experiment, settings)
        content = json.dumps({"cell": head, "result": result}, indent=1, allow_nan=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, (content + "\n").encode())
        except OSError as error:
            raise BadOutput(
                "a result cannot be written", found=str(error), where=str(path),
                hint="choose another folder with --out",
            ) from error  # fmt: skip

    def _place(self, experiment: Experiment[S], settings: S) -> tuple[Path, dict[str, Any]]:
        """File of a cell, and what stands at its head."""
        fields = asdict(settings)  # type: ignore[call-overload]
        head = {"experiment": experiment.name, "version": experiment.version, **fields}
        text = json.dumps(head, sort_keys=True, allow_nan=False)
        name = f"{experiment.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        return self.folder / name, json.loads(text)


def _corrupt(path: Path, found: str) -> CorruptFile:
    hint = f"rm {path}"
    return CorruptFile("a kept result is damaged", found=found, where=str(path), hint=hint)


def measure_cells(
    experiment: Experiment[S],
    cells: Iterable[S],
    store: CellStore,
    advance: Advance = lambda done, total, what: None,
) -> dict[S, Result]:
    """Measures the cells that the store does not have, in their order.

    Args:
        experiment: measures them.
        cells: settings, the most important first; one that comes twice is measured once.
        store: finds and keeps results.
        advance: told (done, total, what) in units of `experiment.weight`; what is kept counts as
            done before anything starts.

    Returns:
        The result of every cell.

    Raises:
        BadOutput, CorruptFile: as the store.
    """
    wanted = list(dict.fromkeys(cells))
    found = {cell: store.find(experiment, cell) for cell in wanted}
    missing = [cell for cell in wanted if found[cell] is None]
    total, done = sum(map(experiment.weight, missing)), 0.0
    for number, cell in enumerate(missing, 1):
        advance(done, total, f"{experiment.name} {number} of {len(missing)}")
        # As JSON gives it back: the first run and the second one see the same.
        result = json.loads(json.dumps(experiment.measure(cell)))
        store.keep(experiment, cell, result)
        found[cell] = result
        done += experiment.weight(cell)
    if missing:
        advance(total, total, f"{experiment.name} done")
    return {cell: result for cell, result in found.items() if result is not None}


def kept_cells(experiment: Experiment[S], cells: Sequence[S], store: CellStore) -> dict[S, Result]:
    """The results that the store has, without measuring any."""
    found = ((cell, store.find(experiment, cell)) for cell in dict.fromkeys(cells))
    return {cell: result for cell, result in found if result is not None}


@contextmanager
def progress_on(title: str) -> Iterator[Advance]:
    """A bar on stderr with the remaining time; lines of text where stderr is no terminal.

    Yields:
        A function of (done, total, what).
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        # Cells differ: the rate of the last minutes says more than that of the last seconds.
        TimeRemainingColumn(),
    )
    quiet = not console.is_terminal
    bar = Progress(
        *columns, console=console, transient=True, disable=quiet, speed_estimate_period=300.0
    )
    with bar as progress:
        task = progress.add_task(title, total=None)
        lines = _Lines(title, console.print) if quiet else None

        def advance(done: float, total: float, what: str) -> None:
            progress.update(task, completed=done, total=total, description=what)
            if lines is not None:
                lines.advance(done, total, what)

        yield advance


class _Lines:
    """Progress as a line of text every half minute."""

    def __init__(self, title: str, say: Callable[[str], None]) -> None:
        self._say, self._start, self._said = say, monotonic(), monotonic()
        self._title, self._first = title, 0.0

    def advance(self, done: float, total: float, what: str) -> None:
        """Says how far it is, if enough time has passed."""
        now = monotonic()
        if done <= 0.0:
            self._start = now  # another kind of cells begins
        if now - self._said < _SAY_EVERY_S or not done:
            return
        self._said = now
        left_s = (now - self._start) * (total - done) / done
        self._say(f"{self._title}: {what}, {done / total:.0%}, about {left_s / 60:.0f} min left")
