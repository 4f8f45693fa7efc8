# SPDX-License-Identifier: Apache-2.0
"""Two spellings of the same instructions; registers that C wants back; regular walks."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.kernels.pulp.contraction import Block, Taps, Walk
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.function import Function, OutOfRegisters
from acclimate.kernels.pulp.isa import Code, Dialect, HardwareLoop, print_assembly, size
from acclimate.kernels.pulp.outer import Outer
from acclimate.kernels.pulp.partition import bounds, even, shares, tiles, walks
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.timing import cycles
from acclimate.kernels.pulp.work import Start, print_starts

FUZZ = settings(deadline=None, max_examples=60, derandomize=True, database=None)
KEPT = {f"x{n}" for n in (1, 3, 4, 8, 9, *range(18, 28))}


def block(rows: int = 4, columns: int = 5, **more: object) -> Block:
    """Rows 256 B apart, so that loads use immediates, or more by the keyword `far`."""
    far = int(str(more.pop("far", 256)))
    taps = more.pop("taps", Taps((0,), (0,), ((8, 4, 64), (3, 40, 512))))
    return Block(
        tuple(far * n for n in range(rows)), tuple(4 * n for n in range(columns)),
        tuple(500 * n for n in range(rows)), tuple(4 * n for n in range(columns)),
        taps, Result("step", decay=0.5), Walk((1024, 2000, 0), (0, 0, 0), (20, 20, 0)), True,
    )  # fmt: skip


KERNELS = [
    block(),
    block(far=4096),
    block(far=4096, taps=Taps((0,), (0,), ((8, 4, 4096),))),
    Outer(8, 16, 512, Result("step"), gradient=True, rotates=True),
    Outer(4, 16, 4096, Result("add")),
]


def corev(text: str) -> list[tuple[str, ...]]:
    """Instructions of CORE-V assembly, its `.insn` decoded from their numbers."""
    found = []
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if not line or line.endswith((":", "*/")) or re.match(r"\.(?!insn)", line):
            continue
        if not line.startswith(".insn"):
            found.append(tuple(re.split(r"[\s,()]+", line.rstrip(")"))))
            continue
        form, *fields = re.split(r"[\s,()]+", line.rstrip(")"))[1:]
        if form == "i" and fields[0] == "0x0b":
            found.append(("post lw", fields[2], fields[3], fields[4]))
        elif form == "s":
            found.append(("post sw", fields[2], fields[4], fields[3]))
        elif form == "i":
            level = int(fields[2][1:]) - 14
            found.append(("loop", str(level), fields[3], str(int(fields[4]) - 1)))
        else:
            name = {"0x02": "post lw", "0x06": "index lw", "0x12": "post sw"}[fields[2]]
            a, pointer, c = fields[3:]
            found.append((name, *((c, pointer, a) if name == "post sw" else (a, pointer, c))))
    return found


def xpulp(text: str) -> list[tuple[str, ...]]:
    """Instructions of Xpulpv2 assembly; loops by the number of instructions up to their label."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if line[0] != "." or line.endswith(":")]
    places, plain = {}, []
    for line in lines:
        if line.endswith(":"):
            places[line[:-1]] = len(plain)
        elif not line.startswith("/*"):
            plain.append(line)
    found = []
    for number, line in enumerate(plain):
        words = re.split(r"[\s,()!]+", line.rstrip("!)"))
        if words[0] == "lp.setup":
            # The label is at the last instruction of the body.
            count = places[words[3]] - number
            found.append(("loop", words[1][1:], words[2], str(count)))
        elif words[0].startswith("p."):
            kind = "post" if "!" in line else "index"
            found.append((f"{kind} {words[0][2:]}", words[1], words[3], words[2]))
        else:
            found.append(tuple(re.split(r"[\s,()]+", line.rstrip(")"))))
    return found


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.title)
def test_both_dialects_are_the_same_instructions(kernel: Block | Outer) -> None:
    nodes = kernel.write(Core(8))
    one = corev(print_assembly("k", nodes, Dialect.COREV, "a test"))
    other = xpulp(print_assembly("k", nodes, Dialect.XPULPV2, "a test"))
    assert len(one) == size(nodes)
    for a, b in zip(one, other, strict=True):
        assert a == b
    assert sum(name == "loop" for name, *_ in one) >= 1


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.title)
def test_functions_save_what_they_change(kernel: Block | Outer) -> None:
    text = print_assembly("k", kernel.write(Core(8)), Dialect.XPULPV2, "a test")
    used = set(re.findall(r"\bx\d+\b", re.sub(r"lp\.setup x\d", "", text))) & KEPT
    for register in used:
        assert re.search(rf"    sw {register}, (\d+)\(sp\)", text), register
        assert re.search(rf"    lw {register}, (\d+)\(sp\)", text), register
    (down,) = re.findall(r"addi sp, sp, -(\d+)", text)
    assert f"addi sp, sp, {down}\n    ret" in text and int(down) % 16 == 0


def test_a_loop_is_padded_to_what_hardware_asks_for() -> None:
    code, body = Code(), Code()
    body("addi", "x5", "x5", 1)
    code.loop(0, "x6", 7, body)
    (loop,) = code.nodes
    assert isinstance(loop, HardwareLoop) and size(loop.body) == 3
    assert cycles(code.nodes, Core()) == 1 + 7 * 3


def test_a_block_that_is_too_large_is_refused() -> None:
    with pytest.raises(OutOfRegisters):
        block(6, 5).write(Core(8))
    with pytest.raises(OutOfRegisters):
        Outer(16, 4, 64, Result("step"), gradient=True).write(Core(8))
    assert block(5, 5).write(Core(8, float_registers=True))


def test_stalls_are_counted() -> None:
    code = Code()
    code("lw", "x5", 0, "x6")
    code("addi", "x5", "x5", 1)
    assert cycles(code.nodes, Core()) == 3
    code = Code()
    code("fmadd.s", "x5", "x6", "x7", "x5")
    code("sw", "x5", 0, "x8")
    assert cycles(code.nodes, Core()) == 2 and cycles(code.nodes, Core(fpu_latency=1)) == 3


def test_constants_take_the_instructions_that_were_counted() -> None:
    for value in (0, 5, -2048, 2048, 4096, -4096, 123456, -(1 << 31), (1 << 31) - 1):
        code = Code()
        code.constant("x5", value)
        total = 0
        for node in code.nodes:
            name, number = node.name, node.operands[-1]
            total = int(number) << 12 if name == "lui" else total + int(number)
        assert (total - value) % (1 << 32) == 0


@FUZZ
@given(st.integers(0, 200), st.integers(1, 17))
def test_bounds_are_those_of_the_c(count: int, parts: int) -> None:
    edges = bounds(count, parts)
    sizes = [b - a for a, b in pairwise(edges)]
    assert edges[0] == 0 and edges[-1] == count and max(sizes) - min(sizes) <= 1
    assert sum(even(count, parts)) == count if count else even(count, parts) == []


@FUZZ
@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40), st.integers(1, 9))
def test_shares_keep_order_and_lose_nothing(costs: list[float], parts: int) -> None:
    ranges = shares(costs, parts)
    assert len(ranges) == parts
    assert [n for part in ranges for n in part] == list(range(len(costs)))
    heaviest = max(sum(costs[n] for n in part) for part in ranges)
    assert heaviest <= sum(costs) / parts + max(costs) + 1e-9


@FUZZ
@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 4), st.integers(1, 7))
def test_tiles_cover_a_grid_once(lines: int, width: int, high: int, wide: int) -> None:
    found = [int(n) for tile in tiles((lines, width), (high, wide)) for n in tile]
    assert sorted(found) == list(range(lines * width))


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_walks_visit_every_place_in_order(places: list[tuple[int, int]]) -> None:
    visited = []
    for first, outer, inner, outer_step, inner_step in walks(places):
        for i in range(outer):
            for j in range(inner):
                visited.append(
                    tuple(
                        p + i * a + j * b
                        for p, a, b in zip(places[first], outer_step, inner_step, strict=True)
                    )
                )
    assert visited == places


def test_walks_of_a_grid_are_one_walk() -> None:
    places = [(100 * i + 4 * j, 7 * i) for i in range(5) for j in range(6)]
    assert walks(places) == [(0, 5, 6, (100, 7), (4, 0))]


def test_cores_in_equal_steps_share_a_line() -> None:
    kernel = Outer(4, 8, 64, Result("set"))

    def start(offset: int) -> list[Start]:
        return [Start(kernel, (("w", offset), ("", 3), ("NULL", 0)))]

    same = [start(8 * core) for core in range(4)]
    assert print_starts(same, []) == "@0@(w + core * 8, 3, NULL);\n"
    text = print_starts([*same, start(0), start(16), []], [])
    assert text.splitlines() == [
        "if (core < 4) {",
        "    @0@(w + core * 8, 3, NULL);",
        "} else if (core < 6) {",
        "    @0@(w + (core * 16 - 64), 3, NULL);",
        "}",
    ]


def test_slots_hold_only_the_arguments_that_are_used() -> None:
    f = Function(("a", "b", "c"), Core())
    register = f.integer()
    f.fetch(register, "c")
    text = print_assembly("k", f.finish(), Dialect.COREV, "a test")
    assert "sw x12," in text and "sw x10," not in text and "sw x11," not in text
