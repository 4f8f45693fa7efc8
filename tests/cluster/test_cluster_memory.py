# SPDX-License-Identifier: Apache-2.0
"""L2, instruction cache, DMA and shared FPUs of the simulated cluster."""

from __future__ import annotations

import numpy as np
import pytest
from lab import Program, function, target

from acclimate.errors import SimulationFault

_COPIES = """
#include "cluster/cluster.h"
#include "port.h"
uint8_t inner[32768];
uint8_t outer[65536] AC_IN(l2);
static uint32_t word(const void *at) {
    return (uint32_t)(uintptr_t)at;
}
void copy(uint32_t bytes, uint32_t to_l1, uint32_t shift);
void copy(uint32_t bytes, uint32_t to_l1, uint32_t shift) {
    ac_dma_wait(ac_dma_copy(word(inner) + shift, word(outer) + shift, bytes, to_l1));
}
void rows(uint32_t bytes, uint32_t step, uint32_t row, uint32_t to_l1);
void rows(uint32_t bytes, uint32_t step, uint32_t row, uint32_t to_l1) {
    ac_dma_wait(ac_dma_copy_rows(word(inner), word(outer), bytes, step, row, to_l1));
}
void many(uint32_t count, uint32_t bytes);
void many(uint32_t count, uint32_t bytes) {
    uint32_t ids[16];
    for (uint32_t i = 0; i < count; i++)
        ids[i] = ac_dma_copy(word(inner) + i * bytes, word(outer) + i * bytes, bytes, 1);
    for (uint32_t i = 0; i < count; i++)
        ac_dma_wait(ids[i]);
}
"""
_BOTH = """
#include "cluster/cluster.h"
#include "port.h"
uint8_t inner[32768];
uint8_t outer[65536] AC_IN(l2);
static uint32_t word(const void *at) {
    return (uint32_t)(uintptr_t)at;
}
void both(uint32_t bytes, uint32_t shift);
void both(uint32_t bytes, uint32_t shift) {
    const uint32_t in = ac_dma_copy(word(inner), word(outer), bytes, 1);
    const uint32_t out = ac_dma_copy(word(inner) + 16384, word(outer) + shift, bytes, 0);
    ac_dma_wait(in);
    ac_dma_wait(out);
}
float early(int32_t waits);
float early(int32_t waits) {
    const uint32_t id = ac_dma_copy(word(inner), word(outer), 1024, 1);
    if (waits)
        ac_dma_wait(id);
    const float value = *(const volatile float *)(const void *)(inner + 512);
    if (!waits)
        ac_dma_wait(id);
    return value;
}
"""
_LATENCY = 12  # of L2 in pulp-cluster


def copier(**figures: int) -> Program:
    program = Program({"copies.c": _COPIES}, target(1, **figures))
    rng = np.random.default_rng(1)
    for name in ("inner", "outer"):
        memory = program.array(name, np.uint8)
        memory[...] = rng.integers(0, 256, memory.size)
    return program


@pytest.mark.parametrize("bytes_per_cycle", [4, 8, 16])
def test_a_copy_reaches_its_bytes_per_cycle(bytes_per_cycle: int) -> None:
    program = copier(dma_bytes_per_cycle=bytes_per_cycle)
    few, many = (program.call("copy", size, 1, 0).cycles for size in (4096, 28672))
    assert (28672 - 4096) / (many - few) == bytes_per_cycle
    assert few <= 4096 / bytes_per_cycle + _LATENCY + 40  # with command and wait


@pytest.mark.parametrize("to_l1", [0, 1])
@pytest.mark.parametrize(("size", "shift"), [(1, 0), (3, 1), (4, 0), (101, 3), (4096, 2)])
def test_a_copy_moves_these_bytes_and_no_others(size: int, shift: int, to_l1: int) -> None:
    program = copier()
    inner, outer = program.array("inner", np.uint8), program.array("outer", np.uint8)
    source, target_ = (outer, inner) if to_l1 else (inner, outer)
    expected = target_.copy()
    expected[shift : shift + size] = source[shift : shift + size]
    program.call("copy", size, to_l1, shift)
    np.testing.assert_array_equal(target_, expected)


@pytest.mark.parametrize("to_l1", [0, 1])
@pytest.mark.parametrize(("count", "step", "row"), [(5, 100, 40), (16, 64, 64), (7, 33, 9)])
def test_a_copy_of_rows_leaves_the_gaps_alone(count: int, step: int, row: int, to_l1: int) -> None:
    program = copier()
    inner, outer = program.array("inner", np.uint8), program.array("outer", np.uint8)
    places = (np.arange(count)[:, None] * step + np.arange(row)).reshape(-1)
    wanted_inner, wanted_outer = inner.copy(), outer.copy()
    if to_l1:
        wanted_inner[: count * row] = outer[places]
    else:
        wanted_outer[places] = inner[: count * row]
    program.call("rows", count * row, step, row, to_l1)
    np.testing.assert_array_equal(inner, wanted_inner)
    np.testing.assert_array_equal(outer, wanted_outer)


def test_copies_in_the_queue_hide_the_latency_of_l2() -> None:
    program = copier()
    one = program.call("many", 1, 1024).cycles
    eight = program.call("many", 8, 1024).cycles
    assert eight - one == pytest.approx(7 * 1024 / 8, abs=4)


def test_copies_in_and_out_run_at_the_same_time() -> None:
    program = Program({"both.c": _BOTH}, target(1))
    alone, both = copier().call("copy", 8192, 1, 0).cycles, program.call("both", 8192, 32768).cycles
    assert both < alone + 100


def test_copies_that_may_overtake_each_other_are_a_race() -> None:
    program = Program({"both.c": _BOTH}, target(1), check_races=True)
    program.call("both", 4096, 4096)
    with pytest.raises(SimulationFault, match="two cores touch"):
        program.call("both", 4096, 4092)


def test_what_a_copy_brings_is_a_race_until_somebody_has_waited() -> None:
    program = Program({"both.c": _BOTH}, target(1), check_races=True)
    program.call("early", 1)
    with pytest.raises(SimulationFault, match="two cores touch"):
        program.call("early", 0)


def test_a_core_that_waits_for_a_copy_sleeps() -> None:
    program = copier()
    cycles = program.call("copy", 8192, 1, 0).cycles
    assert program.counts()[0]["dma"] == pytest.approx(8192 / 8 + _LATENCY, abs=8)
    assert program.counts()[0]["dma"] < cycles


def test_the_dma_and_a_core_share_the_banks() -> None:
    source = (
        _COPIES
        + """
float work(void);
float work(void) {
    const uint32_t id = ac_dma_copy(word(inner), word(outer), 16384, 1);
    const volatile float *at = (const volatile float *)(const void *)inner;
    float sum = 0.0f;
    for (int32_t i = 0; i < 800; i++)
        sum += at[i & 1];
    ac_dma_wait(id);
    return sum;
}
"""
    )
    program = Program({"copies.c": source}, target(1, banks=2))
    program.call("work")
    assert program.counts()[0]["conflict"] > 100


def test_a_load_from_l2_takes_its_latency() -> None:
    source = """
#include "port.h"
int32_t far[64] AC_IN(l2);
int32_t near[64];
static int32_t sum(const volatile int32_t *values) {
    int32_t total = 0;
    for (int32_t i = 0; i < 64; i++)
        total += values[i];
    return total;
}
int32_t sum_far(void), sum_near(void);
int32_t sum_far(void) { return sum(far); }
int32_t sum_near(void) { return sum(near); }
"""
    program = Program({"c.c": source}, target(1))
    program.array("far", np.int32)[...] = 2
    near = program.call("sum_near").cycles
    far = program.call("sum_far")
    assert far.result == 128
    assert (far.cycles - near) / 64 == pytest.approx(_LATENCY - 1, abs=1)
    assert program.counts()[0]["l2"] >= 64 * (_LATENCY - 2)


def test_a_small_instruction_cache_misses() -> None:
    long_code = {"chain.S": function("chain", ["add a0, a0, a1"] * 2000)}
    ideal = Program(long_code, target(1)).call("chain", 0, 1).cycles
    cached = Program(long_code, target(1, icache_bytes=1024, icache_miss_cycles=8))
    first = cached.call("chain", 0, 1).cycles
    lines = 2000 / 4
    assert first - ideal == pytest.approx(lines * 8, rel=0.15)
    assert cached.counts()[0]["fetch"] > 0
    short = Program({"c.S": function("chain", ["add a0, a0, a1"] * 20)},
                    target(1, icache_bytes=1024, icache_miss_cycles=8))  # fmt: skip
    cold, warm = (short.call("chain", 0, 1).cycles for _ in range(2))
    assert cold > warm


_SHARED = """
#include "port.h"
float out[8];
float chain(float a, float b);
static void work(void *given, int32_t core) {
    out[core] = chain(*(const float *)given, (float)core);
}
void run(int32_t cores, float start);
void run(int32_t cores, float start) { ac_fork(work, &start, cores); }
"""


@pytest.mark.parametrize(("fpus", "slowdown"), [(8, 1.0), (4, 2.0), (2, 4.0)])
def test_shared_fpus_serve_one_core_a_cycle(fpus: int, slowdown: float) -> None:
    files = {"c.c": _SHARED, "chain.S": function("chain", ["fadd.s a0, a0, a1"] * 400)}
    program = Program(files, target(8, fpus=fpus))
    cycles = program.call("run", 8, 1.0).cycles
    assert cycles == pytest.approx(400 * slowdown, abs=120)
    np.testing.assert_allclose(program.array("out"), 1.0 + 400.0 * np.arange(8))


def test_a_shared_divider_serves_one_division_at_a_time() -> None:
    # 3 / 7: a quotient that ends early would keep the divider for fewer cycles
    lines = ["lui a1, 0x40E00", *["fdiv.s a2, a0, a1"] * 40, "mv a0, a2"]
    files = {"c.c": _SHARED, "chain.S": function("chain", lines)}
    alone = Program(files, target(8, fpus=8)).call("run", 8, 3.0).cycles
    shared = Program(files, target(8, fpus=4)).call("run", 8, 3.0).cycles
    assert shared / alone == pytest.approx(2.0, rel=0.1)


def test_half_precision_computes_two_lanes() -> None:
    pack = function("half", [
        ".insn r 0x33, 2, 0x58, t0, a0, a1",  # vfcpka.h.s t0, a0, a1: both as halves
        ".insn r 0x33, 2, 0x41, t1, t0, t0",  # vfadd.h
        ".insn r 0x33, 2, 0x43, t1, t1, t0",  # vfmul.h: 2 x^2
        "mv a0, t1",
    ])  # fmt: skip
    program = Program({"half.S": pack}, target(1, features=("f16",)))
    word = program.call("half", 1.5, -3.0).result
    lanes = np.array([word], np.uint32).view(np.float16)
    np.testing.assert_array_equal(lanes, np.float16([4.5, 18.0]))


def test_the_same_call_takes_the_same_cycles_on_a_new_machine() -> None:
    files = {"c.c": _SHARED, "chain.S": function("chain", ["fadd.s a0, a0, a1"] * 50)}
    found = {Program(files, target(8, fpus=4)).call("run", 8, 1.0).cycles for _ in range(3)}
    assert len(found) == 1
