# SPDX-License-Identifier: Apache-2.0
"""Kernels in assembly on the RTL, on drawn shapes, against NumPy.

Every operand lies between guards of NaN: a read beyond it makes the result NaN, a write beyond it
changes a guard. Data races stop the run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from acclimate.firmware import Firmware
from acclimate.kernels.op import Array, Op
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.function import OutOfRegisters
from acclimate.plan import plan
from acclimate.program import Buffer, OpCase, Program, Role, View, operator_program
from acclimate.targets import Target, find_target
from acclimate.tune import select_kernels
from acclimate.tune.select import request_of

LR = 0.05
GUARD = 64  # words
MACHINES = [
    pytest.param(cores, floats, latency, id=f"{cores} cores, {kind}, latency {latency}")
    for cores, floats, latency, kind in (
        (1, False, 0, "zfinx"),
        (3, False, 1, "zfinx"),
        (5, True, 1, "f"),
        (8, True, 0, "f"),
        (8, False, 0, "zfinx"),
    )
]


@dataclass(frozen=True)
class Drawn:
    """One call, and which of its choices is taken."""

    case: OpCase
    choice: float


def machine(cores: int, float_registers: bool, fpu_latency: int) -> Target:
    base = find_target("pulp-cluster").with_cores(cores).with_memory("l1", 4 * 1024 * 1024)
    assert base.cluster is not None
    features = base.features | ({"float_registers"} if float_registers else set())
    cluster = replace(base.cluster, fpus=cores, fpu_latency=fpu_latency)
    return replace(base, features=features, cluster=cluster)


def guarded(program: Program) -> Program:
    """The program with every operand between guards."""
    buffers, values = {}, {}
    for name, buffer in program.buffers.items():
        if buffer.role is Role.SCALAR:
            buffers[name] = buffer
            continue
        buffers[name] = Buffer(name, (buffer.size + 2 * GUARD,), "f32", buffer.role)
        wall = np.full(GUARD, np.nan, np.float32)
        values[name] = np.concatenate([wall, program.values[name].reshape(-1), wall])

    def move(view: View | None) -> View | None:
        return view and (replace(view, offset=GUARD) if view.shape else view)

    entries = {
        name: replace(
            entry,
            calls=tuple(
                replace(
                    call,
                    inputs=tuple(map(move, call.inputs)),
                    outputs=tuple(map(move, call.outputs)),
                )
                for call in entry.calls
            ),
        )
        for name, entry in program.entries.items()
    }
    return replace(program, buffers=buffers, values=values, entries=entries)


def with_choices(program: Program, drawn: list[Drawn], target: Target) -> Program:
    """The program with kernels, each with the choice that was drawn for it."""
    core = Core.of(target)
    chosen = select_kernels(program, target)
    buffers, entries = dict(chosen.buffers), {}
    for (name, entry), one in zip(chosen.entries.items(), drawn, strict=True):
        (call,) = entry.calls
        kernel = call.kernel
        assert kernel is not None and kernel.generator is not None, "portable C was taken"
        request = request_of(call, core)
        choices = [*kernel.generator.choices(request)]
        if choices and one.choice:
            assert call.work is not None
            choice = choices[int(one.choice * len(choices))]
            try:
                work = kernel.generator.write(request, choice)
            except OutOfRegisters:
                work = call.work
            scratch = None
            if work.scratch:
                own = Buffer(f"{name}.own", (work.scratch,), "f32", Role.SCRATCH)
                buffers[own.name], scratch = own, View.whole(own)
            call = replace(call, kernel=kernel, choice=choice, work=work, scratch=scratch)
        entries[name] = replace(entry, calls=(call,))
    return replace(chosen, buffers=buffers, entries=entries)


def expected(op: Op, case: OpCase, program: Program, entry: str) -> dict[str, Array]:
    """Buffers after the call."""
    values, attrs = op.case_values(case.case)
    (call,) = program.entries[entry].calls
    inputs = [
        None
        if view is None
        else np.float32(LR)
        if not view.shape
        else program.values[view.buffer].astype(np.float64)
        for view in call.inputs
    ]
    outputs = op.evaluate(attrs, inputs, values)
    found = {}
    for number, (view, value) in enumerate(zip(call.outputs, outputs, strict=True)):
        if view is not None:
            adds = case.accumulate and op.signature.inplace(number) is None
            old = program.values[view.buffer] if adds else 0.0
            found[view.buffer] = value + old
    return found


def check(drawn: list[Drawn], target: Target) -> Program:
    """Runs the cases on a target; returns the program that ran."""
    plain = operator_program("drawn", {f"case{n}": [one.case] for n, one in enumerate(drawn)})
    program = with_choices(guarded(plain), drawn, target)
    placed = plan(program, cores=target.cores, memories=target.memories)
    device = Firmware(program, placed, target, LR, "drawn cases", "tests", ()).run(
        "cluster", check_races=True
    )
    for number, one in enumerate(drawn):
        entry, case = f"case{number}", one.case
        wanted = expected(case.op, case, plain, entry)
        call = program.entries[entry].calls[0]
        what = (
            f"{case.op.name} {dict(case.case)} {call.kernel and call.kernel.symbol} {call.choice}"
        )
        device.run_entry(entry, lr=LR)
        for name in {view.buffer for view in plain.entries[entry].calls[0].views if view.shape}:
            found = device.state[name]
            inner = found[GUARD:-GUARD].reshape(plain.buffers[name].shape)
            assert np.isnan(found[:GUARD]).all() and np.isnan(found[-GUARD:]).all(), what
            want = wanted.get(name, plain.values[name])
            np.testing.assert_allclose(inner, want, rtol=1e-4, atol=2e-4, err_msg=what)
    return program
