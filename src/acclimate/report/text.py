# SPDX-License-Identifier: Apache-2.0
"""Report -> aligned plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from acclimate.program import Phase, Source
from acclimate.report.cycles import StepCycles
from acclimate.report.report import EntryReport, PassRow, Report
from acclimate.report.training_memory import Kind, TrainingMemory

_SHOWN_CHANGES = 6


def report_text(report: Report, *, calls: bool = False) -> str:
    """The report as text for a terminal of about 100 columns.

    Args:
        report: what to print.
        calls: with a line for every call.
    """
    blocks = [
        [f"{report.name}: {report.title}", f"target {report.target}, acclimate {report.version}"],
        ["memory [B]", *_indent(_memory(report))],
        ["entry points", *_indent(_entries(report))],
    ]
    for memory in report.training:
        head = f"training memory [B] of {' + '.join(memory.entries)}"
        blocks.append([head, *_indent(_training(memory))])
    if report.profile:
        blocks.append(_cycles(report.profile))
    blocks.append(["passes", *_indent(_passes(report.passes))])
    if calls:
        blocks += [[f"calls of {e.name}", *_indent(_calls(e))] for e in report.entries]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def align(rows: Sequence[Sequence[str]], kinds: str) -> list[str]:
    """Rows as lines with columns of equal width.

    Args:
        rows: cells; the first row may be the head.
        kinds: one letter per column: `l` left, `r` right.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(kinds))]
    lines = []
    for row in rows:
        cells = zip(row, widths, kinds, strict=True)
        padded = [cell.rjust(w) if kind == "r" else cell.ljust(w) for cell, w, kind in cells]
        lines.append("  ".join(padded).rstrip())
    return lines


def place(source: Source) -> str:
    """`kws.py:41`, or nothing."""
    return f"{source.file}:{source.line}" if source.file else ""


def number(value: int | None) -> str:
    """`12,345`, or nothing."""
    return "" if value is None else f"{value:,}"


def _indent(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _memory(report: Report) -> list[str]:
    memory = report.memory
    static = dict(memory.static_bytes)
    frozen, stored = static.pop("frozen", 0), static.pop("stored", 0)
    rows = [["arena", number(memory.arena_bytes), "buffers of one entry point at a time"]]
    rows += [[role, number(size), "static"] for role, size in static.items()]
    rows += [["RAM", number(memory.ram_bytes), "arena and static, without stack"]]
    if memory.l3_bytes:
        what = "activations and frozen weights" if stored else "activations"
        rows += [["l3", number(memory.l3_bytes), f"{what} wait there, behind the RAM"]]
    if frozen:
        rows += [["frozen", number(frozen), "constants in flash; in RAM with --weights binary"]]
    rows += [["flash", number(memory.flash_bytes), "constants and initial values, without code"]]
    return align(rows, "lrl")


def _entries(report: Report) -> list[str]:
    timed = any(entry.host_ms is not None for entry in report.entries)
    head = ["", "calls", "arena [B]", "bound [B]", "gap", "MACs", "forward", "backward", "update"]
    rows = [[*head, *(["host [ms]"] * timed)]]
    for entry in report.entries:
        phases = entry.macs_by_phase()
        row = [entry.name, number(len(entry.calls)), number(entry.arena_bytes)]
        row += [number(entry.bound_bytes), f"{entry.gap:.1%}", number(entry.macs)]
        row += [number(phases[phase]) for phase in Phase]
        if timed:
            row.append("" if entry.host_ms is None else f"{entry.host_ms:.3f}")
        rows.append(row)
    lines = align(rows, "l" + "r" * (len(rows[0]) - 1))
    lines += [f"arena of {e.name}: {_arenas(e)}" for e in report.entries if len(e.arenas) > 1]
    return [*lines, *(["host [ms]: measured on this machine, one core"] * timed)]


def _arenas(entry: EntryReport) -> str:
    """`21,544 B in l1 (gap 0.0%), 24,576 B in l2 (gap 0.3%)`."""
    return ", ".join(
        f"{number(entry.arenas[memory])} B in {memory} (gap {gap:.1%})"
        for memory, gap in entry.gaps.items()
    )


def _training(memory: TrainingMemory) -> list[str]:
    kinds = memory.bytes_by_kind()
    rows = [[kind, number(size), _largest(memory, kind)] for kind, size in kinds.items() if size]
    rows += [["sum", number(memory.total_bytes), ""]]
    lines = align(rows, "lrl")
    where = f"{memory.peak_entry}, call {memory.peak_call}"
    lines.append(f"the arena part is that of {where}, where it peaks")
    lines.append(
        f"all kept activations {memory.kept_bytes:,} B; most backward temporaries at once"
        f" {memory.backward_peak_bytes:,} B; the caller keeps x and y {memory.caller_bytes:,} B"
    )
    if memory.published_bytes is not None:
        lines.append(
            f"published model of a classifier-only update, 4 (3 C N + C + N):"
            f" {memory.published_bytes:,} B"
        )
    return lines


def _largest(memory: TrainingMemory, kind: Kind, count: int = 3) -> str:
    parts = sorted((p for p in memory.parts if p.kind is kind), key=lambda p: -p.size_bytes)
    names = [f"{part.name} {part.size_bytes:,}" for part in parts[:count]]
    more = len(parts) - count
    return ", ".join(names) + (f", {more} more" if more > 0 else "")


def _cycles(step: StepCycles) -> list[str]:
    """Not indented: the table takes the whole width."""
    from acclimate.report.cycles_text import cost_text, cycles_text

    return [f"cycles of {step.entry}: {cost_text(step)}", "", *cycles_text(step)]


def _passes(passes: Sequence[PassRow]) -> list[str]:
    rows = [["", "changes", "calls", "peak [B]"]]
    rows += [
        [p.name, number(len(p.changes)), number(p.calls), number(p.peak_bytes)] for p in passes
    ]
    lines = []
    for line, row in zip(align(rows, "lrrr"), [None, *passes], strict=True):
        lines.append(line)
        changes = row.changes if row else ()
        lines += [f"    {change}" for change in changes[:_SHOWN_CHANGES]]
        if len(changes) > _SHOWN_CHANGES:
            lines.append(f"    ... {len(changes) - _SHOWN_CHANGES} more")
    return lines


def _calls(entry: EntryReport) -> list[str]:
    head = ["", "phase", "op", "kernel", "MACs", "read [B]", "written [B]", "live [B]"]
    more = ["tiles", "copied [B]"] if entry.copies else []
    rows = [[*head, *more, "source"]]
    for call in entry.calls:
        rows.append(
            [
                str(call.number),
                call.phase,
                call.op,
                call.kernel or "loop",
                number(call.macs),
                number(call.read_bytes),
                number(call.written_bytes),
                number(call.live_bytes),
                *([number(call.tiles), number(call.copied_bytes)] if entry.copies else []),
                "  ".join(part for part in (call.source.module, place(call.source)) if part),
            ]
        )
    return align(rows, f"rlllrrrr{'r' * len(more)}l")
