# SPDX-License-Identifier: Apache-2.0
"""acclimate targets: the devices that `--target` names, and where their figures come from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acclimate.cli.console import show, show_json
from acclimate.cli.options import Json

if TYPE_CHECKING:
    from acclimate.targets import Memory, Target

_WIDTH = 99
Name = Annotated[
    str | None, typer.Argument(metavar="NAME", help="One device in full; or your own FILE.toml.")
]


def targets_verb(name: Name = None, as_json: Json = False) -> None:
    """Lists the devices that acclimate compiles for; with NAME, one and its figures' sources."""
    from acclimate.targets import find_target, target_names

    if name is not None:
        target = find_target(name)
        if as_json:
            show_json(_document(target))
        else:
            show("\n".join(_in_full(target)))
        return
    targets = [find_target(built_in) for built_in in target_names()]
    if as_json:
        show_json({"targets": [_document(target) for target in targets]})
    else:
        show("\n".join(_listing(targets)))


def _document(target: Target) -> dict[str, Any]:
    memories = [{**asdict(m), "usable_bytes": m.usable_bytes} for m in target.memories]
    return {
        **asdict(target),
        "machine": target.machine,
        "features": sorted(target.features),
        "memories": memories,
    }


def _listing(targets: list[Target]) -> Iterator[str]:
    """Two lines per device; cells carry their units, so that no line is needed to explain them."""
    rows = [
        (
            target.name,
            f"{target.cores} x {target.processor}",
            f"{target.clock_hz / 1e6:g} MHz" if target.clock_hz else "-",
            f"{target.power_mw:.3g} mW" if target.power_mw else "-",
            _memories(target),
        )
        for target in targets
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for target, row in zip(targets, rows, strict=True):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join((*cells, row[-1])).rstrip()
        yield f"{'':<{widths[0]}}  {target.description}; simulator: {target.simulator}"


def _memories(target: Target) -> str:
    sizes = [f"{memory.name} {memory.size_bytes / 1024:g}" for memory in target.memories]
    sizes += [f"l3 {target.l3.size_bytes / 1024:g}"] if target.l3 else []
    return f"{', '.join(sizes)} KiB" if sizes else "-"


def _in_full(target: Target) -> Iterator[str]:
    yield f"{target.machine}: {target.description}"
    yield f"  processor  {target.cores} x {target.processor}"
    yield f"  features   {', '.join(sorted(target.features)) or 'none'}"
    yield f"  simulator  {target.simulator}"
    for memory in target.memories:
        yield f"  {memory.name:<9}  {_range(memory)}"
    yield ""
    figures = target.figures()
    name_width = max(len(figure.name) for figure in figures)
    value_width = max(len(figure.text) for figure in figures)
    for figure in figures:
        start = f"  {figure.name:<{name_width}}  {figure.text:>{value_width}}  "
        indent = " " * len(start)
        yield textwrap.fill(
            figure.source,
            _WIDTH,
            initial_indent=start,
            subsequent_indent=indent,
            break_long_words=False,
        )


def _range(memory: Memory) -> str:
    from acclimate.targets import size_text

    last = memory.address + memory.size_bytes - 1
    access = "" if memory.writable else ", read only"
    return (
        f"0x{memory.address:08x} to 0x{last:08x}, {size_text(memory.usable_bytes)}"
        f" of {size_text(memory.size_bytes)} usable{access}"
    )
