# SPDX-License-Identifier: Apache-2.0
"""Every case of every operator: C on the cluster with 1 to 8 cores and C on Cortex-M = NumPy.

On the cluster data races stop the run. The bound is that of the ladder: sums of a few hundred
float32 products in another order, and multiplications fused with additions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sounds
from acclimate.firmware import Firmware
from acclimate.kernels import OPS
from acclimate.kernels.max_pool2d.op import MAX_POOL2D_BWD, MAX_POOL2D_FWD
from acclimate.kernels.op import Op
from acclimate.plan import plan
from acclimate.program import Interpreter, OpCase, Program, operator_program
from acclimate.simulate import Device
from acclimate.targets import Target, find_target
from acclimate.tune import select_kernels
from ladder import FORWARD_BOUND, assert_close

LR = 0.05
CASED = [op for op in OPS if op.cases]
L1_BYTES = 4 * 1024 * 1024


def positions(case: dict, seed: int) -> dict[str, np.ndarray]:
    """Where the maxima are, for the backward of max pooling: not every number is a position."""
    values, attrs = MAX_POOL2D_FWD.case_values(case)
    shape = [values[dim] for dim in MAX_POOL2D_FWD.signature.inputs[0].dims]
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    at = MAX_POOL2D_FWD.evaluate(attrs, (x,), values)[1]
    return {MAX_POOL2D_BWD.signature.inputs[1].name: at}


def cases_of(op: Op) -> Program:
    """One entry point per case, with and without the optional operands, set and accumulated."""
    optional = {o.name for o in (*op.signature.inputs, *op.signature.outputs) if o.optional}
    entries = {}
    for number, case in enumerate(op.cases):
        # Sounds without bands that are much weaker than others: their logarithm is exact.
        data = sounds.named_operands(op, case, number, ("noise", "silence", "impulses"))
        if op is MAX_POOL2D_BWD:
            data = positions(dict(case), number)
        entries[f"case{number}"] = [
            OpCase(
                op,
                case,
                frozenset(optional if number % 3 == 2 else ()),
                accumulate=op.accumulates and number % 2 == 1,
                data=data,
            )
        ]
    return operator_program("ops", entries)


def firmware_for(program: Program, target: Target) -> Firmware:
    chosen = select_kernels(program, target)
    placed = plan(chosen, cores=target.cores, memories=target.memories)
    return Firmware(chosen, placed, target, LR, "operator cases", "tests", ())


def check(device: Device, program: Program, what: str) -> None:
    expected = Interpreter(program)
    for entry in program.entries:
        scalars = {b.name: LR for b in program.interface(entry)}
        expected.run(entry, **scalars)
        device.run_entry(entry, lr=LR)
    for name, value in device.state.items():
        assert_close(value, expected.value(name), FORWARD_BOUND, f"{what}: {name}")


@pytest.mark.parametrize("cores", [1, 2, 4, 8])
@pytest.mark.parametrize("op", CASED, ids=lambda op: op.name)
def test_operator_on_the_cluster(op: Op, cores: int) -> None:
    target = find_target("pulp-cluster").with_cores(cores).with_memory("l1", L1_BYTES)
    program = cases_of(op)
    device = firmware_for(program, target).run("cluster", check_races=True)
    check(device, program, f"{op.name} on {cores} cores")


@pytest.mark.parametrize(
    "processor", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]
)
@pytest.mark.parametrize("op", CASED, ids=lambda op: op.name)
def test_operator_on_cortex_m(op: Op, processor: str) -> None:
    program = cases_of(op)
    target = replace(find_target("portable"), features=frozenset({"fpu"}))
    check(firmware_for(program, target).run(processor), program, f"{op.name} on {processor}")
