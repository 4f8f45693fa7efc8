# SPDX-License-Identifier: Apache-2.0
"""C text of operands and calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acclimate.kernels.loop.generate import Access, LoopFunction, generate_map, generate_reduce
from acclimate.kernels.loop.nest import loop_strides
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.loop.print_c import c_float
from acclimate.kernels.op import Shape
from acclimate.program import Buffer, Call, Program, Role, View, describe


@dataclass(frozen=True)
class CallText:
    """One call of the generated C: a comment and a statement."""

    comment: str
    statement: str


class LoopLibrary:
    """The loop functions of one program; equal ones are written once."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.names: dict[str, str] = {}

    def name(self, function: LoopFunction) -> str:
        """The C name of a function, the same for the same text."""
        if function.text not in self.names:
            stem = f"{self.prefix}_loop_{function.label}"
            name, count = stem, 2
            while name in self.names.values():
                name, count = f"{stem}_{count}", count + 1
            self.names[function.text] = name
        return self.names[function.text]

    def texts(self) -> list[str]:
        """All functions, in the order of their first call."""
        return [text.replace("@", name) for text, name in self.names.items()]


def pointer(program: Program, view: View) -> str:
    """The C expression of the first element of a view."""
    base = base_pointer(program.name, program.buffers[view.buffer])
    return f"{base} + {view.offset}" if view.offset else base


def base_pointer(prefix: str, buffer: Buffer) -> str:
    """The C expression of a buffer."""
    if buffer.role.in_arena:
        return f"arena.{buffer.name}.v"
    if buffer.role.external:
        return buffer.name
    return f"{prefix}_{buffer.name}"


def scalar(program: Program, view: View) -> str:
    """The C expression of one value that is passed by value."""
    buffer = program.buffers[view.buffer]
    return (
        buffer.name
        if buffer.role is Role.SCALAR
        else f"{base_pointer(program.name, buffer)}[{view.offset}]"
    )


def call_text(
    program: Program, call: Call, number: int, loops: LoopLibrary, core: tuple[str, str]
) -> CallText:
    """Comment and statement of one call; `core` is the C of which core of how many."""
    if isinstance(call.attrs, (Map, Reduce)):
        symbol, args = _loop_call(program, call, loops)
    else:
        symbol, args = _kernel_call(program, call)
    return CallText(_comment(program, call, number), f"{symbol}({', '.join([*args, *core])});")


def _comment(program: Program, call: Call, number: int) -> str:
    """`12  fc1.linear_fwd  pool[1,64] -> scores[1,12]  kws.py:18  768 MAC`."""
    data = [
        v for v in call.inputs if v is not None and not program.buffers[v.buffer].role.persistent
    ]
    inputs = ", ".join(_short(v) for v in data if program.buffers[v.buffer].role is not Role.SCALAR)
    outputs = ", ".join(_short(v) for v in call.writes)
    work = ".".join(part for part in (call.source.module, describe(call)) if part)
    place = f"{call.source.file}:{call.source.line}" if call.source.file else ""
    macs = f"{call.macs:,} MAC" if call.macs else ""
    parts = [f"{number:3}", work, f"{inputs} -> {outputs}".strip(), place, macs]
    return "  ".join(part for part in parts if part)


def _short(view: View) -> str:
    return f"{view.buffer.rpartition('.')[2]}[{','.join(map(str, view.shape))}]"


def _kernel_call(program: Program, call: Call) -> tuple[str, list[str]]:
    assert call.kernel is not None
    values = call.values()
    args = [_operand(program, view) for view in call.outputs]
    outputs = {operand.name for operand in call.op.signature.outputs}
    for operand, view in zip(call.op.signature.inputs, call.inputs, strict=True):
        if operand.name in outputs:
            continue
        by_value = not operand.dims and view is not None
        args.append(
            scalar(program, view) if by_value and view is not None else _operand(program, view)
        )
    args += [pointer(program, call.scratch)] if call.scratch else []
    args += [_number(values[name]) for name in call.op.sizes]
    args += [str(int(call.accumulate))] if call.op.accumulates else []
    return call.kernel.symbol, args


def _operand(program: Program, view: View | None) -> str:
    return "NULL" if view is None else pointer(program, view)


def _number(value: int | float) -> str:
    return c_float(value) if isinstance(value, float) else str(int(value))


def _access(program: Program, view: View, strides: Shape, shares: int | None = None) -> Access:
    buffer = program.buffers[view.buffer]
    return Access(buffer.dtype, strides, buffer.role is Role.SCALAR, shares)


def _shared(view: View, outputs: Sequence[View]) -> int | None:
    """The output that an input is updated in place by."""
    return next((i for i, out in enumerate(outputs) if out == view), None)


def _loop_call(program: Program, call: Call, loops: LoopLibrary) -> tuple[str, list[str]]:
    outputs, attrs = call.writes, call.attrs
    inputs = [view for view in call.inputs if view is not None]
    reads = [_access(program, v, v.strides, _shared(v, outputs)) for v in inputs]
    if isinstance(attrs, Map):
        writes = [_access(program, v, v.strides) for v in outputs]
        function = generate_map(attrs, writes, reads, call.accumulate)
    else:
        write = _access(program, outputs[0], loop_strides(attrs, outputs[0].strides))
        function = generate_reduce(attrs, write, reads, call.accumulate)
    args = [pointer(program, view) for view in outputs]
    for number, view in enumerate(inputs):
        if number in function.reads:
            by_value = reads[number].by_value
            args.append(scalar(program, view) if by_value else pointer(program, view))
    return loops.name(function), [*args, *map(str, function.sizes)]
