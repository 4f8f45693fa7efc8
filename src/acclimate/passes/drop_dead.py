# SPDX-License-Identifier: Apache-2.0
"""Removes calls whose results nobody needs."""

from __future__ import annotations

from dataclasses import replace

from acclimate.program import Call, Program, describe


def drop_dead(program: Program) -> tuple[Program, list[str]]:
    """Keeps the calls that outputs, parameters and states depend on.

    Before: the training step computes the scores, the loss needs their logarithms only. After: what
    leads to the scores alone is gone.
    """
    changes: list[str] = []
    entries = {}
    for entry in program.entries.values():
        needed: set[str] = set()
        kept: list[Call] = []
        for call in reversed(entry.calls):
            lasting = any(not program.buffers[view.buffer].role.in_arena for view in call.writes)
            if lasting or any(view.buffer in needed for view in call.writes):
                kept.append(_without_dead_outputs(program, call, needed))
                needed.update(view.buffer for view in call.reads)
            else:
                changes.append(f"{entry.name}: {describe(call)} {call.source.module}".rstrip())
        entries[entry.name] = replace(entry, calls=tuple(reversed(kept)))
    return replace(program, entries=entries), changes


def _without_dead_outputs(program: Program, call: Call, needed: set[str]) -> Call:
    """Optional outputs that nobody reads are not computed."""
    if call.op.generated:
        return call
    outputs = tuple(
        None
        if view is not None
        and operand.optional
        and program.buffers[view.buffer].role.in_arena
        and view.buffer not in needed
        else view
        for operand, view in zip(call.op.signature.outputs, call.outputs, strict=True)
    )
    return replace(call, outputs=outputs)
