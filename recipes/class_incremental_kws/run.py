# SPDX-License-Identifier: Apache-2.0
"""New keywords on a device that knows others: gradients, replay, and streaming heads, side by side.

    python recipes/class_incremental_kws/run.py            # all of it; resumes
    python recipes/class_incremental_kws/run.py --quick    # one seed, a short training
    python recipes/class_incremental_kws/run.py --tune     # rates and strengths, on other speakers
    python recipes/class_incremental_kws/run.py --drift    # does a change of place start learning?
    python recipes/class_incremental_kws/run.py --print    # the table of what is there already

DS-CNN-S knows four words, silence and unknown; its layers but the last stay as they are. Speech
Commands if it is there (`acclimate data get speech-commands`), else a synthesizer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from drift import Lives, lives_of, tries_of
from drift_streams import Ears
from drift_tables import drift_section
from measure import CHOSEN, WAYS, Cell, measure
from spotter import THREADS, speech
from tables import tuning_section, ways_section

from acclimate.errors import AcclimateError, BadOption
from acclimate.experiment import (
    CellStore,
    Experiment,
    Page,
    Section,
    kept_cells,
    measure_cells,
    progress_on,
    save_page,
)

OUT = Path("build/class_incremental_kws")
VERSION = 4
TUNING_VERSION = 3  # without energies
S = TypeVar("S")
SEEDS = (0, 1, 2)
_TUNED_SEED = 100


def options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder, {OUT} by default")
    parser.add_argument("--quick", action="store_true", help="small: to see that all works")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--tune", action="store_true", help="compare settings, on other speakers")
    what.add_argument("--drift", action="store_true", help="a change starts learning by itself")
    parser.add_argument("--print", action="store_true", help="measure nothing")
    return parser.parse_args()


def tuned(first: Cell) -> list[Cell]:
    """Settings of every way, judged by speakers that no table is about."""
    one = replace(first, seed=_TUNED_SEED, judged="validation")
    rates = [replace(one, lr=lr) for lr in (0.0003, 0.001, 0.003, 0.01, 0.05, 0.2)]
    both = [*rates[2:], *(replace(cell, scaled=True) for cell in rates[2:])]
    cells = [replace(cell, way="replay, 8 bits", epochs=n) for cell in both for n in (2, 5, 10)]
    cells += [replace(cell, way=WAYS[0]) for cell in (*rates[:2], *both)]
    cells += [replace(cell, way=WAYS[-1], epochs=n) for cell in both for n in (5, 20)]
    for cell in rates[:5]:
        strengths = (1.0, 10.0, 50.0, 300.0, 1000.0, 3000.0)
        cells += [replace(cell, way="EWC", strength=strength) for strength in strengths]
        cells += [replace(cell, way="LwF", alpha=alpha) for alpha in (1.0, 3.0, 10.0)]
    cells += [replace(one, way="nearest class mean")]
    shrinks = (1e-6, 1e-5, 0.0001, 0.001, 0.01, 0.05, 0.2, 0.5)
    cells += [replace(one, way="streaming LDA", shrink=shrink) for shrink in shrinks]
    slow = (0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.05)
    cells += [replace(one, way="TinyOL", lr=lr) for lr in slow]
    reaches = (0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.4)
    return [*cells, *(replace(one, way="TinyRCE", reach=reach) for reach in reaches)]


def measured(
    experiment: Experiment[S], cells: Sequence[S], given: argparse.Namespace
) -> dict[S, dict[str, Any]]:
    """What is there already, or all of it.

    Raises:
        BadOption: nothing was measured, or for `--drift` not all, and nothing is to be measured.
    """
    store = CellStore(given.out / "cells")
    if given.print:
        found = kept_cells(experiment, cells, store)
    else:
        with progress_on("class-incremental") as advance:
            found = measure_cells(experiment, cells, store, advance)
    if not found:
        raise BadOption(
            "nothing was measured yet", found=str(given.out), hint="run it without --print"
        )
    if given.drift and len(found) < len(set(cells)):
        raise BadOption(
            "not everything was measured yet",
            found=f"{len(found)} of {len(set(cells))} cells in {given.out}",
            hint="run it without --print; it goes on from there",
        )
    return found


def ways(given: argparse.Namespace) -> Section:
    """The ways to learn new words, or settings of them."""
    first = Cell(speech().description, WAYS[0])
    seeds = given.seeds
    if given.quick:
        first, seeds = replace(first, training=1), seeds[:1]
    quick = {"epochs": 1} if given.quick else {}
    cells = [
        replace(first, way=way, seed=seed, **{**CHOSEN[way], **quick})
        for seed in seeds
        for way in WAYS
    ]
    cells = tuned(first) if given.tune else cells
    version = TUNING_VERSION if given.tune else VERSION
    experiment = Experiment("ways", version, partial(measure, given.out / "networks"))
    found = measured(experiment, cells, given)
    return tuning_section(found) if given.tune else ways_section(found)


def drift(given: argparse.Namespace) -> Section:
    """A detector that starts learning."""
    torch.set_num_threads(THREADS)
    lives = Lives(Ears(speech(), 8 if given.quick else 1))
    seeds = given.seeds[: 1 if given.quick else None]
    tries = measured(lives.tries, tries_of(lives.ears, quick=given.quick), given)
    cells = lives_of(lives.ears, tries, seeds, quick=given.quick)
    return drift_section(measured(lives.lives, cells, given), tries)


def main() -> int:
    """Measures, prints, writes the page."""
    given = options()
    try:
        section = drift(given) if given.drift else ways(given)
        for table in section.tables:
            print(table.text(), end="\n\n")
        about = "A keyword spotter learns new words on the device"
        if given.drift:
            about = "A keyword spotter notices by itself that it must learn"
        what = "_drift" if given.drift else "_tuning" if given.tune else ""
        path = given.out / f"class_incremental_kws{what}.html"
        save_page(Page("New keywords", about, (section,)), path)
        print(path)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except AcclimateError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
