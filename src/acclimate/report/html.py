# SPDX-License-Identifier: Apache-2.0
"""Report -> one HTML file: styles, script and drawings are inside it, nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import jinja2

from acclimate.report import charts
from acclimate.report.cycles import CallCycles, StepCycles
from acclimate.report.cycles_charts import cycle_bars
from acclimate.report.report import EntryReport, Report
from acclimate.report.roofline import Roofline, roofline
from acclimate.report.text import number, place
from acclimate.report.training_memory import Kind, TrainingMemory, Use

_ROLES = {role: role for role in ("arena", "parameter", "state", "gradient", "statistic")}
_KINDS = {
    Kind.PARAMETER: "parameter",
    Kind.STATISTIC: "statistic",
    Kind.GRADIENT: "gradient",
    Kind.STATE: "state",
    Kind.KEPT: "kept",
    Kind.BACKWARD: "backward",
    Kind.SCRATCH: "scratch",
    Kind.TILE: "tiled",
}


@cache
def page_template(name: str) -> jinja2.Template:
    """A template of this package; `| n` writes a number with its thousands apart."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("acclimate.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["n"] = number
    return environment.get_template(name)


def report_html(report: Report) -> str:
    """The report as one HTML file of usually less than 300 kB."""
    memory = report.memory
    no_ram = ("frozen", "stored")
    static = {role: size for role, size in memory.static_bytes.items() if role not in no_ram}
    return page_template("report.html.jinja").render(
        report=report,
        main=min(report.entries, key=_rank),
        profile=report.profile,
        ram=charts.stack({"arena": memory.arena_bytes, **static}, _ROLES),
        frozen_bytes=memory.static_bytes.get("frozen", 0),
        stored_bytes=memory.static_bytes.get("stored", 0),
        training=[(item, _training(item)) for item in report.training],
        entries=[
            (
                entry,
                charts.memory_map(entry),
                charts.mac_bars(entry),
                _phases(entry),
                _simulated(report, entry),
            )
            for entry in sorted(report.entries, key=_rank)
        ],
        place=place,
        uses=list(Use),
        uses_text=charts.USES,
        chart_left=charts.LEFT,
        chart_right=charts.WIDTH - charts.RIGHT,
        chart_width=charts.WIDTH,
    )


@dataclass(frozen=True)
class _Simulated:
    """What the page shows of cycles."""

    step: StepCycles
    bars: charts.Chart
    roofline: Roofline | None
    whole: CallCycles
    by_number: Mapping[int, CallCycles]


def _simulated(report: Report, entry: EntryReport) -> _Simulated | None:
    """The cycles of an entry point, if it is the one that ran on a simulated device."""
    step = report.profile
    if step is None or step.entry != entry.name:
        return None
    by_number = {call.number: call for call in step.calls}
    return _Simulated(step, cycle_bars(entry, step), roofline(entry, step), step.whole(), by_number)


_ORDER = ("train", "accumulate", "apply", "predict")


def _rank(entry: EntryReport) -> int:
    """What learns comes first; the head of the page speaks about the first."""
    return _ORDER.index(entry.name)


def _training(memory: TrainingMemory) -> tuple[charts.Slice, ...]:
    sizes = {str(kind): size for kind, size in memory.bytes_by_kind().items()}
    return charts.stack(sizes, {str(kind): style for kind, style in _KINDS.items()})


def _phases(entry: EntryReport) -> list[tuple[str, int]]:
    return [(str(phase), macs) for phase, macs in entry.macs_by_phase().items() if macs]
