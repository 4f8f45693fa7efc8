# SPDX-License-Identifier: Apache-2.0
"""Tables and charts of the class-incremental recipe from finished cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from measure import SLOTS, WAYS, Cell

from acclimate.experiment import BarChart, Column, Footer, Section, Table, Whisker, points, spread

COMMAND = "python recipes/class_incremental_kws/run.py"
Results = Mapping[Cell, Mapping[str, Any]]


def values(results: Results, way: str, key: str) -> list[float]:
    """One value of every seed."""
    return [result[key] for cell, result in results.items() if cell.way == way]


def ways_section(results: Results) -> Section:
    """Every way with its metrics."""
    rows, bars = [], []
    for way in WAYS:
        right = [100 * v for v in values(results, way, "accuracy_of_all")]
        if not right:
            continue

        def percent(key: str, way: str = way) -> str:
            return spread([100 * v for v in values(results, way, key)])

        rows.append((
            way, spread(right), percent("average_accuracy"), percent("known_after"),
            percent("forgetting"), points(values(results, way, "backward_transfer")),
            f"{values(results, way, 'ram_bytes')[0]:,.0f}",
            f"{sum(values(results, way, 'accuracy_per_kb')) / len(right):.1f}",
        ))  # fmt: skip
        bars.append(Whisker.of(way, right))
    first = next(iter(results))
    before = spread([100 * v for v in values(results, WAYS[0], "known_before")])
    notes = (
        f"silence, unknown and four words are known ({before} % of their test utterances right "
        "before); six words come two at a time; speakers of test utterances were never heard",
        f"gradients: last layer, {first.epochs} epochs, plain SGD, lr {first.lr:g}, {first.batch} "
        f"new utterances an update, EWC {first.strength:g}, LwF {first.alpha:g}, {SLOTS} latents; "
        "heads: each utterance once, default settings, features standardised on known classes",
        "RAM of the head and of what it keeps, beside the frozen layers, which all share; with "
        "them an energy would be that of the frozen layers, so none is given per way",
        "mean [lowest..highest] over seeds, which also draw the order of words",
    )
    seeds = ", ".join(str(n) for n in sorted({cell.seed for cell in results}))
    columns = (
        Column("way", "l"), Column("accuracy, all classes %"), Column("mean of experiences %"),
        Column("known classes %"), Column("forgetting, points"),
        Column("backward transfer, points"), Column("RAM B"), Column("points per kB"),
    )  # fmt: skip
    title = "New keywords two at a time"
    table = Table(title, columns, tuple(rows), Footer(COMMAND, first.data, seeds, notes))
    return Section(title, (), (table,), (BarChart(f"{title}: accuracy, all classes", tuple(bars)),))


def tuning_section(results: Results) -> Section:
    """Settings side by side."""
    rows = [
        (
            cell.way, f"{cell.lr:g}", str(cell.epochs),
            f"{cell.strength:g}" if cell.way == "EWC" else "",
            f"{cell.alpha:g}" if cell.way == "LwF" else "",
            f"{100 * result['accuracy_of_all']:.1f}", f"{100 * result['forgetting']:.1f}",
        )
        for cell, result in results.items()
    ]  # fmt: skip
    columns = (
        Column("way", "l"), Column("rate"), Column("epochs"), Column("strength"), Column("alpha"),
        Column("accuracy, all classes %"), Column("forgetting, points"),
    )  # fmt: skip
    first = next(iter(results))
    notes = ("speakers of fold 2, which the other tables do not use",)
    footer = Footer(f"{COMMAND} --tune", first.data, str(first.seed), notes)
    return Section("Settings", (), (Table("Settings", columns, tuple(rows), footer),))
