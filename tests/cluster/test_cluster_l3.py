# SPDX-License-Identifier: Apache-2.0
"""L3 of the simulated cluster: copies to L2 and back beside the cores, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lab import Program, target

from acclimate.errors import SimulationFault
from acclimate.targets import L3

_SETUP, _RATE = 300, 0.75
_SOURCE = """
#include "cluster/cluster.h"
#include "port.h"
uint8_t inner[4096];
uint8_t outer[16384] AC_IN(l2);
AC_L3(far, 16384);
static uint32_t word(const void *at) {
    return (uint32_t)(uintptr_t)at;
}
void copy(int32_t bytes, int32_t inward, int32_t shift);
void copy(int32_t bytes, int32_t inward, int32_t shift) {
    if (inward)
        ac_l3_in(3, outer + shift, far + shift, bytes);
    else
        ac_l3_out(3, far + shift, outer + shift, bytes);
    ac_l3_wait(3);
}
void both(int32_t bytes);
void both(int32_t bytes) {
    ac_l3_out(0, far, outer, bytes);
    ac_l3_in(15, outer + 8192, far + 8192, bytes);
    ac_l3_wait(15);
    ac_l3_wait(0);
}
float work(int32_t bytes, int32_t rounds);
float work(int32_t bytes, int32_t rounds) {
    volatile float *const at = (volatile float *)(void *)inner;
    if (bytes > 0)
        ac_l3_in(1, outer, far, bytes);
    for (int32_t i = 0; i < rounds; i++)
        at[1] = at[0];
    if (bytes > 0)
        ac_l3_wait(1);
    return at[1];
}
uint32_t early(int32_t waits);
uint32_t early(int32_t waits) {
    ac_l3_in(2, outer, far, 1024);
    if (waits)
        ac_l3_wait(2);
    const uint32_t value = *(const volatile uint8_t *)(outer + 1023);
    if (!waits)
        ac_l3_wait(2);
    return value;
}
void tile(int32_t waits);
void tile(int32_t waits) {
    ac_l3_in(2, outer, far, 1024);
    if (waits)
        ac_l3_wait(2);
    ac_dma_wait(ac_dma_copy_rows(word(inner), word(outer) + 1000, 64, 32, 16, 1));
    if (!waits)
        ac_l3_wait(2);
}
uint32_t load(void);
uint32_t load(void) {
    return far[4];
}
void store(void);
void store(void) {
    *(volatile uint8_t *)(far + 4) = 1;
}
void straight(void);
void straight(void) {
    ac_dma_wait(ac_dma_copy(word(inner), word(far), 64, 1));
}
void beyond(uint32_t outer_bytes);
void beyond(uint32_t outer_bytes) {
    ac_udma_copy(0, 0x80000000u + 65536u - 4u, word(outer), outer_bytes, 1);
}
"""


def machine(**options: Any) -> Program:
    """64 KiB of L3, and everything in the memories random."""
    cluster = replace(target(1), l3=L3(65536, 0, _SETUP, _RATE))
    program = Program({"l3.c": _SOURCE}, cluster, **options)
    rng = np.random.default_rng(2)
    for name in ("outer", "far"):
        memory = program.array(name, np.uint8)
        memory[...] = rng.integers(0, 256, memory.size)
    return program


@pytest.mark.parametrize("inward", [0, 1])
@pytest.mark.parametrize(("size", "shift"), [(1, 0), (3, 1), (4096, 8), (5001, 7)])
def test_a_copy_moves_these_bytes_and_no_others(size: int, shift: int, inward: int) -> None:
    program = machine()
    outer, far = program.array("outer", np.uint8), program.array("far", np.uint8)
    source, changed = (far, outer) if inward else (outer, far)
    wanted, kept = changed.copy(), source.copy()
    wanted[shift : shift + size] = source[shift : shift + size]
    program.call("copy", size, inward, shift)
    np.testing.assert_array_equal(changed, wanted)
    np.testing.assert_array_equal(source, kept)


@pytest.mark.parametrize("inward", [0, 1])
def test_a_copy_takes_its_setup_and_its_bytes_per_cycle(inward: int) -> None:
    program = machine()
    few, many = (program.call("copy", size, inward, 0).cycles for size in (1500, 15000))
    assert many - few == pytest.approx((15000 - 1500) / _RATE, abs=2)
    assert few == pytest.approx(_SETUP + 1500 / _RATE, abs=40)  # with the command and the wait
    assert program.counts()[0]["dma"] == pytest.approx(_SETUP + 15000 / _RATE, abs=20)


def test_there_is_one_copy_at_a_time() -> None:
    program = machine()
    one, two = program.call("copy", 3000, 1, 0).cycles, program.call("both", 3000).cycles
    assert two == pytest.approx(2 * one, rel=0.02)


def test_a_copy_runs_beside_a_core() -> None:
    program = machine()
    alone, copied = program.call("work", 0, 2000).cycles, _SETUP + 6000 / _RATE
    assert alone < copied
    assert program.call("work", 6000, 2000).cycles == pytest.approx(copied, rel=0.02)
    assert program.call("work", 1200, 2000).cycles == pytest.approx(alone, rel=0.02)


@pytest.mark.parametrize("function", ["early", "tile"])
def test_what_a_copy_brings_is_a_race_until_somebody_has_waited(function: str) -> None:
    program = machine(check_races=True)
    program.call(function, 1)
    with pytest.raises(SimulationFault, match="two cores touch"):
        program.call(function, 0)


@pytest.mark.parametrize(
    ("function", "verb"), [("load", "reads from"), ("store", "writes to"), ("straight", "reads")]
)
def test_no_core_and_no_dma_reaches_l3(function: str, verb: str) -> None:
    with pytest.raises(SimulationFault, match=verb) as error:
        machine().call(function)
    assert "of l3, which no core and no DMA reaches" in str(error.value)
    assert "ac_l3_in" in str(error.value)


@pytest.mark.parametrize("size", [0, 8])
def test_a_copy_outside_of_l3(size: int) -> None:
    with pytest.raises(SimulationFault, match=f"a copy of {size} B between l3 and l2"):
        machine().call("beyond", size)


def test_a_cluster_without_l3_has_no_memory_there() -> None:
    source = "float bad(void); float bad(void) { return *(volatile float *)0x80000000u; }"
    with pytest.raises(SimulationFault, match="where there is no memory"):
        Program({"bad.c": source}, target(1)).call("bad")
