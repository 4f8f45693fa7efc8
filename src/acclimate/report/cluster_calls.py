# SPDX-License-Identifier: Apache-2.0
"""Calls of a step alone on the cluster, for steps that take too long to simulate whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from acclimate.firmware import Firmware
from acclimate.kernels.op import DTYPES, Array
from acclimate.plan import plan
from acclimate.program import Buffer, Call, Entry, Program, Role, View, describe
from acclimate.simulate.cluster import ClusterDevice
from acclimate.targets import Target
from acclimate.tune.measure import resident

LR = 1e-3


def start(firmware: Firmware) -> ClusterDevice:
    """The firmware on the cluster."""
    device = firmware.run("cluster")
    assert isinstance(device, ClusterDevice)
    return device


def sum_of_calls(firmware: Firmware, machine: Target) -> int:
    """Cycles of the calls of a step, each run alone with a fork and a join of its own.

    Equal calls (same operator, shapes and kernel) are run once.
    """
    program = firmware.program
    found: dict[str, int] = {}
    total = 0
    for call in program.entries["train"].calls:
        key = _signature(program, call)
        if key not in found:
            found[key] = _measure_call(program, call, machine)
        total += found[key]
    return total


def _signature(program: Program, call: Call) -> str:
    views = [
        None if v is None else (program.buffers[v.buffer].dtype, v.shape, v.strides)
        for v in (*call.outputs, *call.inputs)
    ]
    kernel = call.kernel.symbol if call.kernel else ""
    return f"{describe(call)} {kernel} {call.attrs} {call.accumulate} {views}"


def _measure_call(program: Program, call: Call, machine: Target) -> int:
    """Cycles of one call on random data of its shapes."""
    # In the order of the call, not of a set: places in memory decide about bank conflicts.
    old = {view.buffer: program.buffers[view.buffer] for view in call.views}
    new = {name: _alone(buffer) for name, buffer in old.items()}
    rng = np.random.default_rng(0)
    values = {b.name: _values(rng, b) for b in new.values() if b.role is Role.STATE}

    def move(view: View | None) -> View | None:
        return view and replace(view, buffer=new[view.buffer].name)

    moved = replace(
        call,
        inputs=tuple(map(move, call.inputs)),
        outputs=tuple(map(move, call.outputs)),
        scratch=move(call.scratch),
    )
    buffers = {b.name: b for b in new.values()}
    single = Program("bench", buffers, {"run": Entry("run", (moved,))}, values)
    machine = resident(single, machine)
    placed = plan(single, cores=machine.cores, memories=machine.memories)
    firmware = Firmware(single, placed, machine, LR, "one call", "acclimate bench cluster", ())
    device = start(firmware)
    device.run_entry("run")
    return device.cycles


def _alone(buffer: Buffer) -> Buffer:
    """The buffer as part of a program of one call: static, so that it can be given values."""
    name = buffer.name.replace(".", "_")
    if buffer.role is Role.SCRATCH:
        return replace(buffer, name=f"run.{name}")
    return replace(
        buffer, name=name, role=Role.SCALAR if buffer.role is Role.SCALAR else Role.STATE
    )


def _values(rng: np.random.Generator, buffer: Buffer) -> Array:
    if buffer.dtype != "f32":
        return np.zeros(buffer.length, DTYPES[buffer.dtype])
    return rng.standard_normal(buffer.shape).astype(np.float32)
