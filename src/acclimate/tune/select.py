# SPDX-License-Identifier: Apache-2.0
"""Gives every call its kernel and its scratch memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import replace

from acclimate.kernels.op import Kernel, pick
from acclimate.kernels.pulp.function import Core, OutOfRegisters
from acclimate.kernels.pulp.work import Choice, Request, Work
from acclimate.program import Buffer, Call, Program, Role, View, describe
from acclimate.targets import Target


def applicable(call: Call, features: Set[str]) -> list[Kernel]:
    """Kernels that may compute this call on a target, in the order of their declaration."""
    values = call.values()
    return [
        kernel
        for kernel in call.op.kernels
        if kernel.needs <= features and pick(kernel.when, values)
    ]


def request_of(call: Call, core: Core) -> Request:
    """A call as generators see it."""
    pairs = [
        *zip(call.op.signature.inputs, call.inputs, strict=True),
        *zip(call.op.signature.outputs, call.outputs, strict=True),
    ]
    present = frozenset(operand.name for operand, view in pairs if view is not None)
    return Request(call.values(), present, call.accumulate, core)


def select_kernels(program: Program, target: Target) -> Program:
    """Takes the first applicable kernel of every call and adds the scratch that it needs.

    Args:
        program: calls without kernels, or with kernels of another target, which are replaced.
        target: what the kernels run on; a kernel of one function has scratch for each core.
    """
    buffers = {name: b for name, b in program.buffers.items() if b.role is not Role.SCRATCH}
    entries = {}
    core = Core.of(target)
    for entry in program.entries.values():
        calls = []
        for call in entry.calls:
            chosen, words = _choose(call, target, core)
            if words:
                name = _scratch_name(entry.name, call, buffers)
                buffers[name] = Buffer(name, (words,), "f32", Role.SCRATCH, call.source)
                chosen = replace(chosen, scratch=View.whole(buffers[name]))
            calls.append(chosen)
        entries[entry.name] = replace(entry, calls=tuple(calls))
    return replace(program, buffers=buffers, entries=entries)


def _choose(call: Call, target: Target, core: Core) -> tuple[Call, int]:
    """The call with its kernel, and the words of its scratch."""
    call = replace(call, kernel=None, scratch=None, choice=None, work=None)
    for kernel in applicable(call, target.features):
        if kernel.generator is None:
            words = int(pick(kernel.scratch, call.values())) * target.cores
            return replace(call, kernel=kernel), words
        found = _first_fitting(kernel, request_of(call, core))
        if found is not None:
            choice, work = found
            return replace(call, kernel=kernel, choice=choice, work=work), work.scratch
    return call, 0


def _first_fitting(kernel: Kernel, request: Request) -> tuple[Choice, Work] | None:
    """The most promising choice that fits the core."""
    assert kernel.generator is not None
    for choice in kernel.generator.choices(request):
        try:
            return choice, kernel.generator.write(request, choice)
        except OutOfRegisters:
            continue
    return None


def _scratch_name(entry: str, call: Call, taken: Mapping[str, Buffer]) -> str:
    """`train.conv1_conv2d_fwd_scratch`, with a number where a layer asks twice."""
    words = re.sub(r"\W+", "_", f"{call.source.module}_{describe(call)}_scratch").strip("_")
    stem = f"{entry}.{f'v_{words}' if words[:1].isdigit() else words}"
    name, count = stem, 2
    while name in taken:
        name, count = f"{stem}_{count}", count + 1
    return name
