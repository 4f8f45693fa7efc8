# SPDX-License-Identifier: Apache-2.0
"""On-device domain adaptation of keyword spotting: cost and accuracy beside the published ones.

    python recipes/kws_adaptation/run.py                       # everything; go on after Ctrl-C
    python recipes/kws_adaptation/run.py --quick               # minutes: does everything work?
    python recipes/kws_adaptation/run.py --what fc1 --places "coffee shop" --snr 0
    python recipes/kws_adaptation/run.py --print               # tables of what is there already

Every finished cell is a JSON file in the output folder, so a second run measures only what is
missing. Tables go to stdout, and with charts into one HTML file. The training steps and predictions
are the generated C, on this machine; cycles are those of the simulated GAP9.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from accuracy import Bench, Choice, Grid, Result, chosen_rate, tried_rates
from accuracy_tables import Tables, accuracy_sections
from cost import COSTS, Cost, cost_cells, cost_section
from heard import Sounds
from settings import LEARNS, SNRS_DB, STORED, TARGETS
from spotters import Spotters

from acclimate.data.source import SpeechSource, keyword_speech
from acclimate.errors import AcclimateError, BadOption
from acclimate.experiment import (
    CellStore,
    Page,
    Section,
    kept_cells,
    measure_cells,
    progress_on,
    save_page,
)

OUT = Path("build/kws_adaptation")
COMMAND = "python recipes/kws_adaptation/run.py"


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = [str(n) for n in range(10)]
    parser.add_argument("--tables", nargs="+", choices=("cost", "accuracy"), default=None)
    parser.add_argument("--models", nargs="+", choices=("S", "M", "L"), default=None)
    parser.add_argument("--what", nargs="+", choices=tuple(LEARNS), default=list(LEARNS))
    parser.add_argument("--places", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--snr", nargs="+", type=float, default=list(SNRS_DB), help="dB")
    parser.add_argument("--seeds", nargs="+", choices=every, default=every[:3], help="of networks")
    parser.add_argument("--draws", nargs="+", choices=every, default=every[:5], help="of data")
    parser.add_argument("--out", type=Path, default=None, help=f"folder, {OUT} by default")
    parser.add_argument("--quick", action="store_true", help="one network, little data")
    parser.add_argument("--print", action="store_true", help="measure nothing")
    given = parser.parse_args(arguments)
    given.tables = given.tables or ["cost", "accuracy"]
    given.out = given.out or (OUT / "quick" if given.quick else OUT)
    return given


def choice_of(given: argparse.Namespace, size: str) -> Choice:
    """The cells of accuracy that the options ask for."""
    if given.quick:
        return Choice(size, (0,), (0,), tuple(given.what), (2,), TARGETS[:1], (0.0,), 2, 2)
    return Choice(
        size,
        tuple(map(int, given.seeds)),
        tuple(map(int, given.draws)),
        tuple(given.what),
        STORED,
        tuple(given.places),
        tuple(given.snr),
    )


def measure_accuracy(
    given: argparse.Namespace, size: str, source: SpeechSource, shown: str
) -> Tables:
    """Chooses rates, adapts, judges; or finds what was measured before."""
    choice = choice_of(given, size)
    spotters = Spotters(given.out / "models", source, train=not given.print)
    bench = Bench(Sounds(source, 8 if given.quick else 1), spotters)
    store, grid = CellStore(given.out / "cells"), Grid(choice, bench)
    with progress_on(f"DS-CNN-{size}") as advance:
        if given.print:
            befores = kept_cells(bench.before, grid.befores(), store)
            tries = kept_cells(bench.runs, grid.tries(), store)
        else:
            befores = measure_cells(bench.before, grid.befores(), store, advance)
            tries = measure_cells(bench.runs, grid.tries(), store, advance)
        tried = tried_rates(tries, befores)
        rates = {key: chosen_rate(many) for key, many in tried.items()}
        if given.print and (len(tries) < len(grid.tries()) or not befores):
            raise BadOption(
                f"DS-CNN-{size} was not measured on these recordings yet",
                found=f"{len(tries)} of {len(grid.tries())} cells that choose the rates",
                hint="the same command without --print",
            )
        if given.print:
            runs = kept_cells(bench.runs, grid.runs(rates), store)
        else:
            runs = measure_cells(bench.runs, grid.runs(rates), store, advance)
    return Tables(choice, bench.sounds.description, befores, tried, runs, shown)


def measure_costs(given: argparse.Namespace) -> dict[Cost, Result]:
    """Measures what steps cost; or finds what was measured before."""
    store, cells = CellStore(given.out / "cells"), cost_cells(given.models, quick=given.quick)
    if given.print:
        return kept_cells(COSTS, cells, store)
    with progress_on("cost") as advance:
        return measure_cells(COSTS, cells, store, advance)


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    """Measures, prints, writes the report; returns what the process returns."""
    given = options(arguments)
    torch.set_num_threads(1)
    shown = " ".join([COMMAND, *arguments])
    sections: list[Section] = []
    try:
        if "accuracy" in given.tables:
            source = keyword_speech()
            for size in given.models or ["S"]:
                sections += accuracy_sections(measure_accuracy(given, size, source, shown))
        if "cost" in given.tables:
            sections.append(cost_section(measure_costs(given), shown))
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except AcclimateError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    for table in (table for section in sections for table in section.tables):
        print(f"{table.text()}\n")
    about = "Published: C. Cioflan et al., GAP9 at 240 MHz, DEMAND noises and Speech Commands v2"
    save_page(Page("A keyword spotter adapts to where it is", about, tuple(sections)),
              given.out / "report.html")  # fmt: skip
    print(f"report: {given.out / 'report.html'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
