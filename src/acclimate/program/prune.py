# SPDX-License-Identifier: Apache-2.0
"""Drops what no call uses."""

from __future__ import annotations

from dataclasses import replace

from acclimate.program.ir import Program


def prune(program: Program) -> Program:
    """Removes buffers that no call uses, parameters and frozen weights too: nothing reads them."""
    used = {view.buffer for call in program.calls() for view in call.views}
    used.update(name for entry in program.entries.values() for name in entry.data)
    buffers = {name: b for name, b in program.buffers.items() if name in used}
    values = {name: v for name, v in program.values.items() if name in buffers}
    return replace(program, buffers=buffers, values=values)
