# SPDX-License-Identifier: Apache-2.0
"""Gives every call its kernel and its scratch memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import replace

from acclimate.kernels.op import Kernel, pick
from acclimate.program import Buffer, Call, Program, Role, View, describe


def applicable(call: Call, features: Set[str]) -> list[Kernel]:
    """Kernels that may compute this call on a target, in the order of their declaration."""
    values = call.values()
    return [
        kernel
        for kernel in call.op.kernels
        if kernel.needs <= features and pick(kernel.when, values)
    ]


def select_kernels(program: Program, features: Set[str], cores: int = 1) -> Program:
    """Takes the first applicable kernel of every call and adds the scratch that it needs.

    Args:
        program: calls without kernels.
        features: what the target can do, e.g. {"simd"}.
        cores: how many cores run a call together; each has its own scratch.
    """
    buffers = dict(program.buffers)
    entries = {}
    for entry in program.entries.values():
        calls = []
        for call in entry.calls:
            if not call.op.kernels:
                calls.append(call)
                continue
            kernel = applicable(call, features)[0]
            words = int(pick(kernel.scratch, call.values())) * cores
            scratch = None
            if words:
                name = _scratch_name(entry.name, call, buffers)
                buffers[name] = Buffer(name, (words,), "f32", Role.SCRATCH, call.source)
                scratch = View.whole(buffers[name])
            calls.append(replace(call, kernel=kernel, scratch=scratch))
        entries[entry.name] = replace(entry, calls=tuple(calls))
    return replace(program, buffers=buffers, entries=entries)


def _scratch_name(entry: str, call: Call, taken: Mapping[str, Buffer]) -> str:
    """`train.conv1_conv2d_fwd_scratch`, with a number where a layer asks twice."""
    words = re.sub(r"\W+", "_", f"{call.source.module}_{describe(call)}_scratch").strip("_")
    stem = f"{entry}.{f'v_{words}' if words[:1].isdigit() else words}"
    name, count = stem, 2
    while name in taken:
        name, count = f"{stem}_{count}", count + 1
    return name
