# SPDX-License-Identifier: Apache-2.0
"""How often a loop of one block runs: code that computes it before the loop.

A hardware loop with a count of 0 runs its body once, like the loop that it replaces, which tests at
its end. No counter is believed to come round through all of its 2^32 values: that would take more
turns than a step of training has cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acclimate.simulate.cluster.assembly import Instruction, Line, code_of, coded, line_of, register

# Branches by the comparison that they are: mnemonic, and whether its operands are swapped.
_SAME = {
    "bne": ("bne", False), "bnez": ("bne", False), "blt": ("blt", False), "bltu": ("bltu", False),
    "bge": ("bge", False), "bgeu": ("bgeu", False), "bgt": ("blt", True), "ble": ("bge", True),
    "bgtu": ("bltu", True), "bleu": ("bgeu", True), "bltz": ("blt", False), "bgez": ("bge", False),
    "bgtz": ("blt", True), "blez": ("bge", True),
}  # fmt: skip
# A counter that jumps over its bound could pass the end of its 2^32 values; with steps up to this
# one it does so after millions of turns.
_LARGEST_JUMP = 64


@dataclass(frozen=True)
class Counter:
    """A register that a loop moves and compares.

    Args:
        name: the register.
        step: of every turn.
        at: line of the body that moves it.
        bound: register with which it is compared after that; the loop does not change it.
        comparison: the loop goes on while the counter is `bne` the bound, or `blt` resp. `bge` on
            the way to it, i.e. not yet there resp. not yet beyond.
        signed: of the comparison.
    """

    name: str
    step: int
    at: int
    bound: str
    comparison: str
    signed: bool

    @property
    def shift(self) -> int:
        """The step is an odd number times 2 to this."""
        return (abs(self.step) & -abs(self.step)).bit_length() - 1

    @property
    def odd(self) -> int:
        """Odd part of the step."""
        return abs(self.step) >> self.shift

    @property
    def ends(self) -> tuple[str, str]:
        """The registers whose difference is the way: the higher end, the lower one."""
        return (self.bound, self.name) if self.step > 0 else (self.name, self.bound)

    @property
    def registers_needed(self) -> int:
        """How many registers the count takes besides those of the loop."""
        if self.comparison == "bne" and self.ends[1] == "zero" and abs(self.step) == 1:
            return 0
        return 1 if self.odd == 1 else 2

    def can_use(self, name: str) -> bool:
        """Whether the count may be computed in a register, as far as its own inputs go."""
        return self.comparison == "bne" or name != self.ends[1]


def find_counter(body: Sequence[Line], branch: Instruction) -> Counter | None:
    """The counter of a loop, if the number of its turns can be computed before it.

    Args:
        body: lines without the branch.
        branch: back to the start of the body.
    """
    if branch.mnemonic not in _SAME:
        return None
    mnemonic, swapped = _SAME[branch.mnemonic]
    pair = [register(text) for text in branch.operands[:-1]] + ["zero"]
    left, right = (pair[1], pair[0]) if swapped else (pair[0], pair[1])
    if left is None or right is None or left == right:
        return None
    for name, bound in ((left, right), (right, left)):
        moved = _step(body, name)
        if moved is None or any(bound in code.writes for _, code in code_of(body)):
            continue
        at, step = moved
        comparison = mnemonic.removesuffix("u")
        counter = Counter(name, step, at, bound, comparison, not mnemonic.endswith("u"))
        if comparison == "bne":
            return counter
        # Up to a bound on the right of `<` or on the left of `>=`; down to one on the other side.
        up = (name == left) == (comparison == "blt")
        toward = up == (step > 0)
        return counter if toward and counter.odd == 1 and abs(step) <= _LARGEST_JUMP else None
    return None


def _step(body: Sequence[Line], name: str) -> tuple[int, int] | None:
    """Where and by how much a body moves a register, if it does nothing else to it."""
    writers = [(at, code) for at, code in code_of(body) if name in code.writes]
    if len(writers) != 1:
        return None
    at, code = writers[0]
    step = code.constant if code.mnemonic == "addi" and code.reads == {name} else None
    return (at, step) if step else None


def count_code(counter: Counter, target: str, other: str) -> tuple[list[Line], str]:
    """Code that computes the turns of a loop.

    The way from the counter to its bound, divided by the step. With `bne` the division is exact, so
    an odd factor goes away in a multiplication by its inverse modulo 2^32. With `blt` it is rounded
    up, with `bge` down and one turn more; a bound that is passed from the start is no way at all.

    Args:
        counter: of the loop.
        target: register for the count.
        other: a second register, if the counter needs it.

    Returns:
        The code, and the register that holds the count after it.
    """
    high, low = counter.ends
    shift, code, way = counter.shift, [], high
    if counter.comparison != "bne":
        code.append(_maximum(target, high, low, counter.signed))
        way = target
    if low != "zero":
        code.append(line_of(f"sub\t{target}, {way}, {low}"))
        way = target
    if counter.odd != 1:
        code += _load(other, pow(counter.odd, -1, 1 << 32))
        code.append(line_of(f"mul\t{target}, {way}, {other}"))
        way = target
    if counter.comparison == "blt" and shift:
        code.append(line_of(f"addi\t{target}, {way}, {(1 << shift) - 1}"))
        way = target
    if shift:
        code.append(line_of(f"srli\t{target}, {way}, {shift}"))
        way = target
    if counter.comparison == "bge":
        code.append(line_of(f"addi\t{target}, {way}, 1"))
    return code, way


def _maximum(target: str, left: str, right: str, signed: bool) -> Line:
    """cv.max or cv.maxu."""
    name, funct7 = ("cv.max", 0x2D) if signed else ("cv.maxu", 0x2E)
    text = f".insn r 0x2b, 3, {funct7:#x}, {target}, {left}, {right}"
    return coded(text, name, (left, right), (target,))


def _load(target: str, value: int) -> list[Line]:
    """A 32-bit constant into a register."""
    upper = (value + 0x800 >> 12) & 0xFFFFF
    lower = (value & 0xFFF ^ 0x800) - 0x800
    return [line_of(f"lui\t{target}, {upper}"), line_of(f"addi\t{target}, {target}, {lower}")]
