# SPDX-License-Identifier: Apache-2.0
"""Latent replay: new classes of images are learned beside latents of old ones, in few bits.

    python recipes/latent_replay/run.py             # all of it; resumes where it was stopped
    python recipes/latent_replay/run.py --quick     # one seed, one split, small: seconds
    python recipes/latent_replay/run.py --tune      # rates, on images held back from training
    python recipes/latent_replay/run.py --print     # tables of what is there already

ResNet8 and MobileNetV1 know five classes of CIFAR-10 (JPEG); the others come one at a time. The
front is frozen and runs once per image, the tail learns in the C of the device, old latents come
from the device's replay memory. Needs ACCLIMATE_DATA with cifar10_jpeg (else it makes patterns) and
models/mlperf_tiny/vww_mobilenetv1_96.h5 (else MobileNetV1 begins with random weights), and
`pip install 'acclimate[images]'`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import measure
from measure import Cell
from network import KINDS
from tables import Results, bits_section, rates_section, slots_section, split_section

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

OUT = Path("build/latent_replay")
VERSION = 1
SPLITS = tuple(dict.fromkeys(split for kind in KINDS.values() for split in kind.splits))
COST_VERSION = 2  # the front was counted in every update before
BITS = (32, 8, 7, 6, 4)
SLOTS = 1500
_FEW = (300, 750)
# Compared by `--tune`; 0.06 ruins ResNet8 from stack 2 on.
RATES = {
    ("resnet8", "pool"): 0.1, ("resnet8", "stack 3"): 0.06, ("resnet8", "stack 2"): 0.03,
    ("mobilenet", "pool"): 0.01, ("mobilenet", "block 12"): 0.2, ("mobilenet", "block 5"): 0.01,
}  # fmt: skip
_TRIED = (0.003, 0.01, 0.03, 0.06, 0.1, 0.2)
_TUNED_SEED = 100
_SEEDS = (0, 1, 2)


def options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(_SEEDS))
    parser.add_argument(
        "--lr", type=float, help="rate of every update; by default the best of --tune"
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder, {OUT} by default")
    parser.add_argument("--quick", action="store_true", help="small: to see that all works")
    parser.add_argument("--tune", action="store_true", help="compare rates, on other images")
    parser.add_argument("--print", action="store_true", help="measure nothing")
    return parser.parse_args()


def cells_of(given: argparse.Namespace) -> tuple[list[Cell], list[Cell]]:
    """What is learned, and what is only priced."""
    cells, priced = [], []
    places = [(kind, split) for kind in given.networks for split in KINDS[kind].splits
              if split in given.splits]  # fmt: skip
    if given.tune:
        for kind, split in places:
            one = Cell(kind, measure.data_of(kind), split, "replay", 32, SLOTS, seed=_TUNED_SEED,
                       judged="validation")  # fmt: skip
            cells += [replace(one, lr=lr) for lr in _TRIED]
        return cells, []
    for kind, split in places[:1] if given.quick else places:
        first = Cell(kind, measure.data_of(kind), split, "naive", lr=given.lr or RATES[kind, split])
        if given.quick:
            first = replace(first, images=30, epochs=2, pretraining=2, batch=32)
        slots = 60 if given.quick else SLOTS
        priced.append(replace(first, slots=slots))
        for seed in given.seeds[:1] if given.quick else given.seeds:
            one = replace(first, seed=seed)
            cells += [one, replace(one, way="joint")]
            cells.append(replace(one, way="cwr", bits=8, slots=slots))
            counts = (slots, *(() if given.quick else _FEW))
            cells += [
                replace(one, way="replay", bits=bits, slots=n)
                for n in counts
                for bits in (BITS if n == slots else (32, 8))
            ]
    return cells, priced


def sections(given: argparse.Namespace) -> list[Section]:
    """Every table, measured first if that was asked for."""
    cells, priced = cells_of(given)
    store, folder = CellStore(given.out / "cells"), given.out / "networks"
    learning = Experiment("latent_replay", VERSION, partial(measure.measure, folder), _weight)
    pricing = Experiment("latent_cost", COST_VERSION, partial(measure.cost, folder))
    if given.print:
        found, costs = (kept_cells(e, c, store) for e, c in ((learning, cells), (pricing, priced)))
    else:
        with progress_on("latent replay") as advance:
            found = measure_cells(learning, cells, store, advance)
            costs = measure_cells(pricing, priced, store, advance)
    out = []
    for kind in given.networks:
        of_kind, prices = (_of(results, kind) for results in (found, costs))
        if of_kind:
            out += [rates_section(of_kind)] if given.tune else _sections(of_kind, prices)
    if not out:
        raise BadOption(
            "nothing was measured yet", found=str(given.out), hint="run it without --print"
        )
    return out


def _of(results: Results, kind: str) -> Results:
    return {cell: result for cell, result in results.items() if cell.network == kind}


def _sections(found: Results, costs: Results) -> list[Section]:
    """Of one network."""
    out = []
    for split in dict.fromkeys(cell.split for cell in found):
        slots = max(cell.slots for cell in found)
        out.append(bits_section(found, split, slots))
        if len({cell.slots for cell in found if cell.way == "replay"}) > 1:
            out.append(slots_section(found, split))
    if costs:
        out.append(split_section(found, costs))
    return out


def _weight(cell: Cell) -> float:
    joint = 3.0 if cell.way == "joint" else 1.0
    learned = {"stack 3": 8.0, "stack 2": 20.0, "block 12": 4.0, "block 5": 16.0}
    return joint * learned.get(cell.split, 1.0)


def main() -> int:
    """Measures, prints, writes the page."""
    given = options()
    try:
        found = sections(given)
        for section in found:
            for table in section.tables:
                print(table.text(), end="\n\n")
        about = "New classes beside latents of old ones, kept in few bits"
        path = given.out / "latent_replay.html"
        save_page(Page("Latent replay", about, tuple(found)), path)
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
