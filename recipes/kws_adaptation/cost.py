# SPDX-License-Identifier: Apache-2.0
"""Cells of cost: what a training step takes on GAP9, counted on the simulated cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from settings import BLOCKS, DECK, DECK_TOTAL_MJ, DECK_TOTAL_S, EPOCHS, HUNDRED, LEARNS, TITLES

from acclimate.data import Mfcc, MfccSpec
from acclimate.estimate import entry_cycles
from acclimate.experiment import Beside, Column, Experiment, Footer, Section, Table
from acclimate.firmware import Firmware
from acclimate.learn import learning_step
from acclimate.models import DSCNN
from acclimate.program import Role
from acclimate.quantize import Int8
from acclimate.report import build_report
from acclimate.targets import Target, find_target

Result = dict[str, Any]
SIMULATED_MACS = 40_000_000  # of a step; a larger one would take many minutes
CALIBRATION = 32  # inputs: cycles do not depend on them
LARGE_L2_BYTES = 4 << 20  # for the floats of L
ADAPTED_STEPS = 12 * HUNDRED * EPOCHS[HUNDRED]


@dataclass(frozen=True)
class Cost:
    """A training step of batch 1.

    Args:
        size: of the network; empty for the features of a second of sound.
        learns: name of what learns.
        numbers: of the frozen layers: "float" or "int8".
        simulated: whole and cycle by cycle; else estimated.
    """

    size: str
    learns: str = ""
    numbers: str = "float"
    simulated: bool = True


def cost_cells(sizes: Iterable[str] | None, *, quick: bool = False) -> list[Cost]:
    """The steps of the deck and those that learn more, the small ones first."""
    if quick:
        return [Cost("S", "fc1", "int8", simulated=False)]
    cells = [Cost(size, "fc1", "int8") for size in sizes or DECK]
    for learns in ("fc1", "last", "all"):
        cells += [Cost(size, learns) for size in sizes or DECK]
    return [Cost(""), *cells]


def _device(cell: Cost) -> Target:
    """GAP9; for the floats of L with more L2 than the chip has."""
    chip = find_target("gap9")
    larger = cell.size == "L" and cell.numbers == "float"
    return chip.with_memory("l2", LARGE_L2_BYTES) if larger else chip


def _firmware(cell: Cost) -> Firmware:
    torch.manual_seed(0)
    model, x = DSCNN(cell.size), torch.randn(CALIBRATION, 1, 49, 10)
    names = LEARNS[cell.learns].of(BLOCKS[cell.size])
    scheme = Int8(x) if cell.numbers == "int8" else None
    return learning_step(model, names, x[:1], target=_device(cell), scheme=scheme)


def measure_cost(cell: Cost) -> Result:
    """Compiles a step and counts its cycles."""
    if not cell.size:
        firmware = Mfcc(MfccSpec()).compile(target="gap9")
        device: Any = firmware.run()
        device.features(np.zeros((1, MfccSpec().clip_samples), np.int16))
        return {"cycles": int(device.cycles)}
    firmware = _firmware(cell)
    train = firmware.program.entries["train"]
    macs = sum(call.macs for call in train.calls)
    simulated = cell.simulated and macs <= SIMULATED_MACS
    if simulated:
        device = firmware.run()
        device.train(np.zeros((1, 1, 49, 10), np.float32), np.zeros(1, np.int64))
        cycles = int(device.cycles)
    else:
        cycles = entry_cycles(firmware.program, train, firmware.plan, firmware.target)
    static = firmware.plan.static_bytes
    (memory,) = build_report(firmware).training
    return {
        "machine": firmware.target.machine,
        "cycles": cycles,
        "how": "simulated" if simulated else "estimated",
        "macs": macs,
        "storage_bytes": static.get(Role.FROZEN, 0) + static.get(Role.PARAMETER, 0),
        "memory_bytes": memory.total_bytes,
        "ram_bytes": firmware.plan.ram_bytes,
    }


def _weight(cell: Cost) -> float:
    mega = {"": 0.5, "S": 2.7, "M": 9.8, "L": 28.3}[cell.size]
    return 4.0 + mega * {"": 1.0, "fc1": 4.0, "last": 6.0, "all": 12.0}[cell.learns]


COSTS = Experiment("cost", 1, measure_cost, _weight)


def cost_section(found: dict[Cost, Result], command: str) -> Section:
    """The table of the deck with what was measured beside it."""
    chip = find_target("gap9")
    hz, features = chip.clock_hz or 1, found.get(Cost(""), {}).get("cycles", 0)
    steps = [(cell, result) for cell, result in found.items() if cell.size]
    steps.sort(key=lambda pair: (list(LEARNS).index(pair[0].learns), pair[0].size not in "SML",
                                 "SML".index(pair[0].size), pair[0].numbers))  # fmt: skip
    rows, totals = [], []
    for cell, r in steps:
        deck = DECK[cell.size] if cell.learns == "fc1" else None
        name = f"{cell.size}: {TITLES[cell.learns]}, {cell.numbers}"
        uj = chip.energy_uj(r["cycles"]) or 0.0

        def beside(measured: str, field: str, deck: Any = deck) -> Beside:
            return Beside(measured, f"{getattr(deck, field):g}" if deck else "")

        rows.append(
            (
                name,
                beside(f"{r['storage_bytes'] / 1000:.1f}", "storage_kb"),
                beside(f"{r['memory_bytes'] / 1000:.1f}", "memory_kb"),
                beside(f"{2 * r['macs'] / 1e6:.2f}", "mflop"),
                beside(f"{2 * r['macs'] / r['cycles']:.2f}", "flop_per_cycle"),
                f"{r['cycles']:,}",
                beside(f"{1000 * r['cycles'] / hz:.2f}", "ms"),
                beside(f"{uj:.0f}", "uj"),
                r["how"] + (", l2 4 MB" if "l2" in r["machine"] else ""),
            )
        )
        whole = ADAPTED_STEPS * (r["cycles"] + features)
        deck_total = (
            (f"{DECK_TOTAL_S:g}", f"{DECK_TOTAL_MJ:g}") if deck and cell.size == "S" else ("", "")
        )
        totals.append(
            (
                name,
                Beside(f"{whole / hz:.2f}", deck_total[0]),
                Beside(f"{(chip.energy_uj(whole) or 0) / 1000:.0f}", deck_total[1]),
                f"{ADAPTED_STEPS * r['cycles'] / hz:.2f}",
            )
        )
    return _section(rows, totals, features, command)


def _section(
    rows: list[tuple[Any, ...]], totals: list[tuple[Any, ...]], features: int, command: str
) -> Section:
    footer = Footer(
        command, "weights and inputs from a seed: cycles hardly depend on them", "0",
        (
            "storage: all weights. Published: int8; float here unless it says int8.",
            "memory: trained parameters and what exists because of learning.",
            "FLOP: two for each multiply-accumulate of the step; what the deck counts is not said.",
            "ms at 240 MHz. uJ: an estimate, cycles times 40.6 mW, the mean power of the deck.",
            "The floats of L take 1.67 MB, more than the L2 of the chip: run with 4 MB.",
        ),
    )  # fmt: skip
    steps = Table(
        "One training step on GAP9, batch 1",
        (
            Column("model: what learns, frozen layers", "l"), Column("storage [kB]", beside=True),
            Column("memory [kB]", beside=True), Column("MFLOP", beside=True),
            Column("FLOP/cycle", beside=True), Column("cycles"), Column("ms", beside=True),
            Column("uJ", beside=True), Column("cycles are", "l"),
        ),
        tuple(rows),
        footer,
    )  # fmt: skip
    whole = Table(
        f"Adapting to {12 * HUNDRED} utterances: {ADAPTED_STEPS:,} steps",
        (
            Column("model: what learns, frozen layers", "l"), Column("s", beside=True),
            Column("mJ", beside=True), Column("steps alone [s]"),
        ),
        tuple(totals),
        Footer(command, footer.data, "0", (
            f"A step and the features of its sound, {features:,} cycles; mixing is left out.",
            "mJ: an estimate, as above. What the published total holds is not said.",
        )),
    )  # fmt: skip
    return Section("What it costs", tables=(steps, whole))
