# SPDX-License-Identifier: Apache-2.0
"""Hardware loops in compiled code: where they are inserted, where not, and that nothing changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lab import Program, target
from loops import ARRAYS, functions
from rewriting import LOOP, SETUP, assembly, rewritten
from routines import routines

from acclimate.errors import SimulationFault
from acclimate.simulate.bare.toolchain import _implementation
from acclimate.simulate.cluster.hardware_loops import (
    LoopCounts,
    insert_hardware_loops,
    with_hardware_loops,
)

COPY = (
    "lw a4, 0(a1); sw a4, 0(a0); addi a1, a1, 4; addi a0, a0, 4; addi a2, a2, -1; bnez a2, .LBB0_1"
)


def test_a_counter_to_zero_is_the_count() -> None:
    lines, counts = rewritten("", COPY)
    assert counts == LoopCounts(1, 1)
    assert lines == [
        f"{SETUP}, a2, 4",
        "lw a4, 0(a1)",
        "addi a1, a1, 4",  # left as it is: a body has three instructions, and the load is awaited
        ".insn s 0x2b, 2, a4, 4(a0)",
        "ret",
    ]


def test_inline_assembly_without_instructions_is_no_obstacle() -> None:
    """It hides a value from the compiler, as in ac_zero_if_f32, and is nothing to the processor."""
    body = COPY.replace("sw a4", "\n#APP\n#NO_APP\nsw a4", 1)
    _, counts = rewritten("", body)
    assert counts == LoopCounts(1, 1)


SUM = "lw a4, 0(a0); addi a0, a0, 4; mul a3, a3, a4; add a2, a2, a4; {}, .LBB0_1"


@pytest.mark.parametrize(
    ("branch", "count"),
    [
        ("bne a0, a1", ["sub t0, a1, a0", "srli t0, t0, 2"]),
        ("bne a1, a0", ["sub t0, a1, a0", "srli t0, t0, 2"]),
        ("bltu a0, a1", [".insn r 0x2b, 3, 0x2e, t0, a1, a0", "sub t0, t0, a0", "addi t0, t0, 3",
                         "srli t0, t0, 2"]),
        ("bgt a1, a0", [".insn r 0x2b, 3, 0x2d, t0, a1, a0", "sub t0, t0, a0", "addi t0, t0, 3",
                        "srli t0, t0, 2"]),
        ("bgeu a1, a0", [".insn r 0x2b, 3, 0x2e, t0, a1, a0", "sub t0, t0, a0", "srli t0, t0, 2",
                         "addi t0, t0, 1"]),
    ],
)  # fmt: skip
def test_the_count_follows_from_the_bound(branch: str, count: list[str]) -> None:
    lines, counts = rewritten("", SUM.format(branch), "add a0, a2, a3")
    assert counts.loops == 1
    assert lines[: len(count)] == count
    assert lines[len(count)] == f"{SETUP}, t0, 4"


def test_an_odd_step_is_divided_by_exactly() -> None:
    body = SUM.replace("addi a0, a0, 4", "addi a0, a0, -12").format("bne a0, a1")
    lines, counts = rewritten("", body, "add a0, a2, a3; add a0, a0, a1")
    assert counts.loops == 1
    inverse = (699051 << 12) - 1365
    assert inverse * 3 % 2**32 == 1
    assert lines[:6] == [
        "sub t6, a0, a1", "lui t0, 699051", "addi t0, t0, -1365", "mul t6, t6, t0",
        "srli t6, t6, 2", f"{SETUP}, t6, 4",
    ]  # fmt: skip


def test_the_loop_that_the_others_are_made_from_is_taken() -> None:
    lines, counts = rewritten("", LOOP)
    assert counts == LoopCounts(1, 2)
    assert f"{SETUP}, a2, 5" in lines


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(LOOP.replace("add a4, a4, a5", text), id=name)
        for name, text in {
            "branch": "beqz a4, .LBB0_9",
            "jump": "j .LBB0_9",
            "call": "call other",
            "indirect call": "jalr a4",
            "indirect jump": "jr a4",
            "return": "ret",
            "fence": "fence rw, rw",
            "control register": "csrr a4, mhartid",
            "system call": "ecall",
            "wait": "wfi",
            "breakpoint": "ebreak",
            "unknown": "cv.abs a4, a5",
            "coded by hand": ".insn i 0x0b, 3, a4, 0(a5)",
            "two words": "li a4, 123456",
            "an address": "la a4, symbol",
            "a global": "lw a4, symbol",
            "an entry": "\n.LBB0_7:\nadd a4, a4, a5",
            "bytes": "\n.p2align 4\nadd a4, a4, a5",
            "inline assembly": "\n#APP\nadd a4, a4, a5\n#NO_APP\n",
        }.items()
    ]
    + [
        pytest.param(LOOP.replace(old, new), id=name)
        for name, (old, new) in {
            "variable step": ("addi a2, a2, -1", "sub a2, a2, a5"),
            "unknown step": ("addi a2, a2, -1", "addi a2, a2, %lo(symbol)"),
            "two steps": ("addi a2, a2, -1", "addi a2, a2, -1; addi a2, a2, 0; srli a2, a2, 1"),
            "another register": ("addi a2, a2, -1", "addi a2, a3, -1"),
            "both move": ("bnez a2", "bne a2, a1"),
            "none moves": ("bnez a2", "bne a6, a7"),
            "until equal": ("bnez a2", "beqz a2"),
            "away from the bound": ("bnez a2", "blt a2, a6"),
            "up and beyond": ("bnez a2", "bge a2, a6; addi a2, a2, 0"),
            "a jump past the bound": (
                "addi a2, a2, -1; bnez a2", "addi a2, a2, 128; blt a2, a6"),
            "an odd jump": ("addi a2, a2, -1; bnez a2", "addi a2, a2, 3; blt a2, a6"),
        }.items()
    ],
)  # fmt: skip
def test_what_is_no_hardware_loop(body: str) -> None:
    lines, counts = rewritten("", body, ".LBB0_9:")
    assert counts.loops == 0
    assert not any(".insn i 0x2b, 4" in line for line in lines)


@pytest.mark.parametrize(
    "line",
    [".insn i 0x2B, 4, x15, a3, 9", "cv.setup 1, a3, 9", ".word 0x0096c7ab", ".option norelax"],
)
def test_functions_with_loops_of_their_own_stay(line: str) -> None:
    text = assembly(f"#APP\n{line}\n#NO_APP", LOOP)
    assert insert_hardware_loops(text) == (text, LoopCounts())


@pytest.mark.parametrize("head", ['\t.attribute\t5, "rv32i2p1_m2p0_c2p0"\n', "\t.option\trvc\n"])
def test_compressed_code_stays(head: str) -> None:
    text = head + assembly("", LOOP)
    assert insert_hardware_loops(text) == (text, LoopCounts())


def test_text_outside_of_functions_stays() -> None:
    text = "\n".join(line for line in assembly("", LOOP).splitlines() if ".type" not in line)
    assert insert_hardware_loops(text) == (text, LoopCounts())


WALK = "lw a4, 0(a1); lw a5, 4(a1); add a4, a4, a5; addi a1, a1, 4; {}bne a1, a2, .LBB0_1"
USE_ALL = "; ".join(
    f"sw {name}, 0(sp)" for name in (*(f"a{i}" for i in range(8)), *(f"t{i}" for i in range(7)))
)


def test_without_a_free_register_there_is_no_loop() -> None:
    # s0 to s11 and ra belong to the caller; a4 and a5 are written before they are read.
    assert rewritten("", WALK.format(""), USE_ALL)[1].loops == 1
    used = WALK.format("sw a4, 0(a3); sw a5, 4(a3); ")
    needed = used.replace("lw a4, 0(a1)", "add a3, a3, a4; add a3, a3, a5; lw a4, 0(a1)")
    assert rewritten("", needed, USE_ALL)[1].loops == 0


def test_a_register_of_the_caller_is_not_free_unless_it_is_saved() -> None:
    needed = WALK.format("sw a4, 0(a3); ").replace("lw", "add a3, a3, a4; add a3, a3, a5; lw", 1)
    saved = f"{USE_ALL}; lw s3, 12(sp); addi sp, sp, 16"
    lines, counts = rewritten("addi sp, sp, -16; sw s3, 12(sp)", needed, saved)
    assert counts.loops == 1
    assert "sub s3, a2, a1" in lines


def test_a_register_that_only_a_callee_saw_is_free() -> None:
    needed = WALK.format("sw a4, 0(a3); ").replace("lw", "add a3, a3, a4; add a3, a3, a5; lw", 1)
    lines, _ = rewritten("", needed, "call other")
    assert "sub t0, a2, a1" in lines


def test_an_argument_of_a_call_is_not_free() -> None:
    reads = "; ".join(f"add a3, a3, {name}" for name in (*(f"t{i}" for i in range(7)), "a4", "a5"))
    lines, _ = rewritten("", f"{reads}; {WALK.format('')}", "call other")
    assert "sub ra, a2, a1" in lines


def test_a_register_that_is_needed_round_an_outer_loop_is_not_free() -> None:
    free = [r for r in ("t0", "t1", "t2") if f"sub {r}, a2, a1" in
            rewritten("li t0, 1; li t1, 2\n.LBB0_0:", WALK.format(""),
                      "add t1, t1, t0; bnez t1, .LBB0_0")[0]]  # fmt: skip
    assert free == ["t2"]


def test_the_last_value_of_a_counter_is_restored_if_it_is_needed() -> None:
    body = "lw a4, 0(a1); add a3, a3, a4; addi a1, a1, 4; addi a2, a2, -1; bnez a2, .LBB0_1"
    assert "mv a2, zero" in rewritten("", body, "mv a0, a2")[0]
    assert "mv a2, zero" not in rewritten("", body, "li a2, 1; mv a0, a2")[0]
    index = "lw a4, 0(a1); add a3, a3, a4; addi a1, a1, 4; addi a5, a5, 1; bne a5, a6, .LBB0_1"
    assert "mv a5, a6" in rewritten("", index, "add a0, a5, a3")[0]
    jump = index.replace("addi a5, a5, 1; bne", "addi a5, a5, 4; blt")
    lines, counts = rewritten("", jump, "add a0, a5, a3")
    assert counts.loops == 1
    assert "addi a5, a5, 4" in lines


def test_a_bound_that_is_needed_later_is_not_overwritten() -> None:
    body = "lw a4, 0(a1); lw a5, 4(a1); add a4, a4, a5; addi a1, a1, 4; add a3, a3, a4; "
    used = f"{body}bne a1, a2, .LBB0_1"
    every = USE_ALL.replace("sw a2, 0(sp); ", "")
    reads = used.replace("lw a4", "add a3, a3, a4; add a3, a3, a5; lw a4", 1)
    assert "sub a2, a2, a1" in rewritten("", reads, every)[0]
    assert rewritten("", reads, USE_ALL)[1].loops == 0


def test_the_count_does_not_overwrite_what_it_is_made_from() -> None:
    body = "add a3, a3, a4; add a3, a3, a6; lw a4, 0(a1); addi a1, a1, 4; addi a5, a5, 1"
    needed = "; ".join(x for x in USE_ALL.split("; ") if "a2" not in x and "a5" not in x)
    lines, counts = rewritten("", f"{body}; blt a5, a2, .LBB0_1", needed)
    assert counts.loops == 1
    assert lines[:2] == [".insn r 0x2b, 3, 0x2d, a2, a2, a5", "sub a2, a2, a5"]


def test_a_short_body_is_filled_up_behind_its_load() -> None:
    lines, _ = rewritten("", "sb a1, 0(a0); addi a0, a0, 1; bne a0, a2, .LBB0_1")
    assert lines[-4:-1] == ["sb a1, 0(a0)", "addi a0, a0, 1", "nop"]


def test_an_empty_loop_stays() -> None:
    assert rewritten("", "addi a0, a0, -1; bnez a0, .LBB0_1")[1] == LoopCounts()


def test_every_instruction_keeps_its_line() -> None:
    text = assembly("", LOOP.replace("; ", ";.loc 1 7 0;").replace("lw a4", ".loc 1 6 0;lw a4"))
    result, counts = insert_hardware_loops(text)
    assert counts.loops == 1
    lines = [line.strip() for line in result.splitlines()]
    assert lines.index(".loc 1 6 0") < next(i for i, x in enumerate(lines) if SETUP in x)


def test_objects_in_the_cache_depend_on_every_module_of_the_pass() -> None:
    modules = {name.rpartition(".")[2] for name in _implementation(with_hardware_loops)}
    assert modules == {
        "addressing", "assembly", "hardware_loops", "liveness", "pointers", "stalls", "trip_count",
    }  # fmt: skip


# ---- on the core

ARGUMENTS = ((0, 0, 1), (1, 1, 2), (2, 5, 3), (3, 2, 1), (7, 3, 6), (12, 4, 4))


def compiled(text: str, features: frozenset[str] | None = None, **figures: int) -> Program:
    machine = target(1, **figures)
    return Program({"c.c": text}, replace(machine, features=features or machine.features))


def outcome(program: Program, name: str, arguments: tuple[int, ...]) -> tuple[int, bytes]:
    """What a function returns, and all of its arrays after it."""
    arrays = [program.array(array, np.uint32) for array in "XYZ"]
    rng = np.random.default_rng(0)
    for array in arrays:
        array[...] = rng.standard_normal(array.size).astype(np.float32).view(np.uint32)
    middle = [program.image.symbol(array) + 2 * arrays[0].size for array in "XYZ"]
    done = program.call(name, *middle, *arguments)
    return done.result if arguments else 0, b"".join(array.tobytes() for array in arrays)


def setups(program: Program) -> int:
    """Instructions that set up a hardware loop."""
    code = b"".join(bytes(s.data[: len(s.data) // 4 * 4]) for s in program.image.segments)
    return int(np.count_nonzero(np.frombuffer(code, np.uint32) & 0x707F == 0x402B))


@pytest.mark.parametrize(
    ("seed", "figures"),
    [(1, {}), (2, {}), (3, {"fpu_latency": 1, "icache_bytes": 512, "icache_miss_cycles": 8})],
)
def test_random_loops_compute_the_same(seed: int, figures: dict[str, int]) -> None:
    text, names = functions(seed, 180)
    text += ARRAYS
    plain = compiled(text, frozenset({"fpu"}), **figures)
    looped = compiled(text, **figures)
    assert setups(plain) == 0
    assert setups(looped) > 100
    for name in names:
        for arguments in ARGUMENTS:
            expected = outcome(plain, name, arguments)
            assert outcome(looped, name, arguments) == expected, f"seed {seed} {name} {arguments}"


@pytest.mark.parametrize("seed", [1, 2])
def test_random_assembly_computes_the_same(seed: int) -> None:
    text, names = routines(seed, 600)
    changed, counts = insert_hardware_loops(text)
    assert counts.loops > 200 and counts.post_increments > 100 and counts.indexed > 100
    plain, looped = (
        Program({"arrays.c": ARRAYS, "routines.S": code}, target(1)) for code in (text, changed)
    )
    for name in names:
        assert outcome(looped, name, ()) == outcome(plain, name, ()), f"seed {seed} {name}"


_KERNELS = """#include <stdint.h>
float X[4096], Y[4096], Z[4096];
void saxpy(float a, int32_t n);
void saxpy(float a, int32_t n) { for (int32_t i = 0; i < n; i++) Y[i] += a * X[i]; }
void matmul(int32_t n);
void matmul(int32_t n) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < n; k++) sum += X[i * n + k] * Y[k * n + j];
            Z[i * n + j] = sum;
        }
}
void outside(int32_t n);
void outside(int32_t n) {
    volatile float *from = (volatile float *)0x10080000u - n;
    for (int32_t i = 0; i <= n; i++)
        Z[i & 1] =
            from[i];
}
"""


def test_a_naive_matrix_product_has_the_rate_of_a_compiler_with_hardware_loops() -> None:
    program = compiled(_KERNELS)
    cycles = program.call("matmul", 32).cycles
    assert 32**3 / cycles == pytest.approx(0.24, rel=0.06)  # PULP-TrainLib, SAMOS 2022: 0.24
    assert compiled(_KERNELS, frozenset({"fpu"})).call("matmul", 32).cycles > 2 * cycles


def test_a_fault_inside_of_a_hardware_loop_names_its_line() -> None:
    program = compiled(_KERNELS)
    with pytest.raises(SimulationFault, match=r"c\.c:19 in outside"):
        program.call("outside", 5)
