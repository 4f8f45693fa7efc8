# SPDX-License-Identifier: Apache-2.0
"""TinyRCE: learning without backpropagation, measured beside full backpropagation.

    python recipes/tinyrce/run.py              # all that there are data for; resumes
    python recipes/tinyrce/run.py --only basic # BasicMotions alone, seconds
    python recipes/tinyrce/run.py --only elm   # other draws of random filters
    python recipes/tinyrce/run.py --print      # tables of what is there already

Finished cells and trained extractors stay in the output folder. Heads are the C of the device
modules on this machine. Needs ACCLIMATE_DATA with sp_sw_har, cwru_bearing and basic_motions.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import measure
from cost import compiled_costs, head_cycles
from measure import Cell
from protocol import FOLDS, SUBJECTS
from tables import accuracy_section, bars_section, cost_section, elm_section, sensitivity_section

from acclimate.data.motion import find_set
from acclimate.errors import AcclimateError, DataError
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

OUT = Path("build/tinyrce")
VERSION = 2
NEWER = {"cost": 3}  # what was counted otherwise before
FOLD_CELLS = {place: [Cell(fold, place) for fold in range(FOLDS)] for place in ("phone", "watch")}
USER_CELLS = {p: [Cell(subject, p) for subject in SUBJECTS] for p in ("phone", "watch")}
ELM_CELLS = [Cell(fold, p) for p in (*FOLD_CELLS, measure.TRANSFER) for fold in range(FOLDS)]
# Name, what measures it, its cells, the data set, the method that others are compared with, words.
CASES: tuple[tuple[str, Any, list[Cell], str, str, str], ...] = (
    ("basic", measure.basic, [Cell(0)], "basic_motions", "backpropagation",
     "BasicMotions: 40 series learned, 40 tested; very easy, no claim rests on it"),
    *((f"single-{p}", measure.single_user, USER_CELLS[p], "sp_sw_har", "backpropagation",
       f"{p}, single user: first half of the recordings learned, second half tested")
      for p in ("phone", "watch")),
    *((f"left-{p}", measure.left_out, FOLD_CELLS[p], "sp_sw_har", "backpropagation",
       f"{p}, subjects left out: nine folds of two subjects") for p in ("phone", "watch")),
    ("transfer", measure.transfer, FOLD_CELLS["phone"], "sp_sw_har", "RCE, near",
     "phone -> watch, subjects left out: at most 20 labelled windows per class of the user"),
    *((f"bearing-{hp}", measure.bearing, [Cell(hp)], "cwru_bearing", "RCE, near",
       f"bearings, 0 hp -> {hp} hp: 20 labelled frames per class, nine faults") for hp in (1, 2)),
    ("elm", measure.elm_draws, ELM_CELLS, "sp_sw_har", "", ""),
    ("sensitivity", measure.sensitivity, FOLD_CELLS["phone"], "sp_sw_har", "", ""),
)  # fmt: skip


def options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [name for name, *_ in CASES] + ["cost"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder, {OUT} by default")
    parser.add_argument("--print", action="store_true", help="measure nothing")
    return parser.parse_args()


def cost(folder: Path, cell: Cell) -> dict[str, Any]:
    """Of the compiled step and of the head on the simulated cluster."""
    return compiled_costs() | {"cycles": head_cycles()}


def available(data: str) -> bool:
    """Whether a data set is here; BasicMotions may also come from a package."""
    try:
        find_set(data)
    except DataError:
        return data == "basic_motions" and find_spec("aeon") is not None
    return True


def results_of(given: argparse.Namespace) -> dict[str, list[Any]]:
    """Cells by case, measured if they were asked for and are missing."""
    store, kept = CellStore(given.out / "cells"), {}
    folder = given.out / "extractors"
    with progress_on("tinyrce") as advance:
        for name, function, cells, data, *_ in (*CASES, ("cost", cost, [Cell(0)], "")):
            if name not in given.only:
                continue
            version = NEWER.get(name, VERSION)
            experiment = Experiment(name.replace("-", "_"), version, partial(function, folder))
            if given.print:
                found = kept_cells(experiment, cells, store)
            elif data and not available(data):
                print(f"{name}: left out, {data} is not in ACCLIMATE_DATA", file=sys.stderr)
                continue
            else:
                found = measure_cells(experiment, cells, store, advance)
            kept[name] = [found[cell] for cell in cells if cell in found]
    return {name: results for name, results in kept.items() if results}


def sections(kept: dict[str, list[Any]]) -> list[Section]:
    """Every table of what is there."""
    out = []
    if any(name.startswith(("single", "left", "transfer")) for name in kept):
        out.append(bars_section(kept))
    for name, _, _, _, against, words in CASES:
        if name in kept and against:
            title = words.split(":")[0]
            out.append(accuracy_section(title, kept[name], against, words, name.split("-")[0]))
    if "elm" in kept:
        out.append(elm_section(kept["elm"]))
    if "sensitivity" in kept:
        out.append(sensitivity_section(kept["sensitivity"]))
    if "cost" in kept:
        out.append(cost_section(kept["cost"][0], kept))
    return out


def main() -> int:
    """Measures, prints, writes the page."""
    given = options()
    try:
        found = sections(results_of(given))
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except AcclimateError as error:
        print(error, file=sys.stderr)
        return 1
    for section in found:
        for table in section.tables:
            print(table.text(), end="\n\n")
    about = "Forward learning on features of a frozen network, beside full backpropagation"
    path = given.out / "tinyrce.html"
    save_page(Page("TinyRCE", about, tuple(found)), path)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
