# SPDX-License-Identifier: Apache-2.0
"""Cycles of one call: its work, the code that it fetches, and what it reads from afar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any

from acclimate.estimate.rates import rate_of
from acclimate.kernels.copy.op import Copy
from acclimate.kernels.loop.expr import PRIMITIVES, Apply, Expr
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import HardwareLoop, Instruction, Label, Node, size
from acclimate.plan.team import ALONE_ELEMENTS
from acclimate.program import Call
from acclimate.stream import call_cycles
from acclimate.targets import Target

_LINE_BYTES, _INSTRUCTION_BYTES = 16, 4
# A function of libm: 410 cycles for the five `expf` of a softmax on pulp-cluster.
_FUNCTION_CYCLES = 80
# Code that a C compiler makes of a loop or of a kernel in C.
_COMPILED_BYTES = 300


def call_cost(target: Target) -> Callable[[Call], float]:
    """Cycles of a call on a target with everything in the fastest memory, by call."""
    core = Core.of(target)

    def cost(call: Call) -> float:
        if isinstance(call.attrs, Copy):
            return 0.0
        spent = call_cycles(call, target.cores)
        if call.kernel is not None and call.work is None:
            rate = rate_of(target.processor, call.kernel.symbol)
            results = max((view.size for view in call.writes), default=0)
            spent = rate.cycles(call.macs, results) if rate and call.macs else spent
        if isinstance(call.attrs, (Map, Reduce)):
            spent = _loop_cycles(call, spent, target.cores)
        return spent + _fetch_cycles(call, core)

    return cost


def _loop_cycles(call: Call, shared: float, cores: int) -> float:
    """A loop with the functions that it calls; a small one is computed by core 0 alone."""
    elements: int = prod(call.attrs.shape)
    alone = elements <= ALONE_ELEMENTS
    functions = sum(_is_costly(node) for expr in _exprs(call.attrs) for node in expr.walk())
    spent = call_cycles(call, 1) if alone else shared
    return spent + _FUNCTION_CYCLES * functions * elements / (1 if alone else cores)


def _exprs(attrs: Map | Reduce) -> tuple[Expr, ...]:
    return attrs.exprs if isinstance(attrs, Map) else (attrs.expr,)


def _is_costly(node: Expr) -> bool:
    return isinstance(node, Apply) and PRIMITIVES[node.name].costly


def _fetch_cycles(call: Call, core: Core) -> float:
    """Cycles for the code of a call: the caches of the cores are too small to have it still."""
    if not core.icache_bytes:
        return 0.0
    code_bytes = _COMPILED_BYTES
    if call.work is not None:
        kernels: Any = call.work.micros  # hashable, which their protocol does not say
        code_bytes = sum(_kernel_bytes(kernel, core) for kernel in kernels)
    return code_bytes / _LINE_BYTES * core.icache_miss_cycles


@cache
def _kernel_bytes(micro: Any, core: Core) -> int:
    return _first_bytes(micro.write(core), core)


def _first_bytes(nodes: Sequence[Node], core: Core) -> int:
    """Code that is fetched once. A loop larger than the cache is not in it: its cycles count what
    it fetches in every round."""
    total, at = 0, 0
    while at < len(nodes):
        node = nodes[at]
        at += 1
        body: Sequence[Node] = ()
        if isinstance(node, HardwareLoop):
            total, body = total + _INSTRUCTION_BYTES, node.body
        elif isinstance(node, Instruction):
            total += _INSTRUCTION_BYTES
        elif end := _end(nodes, at, node):
            body, at = nodes[at:end], end
        if _INSTRUCTION_BYTES * size(body) <= core.icache_bytes:
            total += _first_bytes(body, core)
    return total


def _end(nodes: Sequence[Node], start: int, label: Label) -> int:
    """Number of the node behind the branch back to a label; 0 if nothing jumps back."""
    back = (f"@{label.name}",)
    jumps = (
        number + 1
        for number, node in enumerate(nodes[start:], start)
        if isinstance(node, Instruction) and node.operands[1:] == back
    )
    return max(jumps, default=0)


def far_cycles(call: Call, elements: int, latency_cycles: int, cores: int) -> float:
    """Cycles that a call takes more because its operands lie in a memory that makes cores wait.

    Args:
        call: that reads and writes them in place.
        elements: of its operands there.
        latency_cycles: of a load.
        cores: that compute it together.
    """
    # A kernel that holds a block of 4 x 4 results loads each operand once for four of them.
    reuse = max(1.0, call.macs / max(sum(view.size for view in call.views), 1) / 4)
    return elements * latency_cycles * reuse / cores
