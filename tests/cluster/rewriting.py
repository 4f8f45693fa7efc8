# SPDX-License-Identifier: Apache-2.0
"""Small loops in assembly, and what the insertion of hardware loops makes of them."""

from __future__ import annotations

import re

from lab import function

from acclimate.simulate.cluster.hardware_loops import LoopCounts, insert_hardware_loops

SETUP = ".insn i 0x2b, 4, x14"
BODY = "lw a4, 0(a1); lw a5, 4(a1); add a4, a4, a5; sw a4, 0(a0)"
LOOP = f"{BODY}; addi a0, a0, 4; addi a1, a1, 4; addi a2, a2, -1; bnez a2, .LBB0_1"


def assembly(before: str, body: str, after: str = "") -> str:
    """A function with a loop; instructions are separated by semicolons."""
    parts = [
        line if line.strip().endswith(":") else f"\t{line.strip()}"
        for text in (before, ".LBB0_1:", body, after)
        for line in re.split(r"[;\n]", text)
        if line.strip()
    ]
    return function("work", parts).replace("    ", "")


def rewritten(before: str, body: str, after: str = "") -> tuple[list[str], LoopCounts]:
    """Instructions of the rewritten function, and what was inserted."""
    text, counts = insert_hardware_loops(assembly(before, body, after))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line for line in lines if line and not re.match(r"\.(?!insn)|\w+:", line)], counts
