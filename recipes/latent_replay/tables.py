# SPDX-License-Identifier: Apache-2.0
"""Tables and charts of the latent replay recipe from finished cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from measure import MOMENTUM, Cell
from network import KINDS

from acclimate.experiment import (
    BarChart,
    Column,
    Footer,
    Line,
    LineChart,
    Section,
    Table,
    Whisker,
    asked,
    points,
    spread,
)

COMMAND = "python recipes/latent_replay/run.py"
Results = Mapping[Cell, Mapping[str, Any]]
PUBLISHED = {
    8: "-0.3 (3,000 latents)", 7: "up to -5", 32: "0",
}  # fmt: skip
_SOURCE = (
    "published: Ravaglia et al., JETCAS 2021: MobileNetV1 at 128x128 on CORe50, another task; "
    "change to replay of floats in points"
)


def values(results: Results, key: str, **wanted: Any) -> list[float]:
    """One value of every seed, of the cells with these settings."""
    return [
        result[key]
        for cell, result in results.items()
        if all(getattr(cell, name) == value for name, value in wanted.items())
    ]


def _title(results: Results) -> str:
    """Of the network, which all results have in common."""
    return KINDS[next(iter(results)).network].title


def _footer(results: Results, notes: Sequence[str] = ()) -> Footer:
    cell = next(iter(results))
    seeds = ", ".join(str(n) for n in sorted({c.seed for c in results}))
    rates = ", ".join(f"{c.lr:g} ({c.split})" for c in {c.split: c for c in results}.values())
    about = (
        f"{cell.base} known classes, then one at a time with {cell.images} images; "
        f"{cell.epochs} epochs, SGD with momentum {MOMENTUM:g}, rates {rates}, updates on "
        f"{cell.batch} samples; mean [lowest..highest] over seeds, which also draw the order of "
        "classes",
    )
    return Footer(COMMAND, cell.data, seeds, (*about, *notes))


def bits_section(results: Results, split: str, slots: int) -> Section:
    """Every way at one split: accuracy, forgetting, memory; what was asked of the bits."""
    floats = values(results, "accuracy_of_all", split=split, way="replay", bits=32, slots=slots)
    rows, bars = [], []
    bits = sorted({c.bits for c in results if c.way == "replay"}, reverse=True)
    ways: list[tuple[str, dict[str, Any]]] = [("naive fine-tuning", {"way": "naive"})]
    ways += [
        (
            "replay, floats" if b == 32 else f"replay, {b} bits",
            {"way": "replay", "bits": b, "slots": slots},
        )
        for b in bits
    ]
    ways.append(("replay, 8 bits, CWR* head", {"way": "cwr", "bits": 8, "slots": slots}))
    ways.append(("all samples kept", {"way": "joint"}))
    for name, wanted in ways:
        wanted = {"split": split, **wanted}
        right = values(results, "accuracy_of_all", **wanted)
        if not right:
            continue
        gaps = [a - b for a, b in zip(right, floats, strict=False)] if floats else []
        kept = values(results, "memory_bytes", **wanted)[0]
        plain = wanted["bits"] if wanted["way"] == "replay" else 0
        bound, published = {8: -0.5, 7: -5.0}.get(plain), PUBLISHED.get(plain, "")
        verdict = "" if bound is None or not gaps else asked(100 * fmean(gaps), bound)
        rows.append((
            name, spread([100 * v for v in right]), points(gaps) if gaps and kept else "",
            published, "" if bound is None else f">= {bound:+.1f}", verdict,
            spread([100 * v for v in values(results, "forgetting", **wanted)]),
            f"{kept:,.0f}" if kept else "",
        ))  # fmt: skip
        bars.append(Whisker.of(name, [100 * v for v in right]))
    columns = (
        Column("way", "l"), Column("accuracy, all classes %"), Column("to floats, points"),
        Column("published"), Column("asked"), Column("verdict", "l"), Column("forgetting, points"),
        Column("memory B"),
    )  # fmt: skip
    title = f"{_title(results)}, learned from {split} on, {slots} latents"
    table = Table(title, columns, tuple(rows), _footer(results, (_SOURCE,)))
    return Section(title, (), (table,), (BarChart(f"{title}: accuracy", tuple(bars)),))


def slots_section(results: Results, split: str) -> Section:
    """Accuracy against the number of latents, by bits."""
    lines, rows = [], []
    for bits in sorted({c.bits for c in results if c.way == "replay"}, reverse=True):
        found = []
        for slots in sorted({c.slots for c in results if c.way == "replay" and c.split == split}):
            wanted = {"split": split, "way": "replay", "bits": bits, "slots": slots}
            right = [100 * v for v in values(results, "accuracy_of_all", **wanted)]
            if right:
                found.append((float(slots), tuple(right)))
                size = values(results, "memory_bytes", **wanted)[0]
                name = "floats" if bits == 32 else f"{bits} bits"
                rows.append((name, f"{slots:,}", f"{size:,.0f}", spread(right)))
        if len(found) > 1:
            lines.append(Line("floats" if bits == 32 else f"{bits} bits", tuple(found)))
    columns = (Column("numbers", "l"), Column("latents"), Column("memory B"),
               Column("accuracy, all classes %"))  # fmt: skip
    title = f"{_title(results)}: how many latents, from {split} on"
    table = Table(title, columns, tuple(rows), _footer(results))
    charts = (LineChart(title, "latents", tuple(lines), "%", logarithmic=True),) if lines else ()
    return Section(title, (), (table,), (), charts)


def split_section(results: Results, costs: Results) -> Section:
    """What it takes to learn more of the network."""
    rows = []
    for cell, cost in costs.items():
        right = values(
            results, "accuracy_of_all", split=cell.split, way="replay", bits=8, slots=cell.slots
        )
        kept = cell.slots * cost["elements"]
        for chip in ("vega", "gap9"):
            at = cost[chip]
            rows.append((
                cell.split, chip, spread([100 * v for v in right]), f"{cost['elements']:,}",
                f"{kept:,}", f"{cost['waiting_bytes']:,}", f"{at['ram_bytes']:,}",
                f"{at['front_cycles']:,}",
                *(_number(at.get(key), style) for key, style in (
                    ("sample_cycles", ","), ("update_ms", ".1f"), ("update_mj", ".2f"),
                    ("class_s", ".1f"), ("class_mj", ".2f"),
                )),
            ))  # fmt: skip
    columns = (
        Column("learned from", "l"), Column("chip", "l"), Column("accuracy, 8 bits %"),
        Column("numbers of a latent"), Column("memory B, 8 bits"), Column("new latents B"),
        Column("RAM of the tail B"), Column("front, cycles"), Column("tail, cycles a sample"),
        Column("ms an update"), Column("mJ an update"), Column("s a class"), Column("mJ a class"),
    )  # fmt: skip
    cell, cost = next(iter(costs.items()))
    notes = (
        f"cycles, times and mJ are estimates; an update: {cost['fresh']} new and {cost['stored']} "
        f"old latents through the tail; a class: {cell.images} images through the front, once, and "
        f"{cost['updates']} updates",
        "no cycles where the tail, with its gradients and momentum, does not fit into a chip; "
        "energy only where a power figure could be vouched for",
        "new latents: floats that wait until their class is learned, beside the memory",
        "published shape (arXiv:2007.13631, CORe50): last layer 58 %, part 72.5 %, all 77.3 %; "
        "0.9 s, 1.5 h and 5 h for a new class",
    )
    title = f"What learning more of {_title(results)} takes"
    return Section(title, (), (Table(title, columns, tuple(rows), _footer(results, notes)),))


def _number(value: float | None, style: str) -> str:
    return "" if value is None else format(value, style)


def rates_section(results: Results) -> Section:
    """Rates side by side, judged by images held back from training."""
    rows = [
        (c.split, f"{c.lr:g}", f"{100 * r['accuracy_of_all']:.1f}", f"{100 * r['forgetting']:.1f}")
        for c, r in results.items()
    ]
    columns = (Column("learned from", "l"), Column("rate"), Column("accuracy, all classes %"),
               Column("forgetting, points"))  # fmt: skip
    first = next(iter(results))
    notes = ("replay of floats, judged by images held back from training",)
    footer = Footer(f"{COMMAND} --tune", first.data, str(first.seed), notes)
    title = f"Rates of {_title(results)}"
    return Section(title, (), (Table(title, columns, tuple(rows), footer),))
