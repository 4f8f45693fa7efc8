# SPDX-License-Identifier: Apache-2.0
"""How assemblers spell the instructions that are extensions of PULP.

Encodings: cv32e40p_decoder.sv of the package pythondata_cpu_cv32e40p.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Spelling:
    """One instruction; {0}, {1}, ... are its operands in the order of their fields.

    Args:
        corev: as a number, which every assembler for RISC-V reads.
        meaning: its CORE-V name, for a comment.
        xpulpv2: as the toolchains of PULP and GAP spell it.
    """

    corev: str
    meaning: str
    xpulpv2: str


# Names of ours: post-increment by an immediate (!) or a register (!r), index register (+r).
SPELLINGS: Mapping[str, Spelling] = {
    "lw!": Spelling(
        ".insn i 0x0b, 2, {0}, {1}, {2}",
        "cv.lw {0}, ({1}), {2}",
        "p.lw {0}, {2}({1}!)",
    ),
    "lw!r": Spelling(
        ".insn r 0x2b, 3, 0x02, {0}, {1}, {2}",
        "cv.lw {0}, ({1}), {2}",
        "p.lw {0}, {2}({1}!)",
    ),
    "lw+r": Spelling(
        ".insn r 0x2b, 3, 0x06, {0}, {1}, {2}",
        "cv.lw {0}, {2}({1})",
        "p.lw {0}, {2}({1})",
    ),
    "sw!": Spelling(
        ".insn s 0x2b, 2, {0}, {2}({1})",
        "cv.sw {0}, ({1}), {2}",
        "p.sw {0}, {2}({1}!)",
    ),
    "sw!r": Spelling(
        ".insn r 0x2b, 3, 0x12, {2}, {1}, {0}",
        "cv.sw {0}, ({1}), {2}",
        "p.sw {0}, {2}({1}!)",
    ),
    # Sums of four products of bytes: `u` of u8 by s8, `s` of s8 by s8; the second two add.
    "dotu": Spelling(
        ".insn r 0x7b, 1, 0x44, {0}, {1}, {2}",
        "cv.dotusp.b {0}, {1}, {2}",
        "pv.dotusp.b {0}, {1}, {2}",
    ),
    "dots": Spelling(
        ".insn r 0x7b, 1, 0x48, {0}, {1}, {2}",
        "cv.dotsp.b {0}, {1}, {2}",
        "pv.dotsp.b {0}, {1}, {2}",
    ),
    "sdotu": Spelling(
        ".insn r 0x7b, 1, 0x50, {0}, {1}, {2}",
        "cv.sdotusp.b {0}, {1}, {2}",
        "pv.sdotusp.b {0}, {1}, {2}",
    ),
    "sdots": Spelling(
        ".insn r 0x7b, 1, 0x54, {0}, {1}, {2}",
        "cv.sdotsp.b {0}, {1}, {2}",
        "pv.sdotsp.b {0}, {1}, {2}",
    ),
    # {0} = ({0} + {1}) >> {2}, a register; clips to 0 .. 2^({2} - 1) - 1, and to as much below.
    "addNr": Spelling(
        ".insn r 0x2b, 3, 0x40, {0}, {1}, {2}",
        "cv.addNr {0}, {1}, {2}",
        "p.addNr {0}, {1}, {2}",
    ),
    "clipu": Spelling(
        ".insn r 0x2b, 3, 0x39, {0}, {1}, x{2}",
        "cv.clipu {0}, {1}, {2}",
        "p.clipu {0}, {1}, {2}",
    ),
    "clip": Spelling(
        ".insn r 0x2b, 3, 0x38, {0}, {1}, x{2}",
        "cv.clip {0}, {1}, {2}",
        "p.clip {0}, {1}, {2}",
    ),
}
