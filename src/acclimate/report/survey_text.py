# SPDX-License-Identifier: Apache-2.0
"""Survey -> rows of a table, aligned plain text, JSON."""

from __future__ import annotations

import json
from typing import Any

from acclimate.report.points import Cost, Point, Room, Survey
from acclimate.report.text import align, number

_FORMAT = 1
NOTE = "cycles, ms and mJ are estimates; * no other point that fits is better in RAM, cycles and"
_NOTE_END = "trained parameters; RAM is without stack and without what is paged"


def survey_text(survey: Survey) -> str:
    """The survey as text for a terminal of about 130 columns."""
    head, kinds, rows = survey_table(survey)
    lines = [f"{survey.name}: {survey.title}", f"target {survey.target}", ""]
    lines += align([head, *rows], kinds)
    return "\n".join([*lines, "", *survey_notes(survey)]) + "\n"


def survey_notes(survey: Survey) -> list[str]:
    """What stands below the table: why points do not fit, and what the columns mean."""
    refused = [f"{point.name}: {point.refusal}" for point in survey if not point.fits]
    return [*refused, *([""] if refused else []), f"{NOTE} {_NOTE_END}"]


def survey_table(survey: Survey) -> tuple[list[str], str, list[list[str]]]:
    """Head, alignment of the columns and cells; columns without any number are left out."""
    memories = _memories(survey)
    head = ["point", "trains", "RAM [B]", *(f"{name} [B]" for name in memories)]
    head += ["flash [B]", "MACs", "cycles", "ms", "mJ", "extra", "fits", "front"]
    rows = [_row(point, memories) for point in survey]
    used = [n for n in range(len(head)) if n < 3 or any(row[n] for row in rows)]
    kinds = ["l", *("r" for _ in head[1:-2]), "l", "l"]
    return (
        [head[n] for n in used],
        "".join(kinds[n] for n in used),
        [[row[n] for n in used] for row in rows],
    )


def _memories(survey: Survey) -> list[str]:
    """Names of the writable memories, where there are several."""
    names = dict.fromkeys(
        room.memory
        for point in survey
        if point.cost
        for room in point.cost.rooms
        if room.writable and room.memory != "budget"
    )
    return list(names) if len(names) > 1 else []


def _row(point: Point, memories: list[str]) -> list[str]:
    cost = point.cost
    fits = "yes" if point.fits else "no"
    if cost is None:
        gaps = [""] * (len(memories) + 7)
        return [point.name, number(point.trained), *gaps, fits, ""]
    taken = {room.memory: room.taken_bytes for room in cost.rooms}
    return [
        point.name,
        number(point.trained),
        number(cost.ram_bytes),
        *(number(taken.get(name, 0)) for name in memories),  # l3 counts only where it is used
        number(cost.flash_bytes),
        number(cost.macs),
        number(cost.cycles),
        "" if cost.milliseconds is None else f"{cost.milliseconds:.3g}",
        "" if cost.energy_mj is None else f"{cost.energy_mj:.3g}",
        "" if point.extra_percent is None else f"{point.extra_percent:+.1f} %",
        fits,
        "*" if point.front else "",
    ]


def survey_json(survey: Survey) -> str:
    """The survey as JSON text."""
    return json.dumps(survey_document(survey), indent=1) + "\n"


def survey_document(survey: Survey) -> dict[str, Any]:
    """The survey as values that `json` can write."""
    return {
        "format": _FORMAT,
        "acclimate": survey.version,
        "name": survey.name,
        "title": survey.title,
        "target": survey.target,
        "cycles_are": "estimate",
        "front": [point.name for point in survey.front],
        "points": [_point(point) for point in survey],
    }


def _point(point: Point) -> dict[str, Any]:
    update = point.choice.update
    return {
        "name": point.name,
        "update": None if update is None else repr(update),
        "recompute": point.choice.recompute,
        "page": point.choice.page,
        "trained_parameters": point.trained,
        "fits": point.fits,
        "front": point.front,
        "refusal": point.refusal or None,
        "extra_percent": point.extra_percent,
        "cost": None if point.cost is None else _cost(point.cost),
        "largest": [
            {
                "name": large.name,
                "memory": large.memory,
                "size_bytes": large.size_bytes,
                "source": large.source,
            }
            for large in point.large
        ],
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "ram_bytes": cost.ram_bytes,
        "flash_bytes": cost.flash_bytes,
        "macs": cost.macs,
        "cycles": cost.cycles,
        "time_ms": cost.milliseconds,
        "energy_mj": cost.energy_mj,
        "parts": {f"{part}_bytes": size for part, size in cost.parts.items()},
        "memories": [_room(room) for room in cost.rooms],
    }


def _room(room: Room) -> dict[str, Any]:
    return {
        "name": room.memory,
        "writable": room.writable,
        "arena_bytes": room.arena_bytes,
        "static_bytes": room.static_bytes,
        "usable_bytes": room.usable_bytes,
        "over_bytes": room.over_bytes,
    }
