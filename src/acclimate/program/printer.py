# SPDX-License-Identifier: Apache-2.0
"""Prints a program as text, one call a line."""

from __future__ import annotations

from acclimate.kernels.copy.op import Copy
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.loop.print_c import print_expr
from acclimate.program.ir import Call, Program


def describe(call: Call) -> str:
    """The work of a call in a few words: its operator, or the label of its loop."""
    named = isinstance(call.attrs, (Map, Reduce, Copy))
    return call.attrs.label if named else call.op.name


def print_call(call: Call) -> str:
    """`y[1,12] = linear_fwd(x[1,64], w[12,64], b[12])`."""
    outputs = ", ".join("-" if view is None else str(view) for view in call.outputs)
    inputs = ", ".join("-" if view is None else str(view) for view in call.inputs)
    sign = "+=" if call.accumulate else "="
    text = f"{outputs} {sign} {describe(call)}({inputs})"
    names = {i: f"${i}" for i in range(len(call.inputs))}
    if isinstance(call.attrs, Map):
        parts = [print_expr(expr, names, lambda axis: f"i{axis}") for expr in call.attrs.exprs]
        text += "  { " + "; ".join(parts) + " }"
    elif isinstance(call.attrs, Reduce):
        text += f"  {{ {call.attrs.kind}{list(call.attrs.axes)} "
        text += print_expr(call.attrs.expr, names, lambda axis: f"i{axis}") + " }"
    return text


def print_program(program: Program) -> str:
    """The whole program, buffers first."""
    lines = [f"program {program.name}"]
    for b in program.buffers.values():
        lines.append(
            f"  {b.role:<10} {b.name} {b.dtype}[{','.join(map(str, b.shape))}]  {b.source}"
        )
    for entry in program.entries.values():
        lines.append(f"{entry.name}:")
        lines += [f"  {i:3} {print_call(call)}" for i, call in enumerate(entry.calls)]
    return "\n".join(lines) + "\n"
