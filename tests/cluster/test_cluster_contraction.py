# SPDX-License-Identifier: Apache-2.0
"""Blocks of contractions in assembly: any offsets, loops, results and registers, on the RTL."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from math import inf

import lab
import numpy as np
import pytest

from acclimate.kernels.pulp.contraction import Block, Taps, Walk
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.function import OutOfRegisters
from acclimate.kernels.pulp.isa import Dialect, print_assembly
from acclimate.kernels.pulp.result import Result

RATE, DECAY = 0.1, 0.25
LONGEST_ROW = 10_000  # words of c between walks of rows
BIAS_WORDS = 300
GUARD = 16
C = """#include <stdint.h>
void kernel(const float *a, const float *b, float *c, float *bias, int32_t rows, int32_t outer,
            int32_t inner, int32_t start, const float *rate);
void go(int32_t a, int32_t b, int32_t rows, int32_t outer, int32_t inner, int32_t start);
float A[%d] = {1}, B[%d] = {1}, C[%d] = {1}, bias[%d] = {1}, rate[1] = {%rf};
void go(int32_t a, int32_t b, int32_t rows, int32_t outer, int32_t inner, int32_t start) {
    kernel(A + a, B + b, C + %d, bias + %d, rows, outer, inner, start, rate);
}
"""


@dataclass
class Draw:
    """A block with everything in words, and how far it walks."""

    rows: list[int]
    columns: list[int]
    c_rows: list[int]
    taps_a: list[int]
    taps_b: list[int]
    loops: list[tuple[int, int, int]]
    result: Result
    walks: list[tuple[int, int, int, int]]  # count, step of the operand, of c, of the bias
    start: int

    def block(self) -> Block:
        def steps(number: int) -> tuple[int, int, int]:
            count, *step = self.walks[number]
            return (4 * step[0], 4 * step[1], 4 * step[2]) if count > 1 or not number else (0, 0, 0)

        def words(numbers: list[int]) -> tuple[int, ...]:
            return tuple(4 * n for n in numbers)

        loops = tuple((n, 4 * a, 4 * b) for n, a, b in self.loops)
        return Block(
            words(self.rows), words(self.columns), words(self.c_rows),
            words(list(range(len(self.columns)))),
            Taps(words(self.taps_a), words(self.taps_b), loops),
            self.result, Walk(steps(0), steps(1), steps(2)), self.start >= 0,
        )  # fmt: skip


def offsets(rng: random.Random, count: int, scale: int) -> list[int]:
    return sorted(rng.sample(range(0, max(3 * count, 8) * scale), count))


def draw(rng: random.Random) -> Draw:
    r, c = rng.randint(1, 6), rng.choice([0, 1, 2, 3, 4, 5, 6, 9, 13, 16])
    sums = c == 0 or rng.random() < 0.3
    kind = rng.choice(["set", "add", "step"])
    limits = (rng.choice([-inf, 0.0, -1.0]), rng.choice([inf, 1.0]))
    bias = "" if sums or kind != "set" else rng.choice(["", "rows", "columns"])
    taps = rng.randint(1, 4)
    loops = [(rng.randint(1, 5), rng.choice([0, 1, 7, 600, 2000]), rng.choice([1, 5, 600, 2500]))]
    if rng.random() < 0.4:
        loops.append((rng.randint(1, 4), rng.choice([0, 1, 7, 600]), rng.choice([1, -3, 600])))
    inner, outer = (1, 1) if sums else (rng.choice([1, 2, 3]), rng.choice([1, 1, 2]))
    down = r if bias == "rows" or sums else 0
    right = c if bias == "columns" else 0
    c_step = rng.choice([50, 700])
    even = [n * rng.choice([1100, 40]) for n in range(r)]
    rows = rng.choice([offsets(rng, r, rng.choice([1, 40, 700])), sorted(even)])
    columns = rng.choice([offsets(rng, c, rng.choice([1, 40])), [n * 1200 for n in range(c)]])
    return Draw(
        rows, columns, [n * c_step for n in range(r)], offsets(rng, taps, 1),
        offsets(rng, taps, 1), loops,
        Result(kind, *(limits if kind == "set" else ()), decay=rng.choice([0.0, DECAY]),
               bias=bias, sums=sums),
        [
            (rng.randint(1, 3), rng.choice([0, 3, 900]), LONGEST_ROW, down),
            (outer, rng.choice([2, 1500]), c * inner, right * inner),
            (inner, rng.choice([2, 1500]), c, right),
        ],
        rng.randrange(loops[-1][0]) if rng.random() < 0.5 else -1,
    )  # fmt: skip


def expected(
    d: Draw, a: np.ndarray, b: np.ndarray, c: np.ndarray, bias: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """c and bias after the kernel; `points` are the offsets of all taps in a and in b."""
    c, bias, result = c.astype(float), bias.astype(float), d.result

    def update(old: np.ndarray, total: np.ndarray) -> np.ndarray:
        if result.kind == "set":
            return total
        total = total if result.kind == "add" else -RATE * total
        return (1 - RATE * result.decay) * old + total

    (rows, step_a, row_c, row_bias), *columns = d.walks
    for i in range(rows):
        seen_a = a[np.add.outer(i * step_a + np.array(d.rows), points[:, 0])].astype(float)
        for at in itertools.product(*(range(count) for count, *_ in columns)):
            places = [np.dot(at, [walk[n] for walk in columns]) for n in (1, 2, 3)]
            at_bias = i * row_bias + places[2]
            if d.columns:
                seen_b = b[np.add.outer(places[0] + np.array(d.columns), points[:, 1])]
                total = seen_a @ seen_b.astype(float).T
                if result.bias == "rows":
                    total += bias[at_bias : at_bias + len(d.rows), None]
                elif result.bias == "columns":
                    total += bias[at_bias : at_bias + len(d.columns)]
                first = i * row_c + places[1] + np.arange(len(d.columns))
                where = np.add.outer(np.array(d.c_rows), first)
                c[where] = update(c[where], np.clip(total, result.lo, result.hi))
            if result.sums:
                where = np.arange(at_bias, at_bias + len(d.rows))
                bias[where] = update(bias[where], seen_a.sum(axis=1))
    return c, bias


def check(d: Draw, features: tuple[str, ...], latency: int, seed: int) -> bool:
    """Runs a block between guards; False if it does not fit the registers."""
    try:
        nodes = d.block().write(Core(1, bool(features), latency))
    except OutOfRegisters:
        return False
    spots = [
        (sum(i * loop[1] for i, loop in zip(at, d.loops, strict=True)),
         sum(i * loop[2] for i, loop in zip(at, d.loops, strict=True)))
        for at in itertools.product(*(range(n) for n, _, _ in d.loops))
    ]  # fmt: skip
    taps = np.stack([d.taps_a, d.taps_b], axis=1)
    points = (np.array(spots)[:, None, :] + taps).reshape(-1, 2)
    first = -points.min(axis=0)
    last_a = max(d.rows) + d.walks[0][1] * (d.walks[0][0] - 1)
    last_b = max(d.columns, default=0) + sum(w[1] * (w[0] - 1) for w in d.walks[1:])
    sizes = points.max(axis=0) + first + (last_a, last_b) + 1
    rng = np.random.default_rng(seed)

    def fenced(size: int) -> np.ndarray:
        value = rng.standard_normal(size + 2 * GUARD).astype(np.float32)
        value[:GUARD] = value[-GUARD:] = np.nan  # whoever reads too far has NaN in the sums
        return value

    a, b, bias = fenced(sizes[0]), fenced(sizes[1]), fenced(BIAS_WORDS)
    c = fenced(LONGEST_ROW * d.walks[0][0])
    assembly = print_assembly("kernel", nodes, Dialect.COREV, "drawn")
    text = C % (a.size, b.size, c.size, bias.size, RATE, GUARD, GUARD)
    files = {"go.c": text, "kernel.S": f"    .text\n    .option norvc\n{assembly}"}
    machine = lab.target(1, features=features, fpu_latency=latency)
    program = lab.Program(files, machine)
    for name, value in (("A", a), ("B", b), ("C", c), ("bias", bias)):
        program.array(name)[:] = value
    counts = [walk[0] for walk in d.walks]
    program.call("go", GUARD + first[0], GUARD + first[1], *counts, max(d.start, 0))
    inside = slice(GUARD, -GUARD)
    wanted_c, wanted_bias = expected(
        d, a[inside], b[inside], c[inside], bias[inside], points + first
    )
    c[inside], bias[inside] = wanted_c, wanted_bias
    np.testing.assert_allclose(program.array("C"), c, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(program.array("bias"), bias, atol=1e-4, rtol=1e-4)
    np.testing.assert_array_equal(program.array("A"), a)
    np.testing.assert_array_equal(program.array("B"), b)
    return True


@pytest.mark.parametrize("latency", [0, 1])
@pytest.mark.parametrize("features", [(), ("float_registers",)], ids=["zfinx", "f"])
def test_drawn_blocks(features: tuple[str, ...], latency: int) -> None:
    rng = random.Random(f"{features} {latency}")
    done = 0
    for seed in range(60):  # about half of them ask for more registers than there are
        done += check(draw(rng), features, latency, seed)
        if done == 16:
            return
    pytest.fail(f"only {done} blocks fit the core")
