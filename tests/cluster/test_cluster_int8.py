# SPDX-License-Identifier: Apache-2.0
"""Convolutions of eight-bit integers in assembly, on drawn shapes on the RTL, bit for bit.

Every operand lies between guards: what is written beyond it changes one. Data races stop the run.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn import MACHINES, Drawn, machine, with_choices

from acclimate.firmware import Firmware
from acclimate.plan import plan
from acclimate.program import Interpreter, OpCase, Program, View, operator_program
from acclimate.targets import Target
from int8 import drawn_convolution

DRAWN = 24  # cases per machine
GUARD = 64  # elements
LEAST_WRITTEN = 12  # of the drawn cases, those that assembly computes


def guarded(program: Program) -> Program:
    """The program with every operand between guards, which are its largest values."""
    buffers, values = {}, {}
    for name, buffer in program.buffers.items():
        buffers[name] = replace(buffer, shape=(buffer.size + 2 * GUARD,))
        value = program.values[name].reshape(-1)
        wall = np.full(GUARD, np.iinfo(value.dtype).max, value.dtype)
        values[name] = np.concatenate([wall, value, wall])

    def move(view: View | None) -> View | None:
        return view and replace(view, offset=GUARD)

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


def is_written(case: OpCase, target: Target) -> bool:
    """True if a generator can write it; the others are the portable C."""
    from acclimate.tune import select_kernels

    program = select_kernels(operator_program("one", {"run": [case]}), target)
    return program.entries["run"].calls[0].work is not None


@pytest.mark.parametrize(("cores", "float_registers", "fpu_latency"), MACHINES)
def test_generated_kernels_compute_what_numpy_does(
    cores: int, float_registers: bool, fpu_latency: int
) -> None:
    target = machine(cores, float_registers, fpu_latency)
    rng = np.random.default_rng(10 * cores + fpu_latency)
    every = [drawn_convolution(rng) for _ in range(DRAWN)]
    cases = [case for case in every if is_written(case, target)]
    assert LEAST_WRITTEN <= len(cases) < DRAWN
    drawn = [Drawn(case, float(rng.random() ** 3)) for case in cases]
    plain = operator_program("drawn", {f"case{n}": [case] for n, case in enumerate(cases)})
    program = with_choices(guarded(plain), drawn, target)
    placed = plan(program, cores=target.cores, memories=target.memories)
    device = Firmware(program, placed, target, 0.0, "drawn cases", "tests", ()).run(
        "cluster", check_races=True
    )
    meaning = Interpreter(program)
    for number, case in enumerate(cases):
        meaning.run(f"case{number}")
        device.run_entry(f"case{number}")
        (call,) = program.entries[f"case{number}"].calls
        for view in call.views:
            np.testing.assert_array_equal(
                device.state[view.buffer].reshape(-1), meaning.value(view.buffer),
                err_msg=f"{case.op.name} {dict(case.case)} {call.choice}",
            )  # fmt: skip
