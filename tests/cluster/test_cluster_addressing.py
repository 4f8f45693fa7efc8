# SPDX-License-Identifier: Apache-2.0
"""Increments and sums of addresses in compiled code: which go into loads and stores, which stay."""

from __future__ import annotations

import pytest
from rewriting import LOOP, SETUP, rewritten

from acclimate.simulate.cluster.hardware_loops import LoopCounts


def test_copies_of_a_pointer_go_away() -> None:
    body = "lw a3, 0(a1); addi a4, a1, 4; addi a1, a0, 4; sw a3, 0(a0); mv a0, a1; mv a1, a4"
    lines, counts = rewritten("", f"{body}; bltu a4, a2, .LBB0_1")
    assert counts.loops == 1
    assert lines[-4:-1] == ["lw a3, 0(a1)", "addi a1, a1, 4", ".insn s 0x2b, 2, a3, 4(a0)"]


@pytest.mark.parametrize(
    "copies",
    [
        "addi a4, a1, 4; mv a1, a6; lw a3, 0(a4); mv a1, a4",  # holds something else in between
        "addi a4, a1, 4; sw a4, 0(a7); mv a1, a4",  # the copy itself is needed
        "addi a4, a1, 4; lw a3, 2044(a4); mv a1, a4",  # too far from the pointer
    ],
)
def test_copies_of_a_pointer_that_stay(copies: str) -> None:
    lines, _ = rewritten("", f"lw a5, 0(a1); {copies}; addi a2, a2, -1; bnez a2, .LBB0_1")
    assert "addi a4, a1, 4" in lines
    assert "mv a1, a4" in lines


def test_a_copy_that_is_needed_later_stays() -> None:
    body = "lw a5, 0(a1); mul a3, a3, a5; addi a4, a1, 4; mv a1, a4; bne a1, a2, .LBB0_1"
    assert "mv a1, a4" not in rewritten("", body, "mv a0, a3")[0]
    assert "mv a1, a4" in rewritten("", body, "sub a0, a4, a3")[0]


def test_a_copy_from_before_the_move_is_no_counter() -> None:
    body = "lw a5, 0(a1); mul a3, a3, a5; mv a4, a1; addi a1, a1, 4; bne a4, a2, .LBB0_1"
    assert rewritten("", body, "mv a0, a3")[1].loops == 0


POINTER = "lw a4, 0(a1); {} addi a1, a1, 8; add a3, a3, a4; add a3, a3, a6; mul a3, a3, a6"
COUNTED = "; addi a2, a2, -1; bnez a2, .LBB0_1"


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ("", ".insn i 0x0b, 2, a4, a1, 8"),
        ("lw a5, 4(a1); ", ".insn i 0x0b, 2, a4, a1, 8"),  # the other one is then at -4
        ("sw a1, 0(a7); ", None),  # the pointer itself is needed
        ("add a5, a1, a6; ", None),
        ("lw a5, %lo(symbol)(a1); ", None),
        ("lw a1, 4(a1); ", None),  # the pointer comes from memory
    ],
)
def test_where_an_increment_can_go(between: str, expected: str | None) -> None:
    lines, counts = rewritten("", POINTER.format(between) + COUNTED)
    assert counts.post_increments == (expected is not None)
    assert expected is None or expected in lines


def test_the_offsets_of_other_accesses_make_up_for_an_increment() -> None:
    lines, _ = rewritten("", POINTER.format("lw a5, 4(a1); sw a5, 12(a1); ") + COUNTED)
    assert "lw a5, -4(a1)" in lines
    assert "sw a5, 4(a1)" in lines


def test_an_offset_that_an_instruction_cannot_hold_prevents_a_merge() -> None:
    _, counts = rewritten("", POINTER.format("lw a5, -2044(a1); lw a7, 2040(a1); ") + COUNTED)
    assert counts.post_increments == 0


def test_a_pointer_may_run_ahead_inside_of_a_loop() -> None:
    body = "lw a4, 8(a1); add a3, a3, a4; lw a5, 4(a1); add a3, a3, a5; addi a1, a1, 16"
    lines, counts = rewritten("", body + COUNTED, "mv a0, a1")
    assert counts.post_increments == 1
    assert lines[0] == "addi a1, a1, 4"
    assert "lw a4, 4(a1)" in lines
    assert ".insn i 0x0b, 2, a5, a1, 16" in lines
    assert "addi a1, a1, -4" in lines
    lines, _ = rewritten("", body + COUNTED, "li a1, 0")
    assert "addi a1, a1, -4" not in lines


def test_a_pointer_that_is_the_count_does_not_run_ahead() -> None:
    body = "lbu a4, 5(a2); add a3, a3, a4; mul a3, a3, a5; addi a2, a2, -1; bnez a2, .LBB0_1"
    lines, counts = rewritten("", body, "mv a0, a3")
    assert counts == LoopCounts(1, 0)
    assert lines[0].startswith(SETUP)


def test_a_pointer_that_is_written_twice_does_not_run_ahead() -> None:
    body = "lw a4, 4(a1); add a3, a3, a4; addi a1, a1, 8; lw a5, 0(a6); andi a1, a1, -16"
    assert rewritten("", body + COUNTED)[1] == LoopCounts(1, 0)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("lb", ".insn i 0x0b, 0, a4, a1, 8"), ("lh", ".insn i 0x0b, 1, a4, a1, 8"),
        ("lw", ".insn i 0x0b, 2, a4, a1, 8"), ("lbu", ".insn i 0x0b, 4, a4, a1, 8"),
        ("lhu", ".insn i 0x0b, 5, a4, a1, 8"), ("sb", ".insn s 0x2b, 0, a4, 8(a1)"),
        ("sh", ".insn s 0x2b, 1, a4, 8(a1)"), ("sw", ".insn s 0x2b, 2, a4, 8(a1)"),
    ],
)  # fmt: skip
def test_every_access_of_integers_can_increment(kind: str, code: str) -> None:
    assert code in rewritten("", POINTER.replace("lw", kind).format("") + COUNTED)[0]


def test_accesses_of_float_registers_cannot() -> None:
    body = "flw fa4, 0(a1); fadd.s fa0, fa0, fa4; fmul.s fa0, fa0, fa1; addi a1, a1, 4"
    lines, counts = rewritten("", body + COUNTED)
    assert counts == LoopCounts(1, 0)
    assert "flw fa4, 0(a1)" in lines


def test_the_stack_pointer_is_no_pointer_that_walks() -> None:
    lines, counts = rewritten("", LOOP, "lw s0, 0(sp); addi sp, sp, 16")
    assert counts.post_increments == 2
    assert "addi sp, sp, 16" in lines


STRIDED = "lw a4, 0(a1); {} add a1, a1, a5; add a3, a3, a4; add a3, a3, a6; mul a3, a3, a6"


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ("", ".insn r 0x2b, 3, 0x02, a4, a1, a5"),
        ("lw a7, 4(a1); ", ".insn r 0x2b, 3, 0x02, a7, a1, a5"),  # the last one; at 4 from before
        ("sw a6, 0(a1); ", ".insn r 0x2b, 3, 0x12, a5, a1, a6"),
        ("addi a5, a5, 4; ", None),
        ("sw a1, 0(a6); ", None),
    ],
)
def test_an_increment_by_a_register(between: str, expected: str | None) -> None:
    lines, counts = rewritten("", STRIDED.format(between) + COUNTED)
    assert counts.post_increments == (expected is not None)
    assert expected is None or expected in lines


INDEXED = "add a4, a1, a5; {} lw a4, 0(a4); mul a3, a3, a4; addi a5, a5, 4; sub a3, a3, a5"


@pytest.mark.parametrize(
    ("between", "indexed"),
    [("", 1), ("mv a6, a4; ", 0), ("addi a1, a1, 4; ", 0), ("lw a6, 4(a4); ", 0),
     ("lw a6, 0(a4); ", 1), ("sw a4, 0(a6); ", 0)],
)  # fmt: skip
def test_an_access_at_the_sum_of_two_registers(between: str, indexed: int) -> None:
    lines, counts = rewritten("", INDEXED.format(between) + COUNTED)
    assert counts.indexed == indexed
    assert (".insn r 0x2b, 3, 0x06, a4, a1, a5" in lines) == bool(indexed)


def test_a_sum_that_is_needed_later_is_computed() -> None:
    body = "add a4, a1, a5; lw a6, 0(a4); mul a3, a3, a6; addi a5, a5, 4; sub a3, a3, a5"
    assert rewritten("", body + COUNTED, "add a0, a3, a4")[1].indexed == 0
    assert rewritten("", body + COUNTED, "li a4, 0")[1].indexed == 1
