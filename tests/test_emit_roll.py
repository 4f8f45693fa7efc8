# SPDX-License-Identifier: Apache-2.0
"""Statements that become loops: executing the loops gives the statements back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.emit.roll import Loop, Statement, roll

BASE = 1_000_000  # the address `v` in the statements of this file
Executed = list[tuple[bool, str, tuple[int, ...]]]


def executed(parts: Sequence[Statement | Loop]) -> Executed:
    """Core, function and values of the arguments of all calls, in the order of their execution."""
    found = []
    for part in parts:
        turns, body = (part.turns, part.body) if isinstance(part, Loop) else (1, (part,))
        found += [call_in(statement, t) for t in range(turns) for statement in body]
    return found


def call_in(statement: Statement, t: int) -> tuple[bool, str, tuple[int, ...]]:
    """`f(v + 8, t * 4);` in a turn. Python and C agree on + - * and, from 0 on, on %."""
    match = re.fullmatch(r"(\w+)\((.*)\);", statement.text)
    assert match is not None, statement.text
    values = tuple(eval(text, {"t": t, "v": BASE}) for text in match[2].split(", ") if text)
    return statement.alone, match[1], values


def calls(name: str, *columns: Sequence[int], alone: bool = False) -> list[Statement]:
    """One statement per turn: a pointer, then numbers."""
    rows = [*zip(*columns, strict=True)]
    texts = [f"{name}(v + {', '.join(map(str, row))});" for row in rows]
    return [Statement(text, alone=alone) for text in texts]


def interleaved(*columns: Sequence[Statement]) -> list[Statement]:
    """The first statements of all columns, then the second ones, ..."""
    return [statement for turn in zip(*columns, strict=True) for statement in turn]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((128, 192, 256), "128 + t * 64"),
        ((0, 64, 128, 192), "t * 64"),
        ((5, 6, 7), "5 + t"),
        ((0, 1, 2), "t"),
        ((9, 9, 9, 9), "9"),
        ((300, 200, 100, 0), "300 - t * 100"),
        ((2, 1, 0), "2 - t"),
        ((0, 64, 0, 64), "t % 2 * 64"),
        ((64, 0, 64, 0, 64), "(t + 1) % 2 * 64"),
        ((10, 14, 18, 10, 14), "10 + t % 3 * 4"),
        ((18, 10, 14, 18), "10 + (t + 2) % 3 * 4"),
        ((0, 1, 0, 1), "t % 2"),
        ((-3, -5, -7), "-3 - t * 2"),
        ((-1, 0, 1), "-1 + t"),
        ((-8, 8, -8, 8), "-8 + t % 2 * 16"),
    ],
)
def test_a_number_becomes_the_shortest_expression(values: tuple[int, ...], expected: str) -> None:
    statements = [Statement(f"f({value});") for value in values]
    assert roll(statements) == [Loop(len(values), (Statement(f"f({expected});"),))]


@pytest.mark.parametrize(
    "values", [(1, 2, 4), (0, 0, 1), (0, 64, 32, 0), (5, 3, 4, 6), (0, 1, 2, 3, 0, 1, 2, 3)]
)
def test_what_is_no_loop_as_a_whole_keeps_its_values(values: tuple[int, ...]) -> None:
    statements = [Statement(f"f({value});") for value in values]
    rolled = roll(statements)
    assert not any(isinstance(part, Loop) and part.turns == len(values) for part in rolled)
    assert executed(rolled) == executed(statements)


def test_two_turns_are_no_loop() -> None:
    statements = calls("f", (0, 64))
    assert roll(statements) == statements


def test_a_turn_of_several_statements_with_steps_and_slots() -> None:
    turns = range(8)
    statements = interleaved(
        calls("ac_copy_in", [t % 3 * 512 for t in turns], [t * 2048 for t in turns], alone=True),
        [Statement("ac_barrier();")] * 8,
        calls("kernel", [(t + 2) % 3 * 512 for t in turns], [40] * 8),
    )
    (loop,) = roll(statements)
    assert isinstance(loop, Loop)
    assert loop.turns == 8
    assert [(s.text, s.alone) for s in loop.body] == [
        ("ac_copy_in(v + t % 3 * 512, t * 2048);", True),
        ("ac_barrier();", False),
        ("kernel(v + (t + 2) % 3 * 512, 40);", False),
    ]


def test_the_statements_before_a_loop_and_the_last_short_tile_stay() -> None:
    first, last = [Statement("g(1, 2);")], calls("f", (640,), (16,))
    rolled = roll([*first, *calls("f", range(0, 640, 64), [64] * 10), *last])
    assert rolled == [*first, Loop(10, (Statement("f(v + t * 64, 64);"),)), *last]


def test_two_loops_that_follow_each_other() -> None:
    rolled = roll([*calls("f", range(5)), *calls("g", range(0, 30, 10))])
    assert [part.turns for part in rolled if isinstance(part, Loop)] == [5, 3]


def test_the_work_of_one_core_is_no_work_of_all() -> None:
    alone = calls("f", range(4), alone=True)
    everybody = calls("f", range(4, 8))
    assert [part.turns for part in roll([*alone, *everybody]) if isinstance(part, Loop)] == [4, 4]


def test_numbers_in_names_and_in_floats_do_not_change() -> None:
    texts = [f"loop_{n}_2(w3 + 8, 0.5f, 1e-05f, -2.0f, 0x1F);" for n in (1, 2, 3)]
    statements = [Statement(text) for text in texts]
    assert roll(statements) == statements
    same = [Statement(f"loop_1(w3 + {n}, 0.5f, 1e-05f, -2.0f, 0x1F);") for n in (8, 16, 24)]
    assert roll(same) == [
        Loop(3, (Statement("loop_1(w3 + 8 + t * 8, 0.5f, 1e-05f, -2.0f, 0x1F);"),))
    ]


def test_a_loop_shows_the_comment_of_its_first_turn() -> None:
    statements = [Statement(f"f({n});", comment=f"tile {n}") for n in range(3)]
    assert roll(statements) == [Loop(3, (Statement("f(t);", comment="tile 0"),))]


def test_nothing_becomes_nothing() -> None:
    assert roll([]) == []


# ---- drawn statements

numbers = st.integers(-300, 300)


@st.composite
def columns(draw: st.DrawFn, turns: int) -> list[int]:
    """An argument in every turn: steps, slots in turn, or anything."""
    kind = draw(st.sampled_from(("step", "step", "slots", "slots", "any")))
    if kind == "any":
        return draw(st.lists(numbers, min_size=turns, max_size=turns))
    first, step = draw(numbers), draw(st.integers(-70, 70))
    if kind == "step":
        return [first + t * step for t in range(turns)]
    cycle, phase = draw(st.integers(2, 4)), draw(st.integers(0, 3))
    return [first + (t + phase) % cycle * step for t in range(turns)]


@st.composite
def blocks(draw: st.DrawFn) -> list[Statement]:
    """Turns of the same statements with other numbers; perhaps the last ones are missing."""
    turns = draw(st.integers(1, 7))
    body = []
    for _ in range(draw(st.integers(1, 4))):
        name, alone = draw(st.sampled_from("fgh")), draw(st.booleans())
        count = draw(st.integers(1, 3))
        body.append(calls(name, *(draw(columns(turns)) for _ in range(count)), alone=alone))
    statements = interleaved(*body)
    return statements[: len(statements) - draw(st.integers(0, 2))]


@settings(deadline=None, derandomize=True, database=None, max_examples=600)
@given(st.lists(blocks(), max_size=4))
def test_the_loops_execute_the_statements(drawn: list[list[Statement]]) -> None:
    statements = [statement for block in drawn for statement in block]
    rolled = roll(statements)
    assert executed(rolled) == executed(statements)
    assert all(part.turns >= 3 for part in rolled if isinstance(part, Loop))


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@given(st.integers(3, 20), st.data())
def test_equal_tiles_are_always_one_loop(turns: int, data: st.DataObject) -> None:
    body: list[Callable[[int], str]] = []
    for number in range(data.draw(st.integers(1, 5))):
        first, step = data.draw(numbers), data.draw(st.integers(1, 64))
        cycle, phase = data.draw(st.sampled_from((2, 3))), data.draw(st.integers(0, 2))
        body.append(
            lambda t, n=number, a=first, s=step, c=cycle, p=phase: (
                f"f{n}(v + {a + t * s}, {(t + p) % c * s}, 7);"
            )
        )
    statements = [Statement(write(t)) for t in range(turns) for write in body]
    (loop,) = roll(statements)
    assert isinstance(loop, Loop)
    assert (loop.turns, len(loop.body)) == (turns, len(body))
    assert executed([loop]) == executed(statements)
