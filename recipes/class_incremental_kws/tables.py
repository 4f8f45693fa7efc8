# SPDX-License-Identifier: Apache-2.0
"""Tables and charts of the class-incremental recipe from finished cells."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from measure import CHIP, HEADS, SLOTS, WAYS, Cell

from acclimate.experiment import BarChart, Column, Footer, Section, Table, Whisker, points, spread
from acclimate.targets import find_target

COMMAND = "python recipes/class_incremental_kws/run.py"
Results = Mapping[Cell, Mapping[str, Any]]


def values(results: Results, way: str, key: str) -> list[float]:
    """One value of every seed."""
    return [result[key] for cell, result in results.items() if cell.way == way]


def ways_section(results: Results) -> Section:
    """Every way with its metrics."""
    rows, bars = [], []
    settings = {cell.way: settings_of(cell) for cell in results}
    for way in WAYS:
        right = [100 * v for v in values(results, way, "accuracy_of_all")]
        if not right:
            continue

        def percent(key: str, way: str = way) -> str:
            return spread([100 * v for v in values(results, way, key)])

        rows.append((
            way, settings[way], spread(right), percent("average_accuracy"), percent("known_after"),
            percent("forgetting"), points(values(results, way, "backward_transfer")),
            f"{values(results, way, 'ram_bytes')[0]:,.0f}",
            f"{fmean(values(results, way, 'accuracy_per_kb')):.1f}",
            f"{fmean(values(results, way, 'energy_mj')):.2f}",
            f"{fmean(values(results, way, 'accuracy_per_mj')):.1f}",
        ))  # fmt: skip
        bars.append(Whisker.of(way, right))
    first, first_result = next(iter(results.items()))
    waiting = max(result["waiting_bytes"] for result in results.values())
    power_mw = find_target(CHIP).power_mw
    before = spread([100 * v for v in values(results, WAYS[0], "known_before")])
    notes = (
        f"silence, unknown and four words are known ({before} % of their test utterances right "
        "before); six words come two at a time; speakers of test utterances were never heard",
        f"gradients: last layer, plain SGD, {first.batch} new utterances an update, {SLOTS} "
        "latents; heads: each utterance once, features standardised on known classes",
        "settings are the best of --tune, on other speakers and other words",
        "RAM and energy of the head and of what it keeps, beside the frozen layers, which all have",
        f"gradients take several epochs: meanwhile up to {waiting:,} B of features wait, in no RAM "
        "here; heads need none of them",
        f"energy of all that was learned, on one core of {CHIP} at {power_mw} mW: gradients by "
        "estimated cycles of the last layer, without packing and drawing of latents; heads by "
        "simulated cycles of a sample, all data in L2, TinyRCE as if its table were full and every "
        f"sample new; heads learn the known classes, too; one pass of the network is "
        f"{first_result['answer_mj']:.2f} mJ by estimate",
        "mean [lowest..highest] over seeds, which also draw the order of words",
    )
    seeds = ", ".join(str(n) for n in sorted({cell.seed for cell in results}))
    columns = (
        Column("way", "l"), Column("settings", "l"), Column("accuracy, all classes %"),
        Column("mean of experiences %"),
        Column("known classes %"), Column("forgetting, points"),
        Column("backward transfer, points"), Column("RAM B"), Column("points per kB"),
        Column("mJ"), Column("points per mJ"),
    )  # fmt: skip
    title = "New keywords two at a time"
    table = Table(title, columns, tuple(rows), Footer(COMMAND, first.data, seeds, notes))
    return Section(title, (), (table,), (BarChart(f"{title}: accuracy, all classes", tuple(bars)),))


def settings_of(cell: Cell) -> str:
    """Those that its way has."""
    own = {
        "EWC": f"strength {cell.strength:g}", "LwF": f"alpha {cell.alpha:g}",
        "streaming LDA": f"shrink {cell.shrink:g}", "TinyOL": f"rate {cell.lr:g}",
        "TinyRCE": f"reach {cell.reach:g}",
    }.get(cell.way, "")  # fmt: skip
    if cell.way in HEADS:
        return own
    scaled = "scaled" if cell.scaled else ""
    return ", ".join(filter(None, (f"rate {cell.lr:g}, {cell.epochs} epochs", own, scaled)))


def tuning_section(results: Results) -> Section:
    """Settings side by side."""
    rows = [
        (
            cell.way, settings_of(cell),
            f"{100 * result['accuracy_of_all']:.1f}", f"{100 * result['forgetting']:.1f}",
        )
        for cell, result in results.items()
    ]  # fmt: skip
    columns = (
        Column("way", "l"), Column("settings", "l"), Column("accuracy, all classes %"),
        Column("forgetting, points"),
    )  # fmt: skip
    first = next(iter(results))
    notes = ("speakers of fold 2, which the other tables do not use",)
    footer = Footer(f"{COMMAND} --tune", first.data, str(first.seed), notes)
    return Section("Settings", (), (Table("Settings", columns, tuple(rows), footer),))
