# SPDX-License-Identifier: Apache-2.0
"""Depthwise kernels in assembly on the RTL, on drawn shapes, against NumPy.

Every operand lies between guards of NaN: a read beyond it makes the result NaN, a write beyond it
changes a guard. Data races stop the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from acclimate.firmware import Firmware
from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X, CONV2D_FWD, CONV2D_STEP
from acclimate.kernels.op import Array, Op
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.function import OutOfRegisters
from acclimate.kernels.pulp.partition import bounds
from acclimate.plan import plan
from acclimate.program import Buffer, OpCase, Program, Role, View, operator_program
from acclimate.targets import Target, find_target
from acclimate.tune import select_kernels
from acclimate.tune.select import applicable, request_of

LR = 0.05
GUARD = 64  # words
SEED = 3
DRAWN = 24  # cases per machine
OPS = (CONV2D_FWD, CONV2D_BWD_X, CONV2D_BWD_W, CONV2D_STEP)
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


def geometry(rng: np.random.Generator) -> dict[str, Any]:
    """Sizes and attributes of a depthwise convolution with at least one output."""

    def number(*choices: int) -> int:
        return int(rng.choice(choices))

    while True:
        r, s = number(1, 2, 3, 3, 3, 4, 5, 7, 9), number(1, 2, 3, 3, 3, 4, 5)
        h, w = int(rng.integers(1, 22)), int(rng.integers(1, 19))
        stride = number(1, 1, 1, 2, 3), number(1, 1, 1, 2, 4)
        dilation = number(1, 1, 1, 2, 3), number(1, 1, 2)
        top, bottom = (int(n) for n in rng.integers(0, r * dilation[0] + 1, 2))
        left, right = (int(n) for n in rng.integers(0, s * dilation[1] + 1, 2))
        p = (h + top + bottom - dilation[0] * (r - 1) - 1) // stride[0] + 1
        q = (w + left + right - dilation[1] * (s - 1) - 1) // stride[1] + 1
        if p >= 1 and q >= 1:
            break
    channels = number(1, 2, 3, 5, 8, 9)
    return {
        "N": number(1, 1, 2, 3), "C": channels, "K": channels, "groups": channels,
        "H": h, "W": w, "R": r, "S": s, "P": p, "Q": q,
        "stride_h": stride[0], "stride_w": stride[1], "pad_top": top, "pad_left": left,
        "dilation_h": dilation[0], "dilation_w": dilation[1],
    }  # fmt: skip


def drawn_cases(seed: int) -> Iterator[Drawn]:
    rng = np.random.default_rng(seed)
    for number in range(DRAWN):
        op = OPS[number % len(OPS)]
        case = geometry(rng)
        optional = {o.name for o in (*op.signature.inputs, *op.signature.outputs) if o.optional}
        if op in OPS[:2]:
            case["lo"] = float(rng.choice([-np.inf, 0.0, -0.25]))
            case["hi"] = float(rng.choice([np.inf, 6.0, 0.5]))
        if op is CONV2D_STEP:
            case["weight_decay"] = float(rng.choice([0.0, 0.1]))
        without = frozenset(optional if rng.random() < 0.4 else ())
        accumulate = op is CONV2D_BWD_W and bool(rng.random() < 0.5)
        # Mostly the first choices: those are taken when nothing is measured.
        choice = float(rng.random() ** 3) if rng.random() < 0.5 else 0.0
        yield Drawn(OpCase(op, case, without, accumulate), choice)


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
    entries = {}
    for (name, entry), one in zip(chosen.entries.items(), drawn, strict=True):
        (call,) = entry.calls
        kernel = applicable(call, target.features)[0]
        assert kernel.symbol.endswith("_pulp_depthwise")
        assert kernel.generator is not None
        request = request_of(call, core)
        choices = [*kernel.generator.choices(request)]
        if choices and one.choice:
            assert call.work is not None
            choice = choices[int(one.choice * len(choices))]
            try:
                work = kernel.generator.write(request, choice)
            except OutOfRegisters:
                work = call.work
            if work.scratch == call.work.scratch:
                call = replace(call, kernel=kernel, choice=choice, work=work)
        entries[name] = replace(entry, calls=(call,))
    return replace(chosen, entries=entries)


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
    for view, value in zip(call.outputs, outputs, strict=True):
        if view is not None:
            old = program.values[view.buffer] if case.accumulate else 0.0
            found[view.buffer] = value + old
    return found


@pytest.mark.parametrize(("cores", "float_registers", "fpu_latency"), MACHINES)
def test_depthwise_kernels_compute_what_numpy_does(
    cores: int, float_registers: bool, fpu_latency: int
) -> None:
    target = machine(cores, float_registers, fpu_latency)
    drawn = [*drawn_cases(SEED + 100 * cores + fpu_latency)]
    plain = operator_program("dw", {f"case{n}": [one.case] for n, one in enumerate(drawn)})
    program = with_choices(guarded(plain), drawn, target)
    placed = plan(program, cores=cores, memories=target.memories)
    device = Firmware(program, placed, target, LR, "depthwise", "tests", ()).run(
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


@pytest.mark.parametrize("cores", [1, 3, 8])
def test_cores_write_every_output_once(cores: int) -> None:
    """`Work.touched` says who writes what; cores that share channels have the ranges of all."""
    core = Core(cores)
    for one in drawn_cases(SEED):
        program = operator_program("dw", {"run": [one.case]})
        (call,) = program.entries["run"].calls
        request = request_of(call, core)
        kernel = applicable(call, frozenset({"fpu", "xpulp"}))[0]
        assert kernel.generator is not None
        choice = next(iter(kernel.generator.choices(request)))
        work = kernel.generator.write(request, choice)
        if not work.touched:  # sums of several cores, with a barrier between
            assert work.scratch
            continue
        for operand, view in zip(call.op.signature.outputs, call.outputs, strict=True):
            if view is not None:
                written = np.concatenate(work.touched[operand.name])
                assert np.array_equal(np.sort(written), np.arange(view.size)), (operand, choice)
        channels = int(call.values()["C"])
        if channels % cores == 0:
            weights = work.touched["w" if "w" in work.touched else "dw"]
            size = sum(map(len, weights)) // channels
            for found, (first, end) in zip(weights, pairwise(bounds(channels, cores)), strict=True):
                assert np.array_equal(found, np.arange(first * size, end * size))
