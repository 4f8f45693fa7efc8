# SPDX-License-Identifier: Apache-2.0
"""Cycles of code on a PULP core, without running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import HardwareLoop, Instruction, Label, Node, size

_INSTRUCTION_BYTES, _LINE_BYTES = 4, 16
_LOADS = frozenset({"lw", "flw", "lw!", "lw!r", "lw+r"})
_STORES = frozenset({"sw", "sb", "fsw", "sw!", "sw!r"})
_JUMPS = frozenset({"j", "ret"})
_BRANCHES = frozenset({"bnez", "beqz", "bne", "blt"})


def cycles(nodes: Sequence[Node], core: Core, times: Mapping[str, int] | None = None) -> float:
    """Cycles of code on a core that meets no other at a bank.

    Args:
        nodes: the code.
        core: that runs it.
        times: how often a loop in software runs, by the label that its last branch jumps to, or a
            hardware loop, by its name.
    """
    return Timing.of(nodes, core, frozenset(times or ())).cycles(times or {})


@dataclass(frozen=True)
class Timing:
    """Cycles of code on a core, read once for any number of rounds of its loops.

    An instruction takes an issue slot. A load costs one more if the next instruction needs it, a
    floating-point operation the FPU's latency more, a taken branch two more. Branches count as
    taken; hardware loops need a count or a name. Floating-point operations wait for other cores at
    a shared FPU. A loop fetches all its lines in every round if the instruction cache is smaller.

    Args:
        straight: cycles of what is in no loop.
        loops: the count, or the label or name of a loop, and the body with what it fetches.
    """

    straight: float
    loops: tuple[tuple[int | str, Timing, float], ...]

    @staticmethod
    def of(nodes: Sequence[Node], core: Core, labels: Set[str] = frozenset()) -> Timing:
        """The timing of code.

        Args:
            nodes: the code.
            core: that runs it.
            labels: that begin loops in software.
        """
        loops: list[tuple[int | str, Timing, float]] = []
        own, uses, at = 0.0, 0, 0
        before: Instruction | None = None
        while at < len(nodes):
            node = nodes[at]
            at += 1
            if isinstance(node, Label) and node.name in labels:
                end = _end(nodes, at, node.name)
                body = nodes[at:end]
                loops.append((node.name, Timing.of(body, core, labels), _fetch(body, core)))
                at = end
            elif isinstance(node, HardwareLoop):
                count = node.name or node.count
                assert count is not None
                own += 1
                loops.append((count, Timing.of(node.body, core), _fetch(node.body, core)))
            elif isinstance(node, Instruction):
                own += 1 + _waits(node, before, core)
                uses += node.name.endswith(".s")
            before = node if isinstance(node, Instruction) else None
        return Timing(_shared(own, uses, core.cores_per_fpu), tuple(loops))

    def cycles(self, times: Mapping[str, int]) -> float:
        """Cycles where loops without a count of their own run so often, by label or name."""
        inner = 0.0
        for count, body, fetch in self.loops:
            rounds = times[count] if isinstance(count, str) else count
            inner += rounds * (body.cycles(times) + fetch)
        return inner + self.straight


def _end(nodes: Sequence[Node], start: int, label: str) -> int:
    """Number of the node behind the branch that closes a loop."""
    for number in range(start, len(nodes)):
        node = nodes[number]
        if isinstance(node, Instruction) and node.operands[1:] == (f"@{label}",):
            return number + 1
    raise ValueError(f"nothing jumps back to {label}")


@cache
def _kind(name: str) -> tuple[int, bool, bool, bool]:
    """Of an instruction: cycles of its jump, if it reads its first operand too, loads, computes."""
    jump = 2 if name in _BRANCHES else 1 if name in _JUMPS else 0
    floats = name.startswith("f") and name not in _STORES
    return jump, name in _STORES or name in _BRANCHES, name in _LOADS, floats


def _waits(node: Instruction, before: Instruction | None, core: Core) -> int:
    """Cycles that an instruction takes beyond its issue slot."""
    waits, first, _, _ = _kind(node.name)
    if before is None:
        return waits
    _, _, loads, floats = _kind(before.name)
    if (loads or floats) and before.operands:
        reads = node.operands if first else node.operands[1:]
        if before.operands[0] in reads:
            waits += 1 if loads else core.fpu_latency
    return waits


def _fetch(body: Sequence[Node], core: Core) -> float:
    """Cycles for the code of a loop in every round, where the cache is too small for it."""
    code_bytes = _INSTRUCTION_BYTES * size(body)
    if core.icache_bytes and code_bytes > core.icache_bytes:
        return code_bytes / _LINE_BYTES * core.icache_miss_cycles
    return 0.0


def _shared(own: float, uses: int, sharers: float) -> float:
    """Cycles of code that takes `own` of them alone, where several cores use one FPU as often.

    Cores are customers of a closed queue: they are elsewhere for the other instructions, and wait
    for those that are at the FPU already.

    Source: mean value analysis, Reiser and Lavenberg, J. ACM 27(2), 1980.
    """
    waiting, response = 0.0, float(uses)
    for customers in range(1, round(sharers) + 1):
        response = uses * (1.0 + waiting)
        waiting = customers * response / max(own - uses + response, 1.0)
    return own - uses + response
