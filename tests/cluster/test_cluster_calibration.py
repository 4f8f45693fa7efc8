# SPDX-License-Identifier: Apache-2.0
"""The simulated cluster against known figures: the published one, and the RTL's own latencies."""

from __future__ import annotations

import numpy as np
import pytest
from lab import Program, function, hardware_loop, load_next, target

# y[CO, P] = w[CO, C] x[C, P] as a compiler with hardware loops writes it: two loads, one FMA.
C, CO, P = 64, 64, 125
_MATMUL = f"""
#include "port.h"
float x[{C * P}], w[{CO * C}], y[{CO * P}];
void row(float *out, const float *weights, const float *in);
static void matmul(void *given, int32_t core) {{
    const int32_t cores = *(const int32_t *)given, part = ({CO} + cores - 1) / cores;
    for (int32_t i = core * part; i < core * part + part && i < {CO}; i++)
        row(y + i * {P}, w + i * {C}, x);
}}
void run(int32_t cores);
void run(int32_t cores) {{
    ac_fork(matmul, &cores, cores);
}}
"""
_ROW = function(
    "row",
    [
        ".option push",
        ".option norvc",
        f"li      a3, {4 * P}",
        f"li      a4, {C}",
        f"addi    a5, a0, {4 * P}",
        ".balign 4",
        "1: mv   t3, a1",
        "mv      t4, a2",
        "li      t0, 0",
        *hardware_loop(
            "a4",
            [
                load_next("t1", "t3", 4),
                ".insn r 0x2B, 3, 0x02, t2, t4, a3",  # cv.lw t2, (t4), a3
                "fmadd.s t0, t1, t2, t0",
            ],
        ),
        ".insn s 0x2B, 2, t0, 4(a0)",  # cv.sw t0, (a0), 4
        "addi    a2, a2, 4",
        "bne     a0, a5, 1b",
        ".option pop",
    ],
)


def matmul(cores: int, **figures: int) -> tuple[Program, int]:
    program = Program({"mm.c": _MATMUL, "row.S": _ROW}, target(cores, **figures))
    rng = np.random.default_rng(0)
    x, w = program.array("x"), program.array("w")
    x[...], w[...] = rng.standard_normal(x.size), rng.standard_normal(w.size)
    cycles = program.call("run", cores).cycles
    expected = w.reshape(CO, C) @ x.reshape(C, P)
    np.testing.assert_allclose(program.array("y").reshape(CO, P), expected, atol=1e-4)
    return program, cycles


def test_naive_matmul_on_one_core_takes_the_published_cycles() -> None:
    _, cycles = matmul(1)
    rate = C * CO * P / cycles
    # PULP-TrainLib, SAMOS 2022: 0.24 MAC/cycle
    assert rate == pytest.approx(0.24, rel=0.02)


def test_more_banks_mean_fewer_conflicts() -> None:
    cycles = {banks: matmul(8, banks=banks)[1] for banks in (8, 16, 32)}
    free = matmul_free(8)
    assert cycles[8] > cycles[16] >= cycles[32] > free
    assert C * CO * P / cycles[16] == pytest.approx(1.88, rel=0.02)  # rtl.md: naive, 8 cores


def matmul_free(cores: int) -> int:
    """Cycles when no two accesses conflict."""
    program = Program({"mm.c": _MATMUL, "row.S": _ROW}, target(cores), conflicts=False)
    return int(program.call("run", cores).cycles)


_PIECES = """
#include "port.h"
static void nothing(void *given, int32_t core) { (void)given; (void)core; }
void empty(int32_t cores);
void empty(int32_t cores) { ac_fork(nothing, 0, cores); }
"""


def chain(instruction: str) -> str:
    """A function that runs an instruction on its own result 100 times."""
    return function("chain", [instruction] * 100)


def test_a_fork_and_join_of_nothing() -> None:
    # Code of the compiler, so a few cycles may come and go; nothing grows with the cores.
    for cores, expected in ((1, 38), (2, 41), (8, 41)):
        program = Program({"pieces.c": _PIECES}, target(cores))
        program.call("empty", cores)
        assert program.call("empty", cores).cycles == pytest.approx(expected, abs=5)


def test_a_barrier_loop_takes_8_cycles() -> None:
    # cv.elw, count down, branch back: 8 cycles a turn, whatever the number of cores
    lines = ["li t0, 0x1B20001C", "1: .insn i 0x0B, 3, t1, 0(t0)", "addi a0, a0, -1", "bnez a0, 1b"]
    source = """
#include "port.h"
void turns(int32_t count);
static void work(void *given, int32_t core) { (void)core; turns(*(const int32_t *)given); }
void run(int32_t cores, int32_t count);
void run(int32_t cores, int32_t count) { ac_fork(work, &count, cores); }
"""
    for cores in (1, 2, 8):
        program = Program({"c.c": source, "turns.S": function("turns", lines)}, target(cores))
        few, many = (program.call("run", cores, count).cycles for count in (10, 110))
        assert (many - few) / 100 == 8


@pytest.mark.parametrize(
    ("instruction", "cycles"),
    [("fadd.s a0, a0, a1", 1), ("fmadd.s a0, a0, a1, a1", 1), ("mul a0, a0, a1", 1),
     ("mulh a0, a0, a1", 5)],
)  # fmt: skip
def test_an_instruction_that_waits_for_itself(instruction: str, cycles: int) -> None:
    program = Program({"chain.S": chain(instruction)}, target(1))
    spent = program.call("chain", 1e10, 1.1).cycles
    assert spent == pytest.approx(100 * cycles, abs=8)


@pytest.mark.parametrize("instruction", ["fdiv.s a2, a0, a1", "fsqrt.s a2, a0"])
def test_division_and_square_root_make_the_next_instruction_wait_18_cycles(
    instruction: str,
) -> None:
    program = Program({"chain.S": chain(instruction)}, target(1))
    program.call("chain", 3.0, 7.0)
    assert program.counts()[0]["execute"] == 99 * 18


def test_a_pipelined_fpu_makes_dependent_operations_wait() -> None:
    program = Program({"chain.S": chain("fmadd.s a0, a0, a1, a1")}, target(1, fpu_latency=1))
    assert program.call("chain", 1.0, 1.0).cycles == pytest.approx(200, abs=8)
