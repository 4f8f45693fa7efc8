# SPDX-License-Identifier: Apache-2.0
"""Programs that do what the cluster cannot: the error names core, pc and C line."""

from __future__ import annotations

import re

import pytest
from lab import Program, function, hardware_loop, target

from acclimate.errors import SimulationFault

_HEAD = '#include "port.h"\nfloat data[64];\nvoid run(int32_t cores);\n'


def fault(body: str, cores: int = 1, helper: str = "", **options: object) -> str:
    """The text of the error of `run`, whose body starts in line 4 of bad.c after `helper`."""
    source = f"{_HEAD}{helper}void run(int32_t cores) {{\n{body}\n}}\n"
    program = Program({"bad.c": source}, target(cores), **options)
    with pytest.raises(SimulationFault) as error:
        program.call("run", cores, limit=200_000)
    return str(error.value)


def test_an_illegal_instruction() -> None:
    text = fault('(void)cores; __asm__ volatile(".word 0xFFFFFFFF");')
    assert "illegal instruction" in text
    assert re.search(r"core 0 at pc 0x1c0[0-9a-f]+, bad\.c:5 in run", text)


def test_a_load_outside_the_memories() -> None:
    text = fault("data[0] = *(volatile float *)(0x20000000u + (uint32_t)cores);")
    assert "reads from address 0x20000001, where there is no memory" in text
    assert "l1 0x10000000..0x1007ffff" in text
    assert "bad.c:5 in run" in text


def test_a_null_pointer() -> None:
    text = fault("*(volatile float *)(uintptr_t)(uint32_t)(cores - 1) = 1.0f;")
    assert "writes to address 0x00000000" in text


def test_a_store_into_the_program() -> None:
    text = fault("*(volatile uint32_t *)(uintptr_t)&run = (uint32_t)cores;")
    assert "writes to its own code" in text


def test_a_stack_overflow() -> None:
    helper = (
        "__attribute__((noinline)) static int32_t deep(volatile int32_t *a, int32_t n) {"
        " volatile int32_t b[8]; b[n & 7] = n; return n ? deep(b, n - 1) + a[0] : b[0]; }\n"
    )
    text = fault("volatile int32_t a[1] = {1}; data[0] = (float)deep(a, 99 + cores);", 1, helper)
    assert "stack of a core overflows" in text
    assert "1024 B" in text


def test_a_loop_without_end() -> None:
    text = fault('for (;;) __asm__ volatile("" : : "r"(cores));')
    assert "has not ended after 200,000 cycles" in text
    assert "bad.c:5 in run" in text


def test_a_barrier_that_a_core_never_reaches() -> None:
    helper = (
        "static void work(void *given, int32_t core) {"
        " (void)given; if (core != 1) ac_barrier(); }\n"
    )
    text = fault("ac_fork(work, 0, cores); ac_barrier();", 2, helper)
    assert "every core waits" in text


def test_a_race_names_both_cores() -> None:
    helper = "static void work(void *given, int32_t core) {(void)given; data[core / 2] += 1.0f;}\n"
    text = fault("ac_fork(work, 0, cores);", 2, helper, check_races=True)
    assert "two cores touch address" in text
    assert re.search(r"core 0 at pc .*bad\.c:4 in work", text)
    assert re.search(r"core 1 at pc .*bad\.c:4 in work", text)


def test_neighbours_do_not_race() -> None:
    helper = "static void work(void *given, int32_t core) {(void)given; data[core] += 1.0f;}\n"
    source = f"{_HEAD}{helper}void run(int32_t cores) {{ ac_fork(work, 0, cores); }}\n"
    Program({"good.c": source}, target(8), check_races=True).call("run", 8)


@pytest.mark.parametrize(
    ("bytes_", "l2"), [("0u", "0x1C010000u"), ("64u", "0x30000000u"), ("64u", "0x0u")]
)
def test_a_transfer_outside_the_memories(bytes_: str, l2: str) -> None:
    helper = '#include "cluster/cluster.h"\n'
    body = f"ac_dma_wait(ac_dma_copy((uint32_t)(uintptr_t)data, {l2}, {bytes_}, (uint32_t)cores));"
    assert "DMA transfer" in fault(body, 1, helper)


_GOOD = ["addi t1, t1, 1"] * 3

# cv.starti, cv.endi and cv.count for the three instructions after the jump, which skips the first
_MIDDLE = [
    ".insn i 0x2B, 4, x0, x0, 4",
    ".insn i 0x2B, 4, x4, x0, 6",
    ".insn i 0x2B, 4, x10, a0, 0",
    "j . + 8",
    *_GOOD,
    "nop",
]


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (hardware_loop("a0", _GOOD[:2]), "3 instructions or more"),
        (hardware_loop("a0", [*_GOOD, "beqz x0, . + 4", "nop"]), "branches"),
        (hardware_loop("a0", [*_GOOD, "fence"]), "fences"),
        (hardware_loop("a0", ["nop", *hardware_loop("a0", _GOOD), "nop"]), "must not change"),
        (hardware_loop("a0", ["nop", *hardware_loop("a0", _GOOD)], 1), "8 bytes after"),
        (_MIDDLE, "entered at its start"),
    ],
)
def test_hardware_loops_against_the_rules(lines: list[str], rule: str) -> None:
    text = function("broken", [".option norvc", ".balign 4", *lines])
    program = Program({"loop.S": text}, target(1))
    with pytest.raises(SimulationFault, match="hardware loop breaks a rule") as error:
        program.call("broken", 5)
    assert rule in str(error.value)
    assert "in broken" in str(error.value)


def test_nested_loops_that_keep_the_rules_run() -> None:
    inner = hardware_loop("a0", ["addi t1, t1, 1", "nop", "nop"])
    lines = [
        "li t1, 0",
        ".option norvc",
        ".balign 4",
        *hardware_loop("a0", [*inner, "nop", "nop"], 1),
    ]
    program = Program({"loop.S": function("good", [*lines, "mv a0, t1"])}, target(1))
    assert program.call("good", 7).result == 49


def test_after_a_fault_or_an_interruption_the_machine_says_why_it_stands_still() -> None:
    files = {"c.S": function("forever", ["1: j 1b"]), "d.S": function("seven", ["li a0, 7"])}
    program = Program(files, target(1))

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        program.machine.call(program.image.symbol("forever"), progress=interrupted)
    with pytest.raises(SimulationFault, match="stands still: its last call was interrupted"):
        program.call("seven")


def test_after_a_fault_a_new_machine_works() -> None:
    fault("data[0] = *(volatile float *)(0x20000000u + (uint32_t)cores);")
    program = Program({"c.S": function("seven", ["li a0, 7"])}, target(1))
    assert program.call("seven").result == 7
