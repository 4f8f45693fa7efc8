# SPDX-License-Identifier: Apache-2.0
"""C text of operands and calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent

from acclimate.kernels.loop.generate import Access, generate_map, generate_reduce
from acclimate.kernels.loop.nest import loop_strides
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.loop.print_c import C_TYPES, c_float
from acclimate.kernels.op import Shape, bytes_of
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.work import Micro, Work
from acclimate.plan import arena_name
from acclimate.program import Buffer, Call, Program, Role, View, describe


@dataclass(frozen=True)
class CallText:
    """One call of the generated C: a comment and a statement."""

    comment: str
    statement: str


class Library:
    """The functions that are written for one program; equal ones are written once.

    Args:
        prefix: of all C symbols.
        core: that kernels in assembly are for.
    """

    def __init__(self, prefix: str, core: Core) -> None:
        self.prefix, self.core = prefix, core
        self.names: dict[str, str] = {}
        self.micros: dict[Micro, str] = {}

    def name(self, label: str, text: str) -> str:
        """The C name of a function, the same for the same text; `@` in the text is its name."""
        if text not in self.names:
            stem = f"{self.prefix}_{label}"
            name, count = stem, 2
            while name in self.names.values():
                name, count = f"{stem}_{count}", count + 1
            self.names[text] = name
        return self.names[text]

    def micro(self, micro: Micro) -> str:
        """The C name of a kernel in assembly."""
        return self.micros.setdefault(micro, f"{self.prefix}_kernel_{len(self.micros) + 1}")

    def texts(self) -> list[str]:
        """All functions, in the order of their first call."""
        return [text.replace("@", name) for text, name in self.names.items()]


def pointer(program: Program, view: View) -> str:
    """The C expression of the first element of a view."""
    buffer = program.buffers[view.buffer]
    base = base_pointer(program.name, buffer)
    # Parts of a tiled buffer always name their place, so that one tile reads like the next.
    tile = bool(buffer.memory or buffer.role.external) and view.size < buffer.size
    offset = view.offset // 8 if buffer.dtype == "u1" else view.offset
    return f"{base} + {offset}" if offset or tile else base


def base_pointer(prefix: str, buffer: Buffer) -> str:
    """The C expression of a buffer."""
    if buffer.role.in_arena:
        return f"{arena_name(buffer.memory)}.{buffer.name}.v"
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
    program: Program, call: Call, number: int, loops: Library, core: tuple[str, ...]
) -> CallText:
    """Comment and statement of one call; `core` is the C of which core of how many."""
    if isinstance(call.attrs, (Map, Reduce)):
        symbol, args = _loop_call(program, call, loops)
    elif call.work is not None:
        symbol, args = _written_call(program, call, call.work, loops)
        core = core[:1] if loops.core.cores > 1 else ()
    else:
        symbol, args = _kernel_call(program, call)
    return CallText(_comment(program, call, number), f"{symbol}({', '.join([*args, *core])});")


def copy_text(
    program: Program, call: Call, number: int, channel: int, l3: Mapping[str, int]
) -> CallText:
    """Comment and statement of a copy between memories; `l3` are places of buffers in l3 [B]."""
    (out,), (source,) = call.outputs, call.inputs
    assert out is not None and source is not None
    attrs = call.attrs
    outer = source if attrs.inward else out
    dtype = program.buffers[out.buffer].dtype
    if outer.buffer in l3:
        far = f"{program.name}_l3 + {l3[outer.buffer]}"
        if program.buffers[outer.buffer].role.persistent:
            array = f"{program.name}_{outer.buffer}"
            far = f"AC_L3_PLACE({array}, {program.name}_l3, {l3[outer.buffer]})"
        near = pointer(program, out if attrs.inward else source)
        symbol, places = ("in", f"{near}, {far}") if attrs.inward else ("out", f"{far}, {near}")
        statement = f"ac_l3_{symbol}({channel}, {places}, {bytes_of(dtype, out.size)});"
        return CallText(_comment(program, call, number), statement)
    row = bytes_of(dtype, attrs.shape[-1])
    rows = len(attrs.shape) > 1
    count, step = (attrs.shape[0], bytes_of(dtype, outer.strides[0])) if rows else (1, row)
    symbol = "ac_copy_in" if attrs.inward else "ac_copy_out"
    places = f"{pointer(program, out)}, {pointer(program, source)}"
    statement = f"{symbol}({channel}, {places}, {row}, {count}, {step});"
    return CallText(_comment(program, call, number), statement)


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
    cycles = f"about {call.work.cycles:,.0f} cycles" if call.work else ""
    parts = [f"{number:3}", work, f"{inputs} -> {outputs}".strip(), place, macs, cycles]
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


def _written_call(
    program: Program, call: Call, work: Work, library: Library
) -> tuple[str, list[str]]:
    """A call whose C and assembly are written for it: a function of the operands that it uses."""
    signature = call.op.signature
    outputs = {operand.name for operand in signature.outputs}
    operands = [*zip(signature.outputs, call.outputs, strict=True)]
    operands += [
        (operand, view)
        for operand, view in zip(signature.inputs, call.inputs, strict=True)
        if operand.name not in outputs
    ]
    parameters, args = [], []
    for operand, view in operands:
        if view is None or not re.search(rf"\b{operand.name}\b", work.body):
            continue
        kind = C_TYPES[operand.dtype]
        if not operand.dims:
            parameters.append(f"const {kind} {operand.name}")
            args.append(scalar(program, view))
            continue
        constant = "" if operand.name in outputs else "const "
        parameters.append(f"{constant}{kind} *const {operand.name}")
        args.append(pointer(program, view))
    if call.scratch:
        parameters.append("float *const scratch")
        args.append(pointer(program, call.scratch))
    body = re.sub(r"@(\d+)@", lambda m: library.micro(work.micros[int(m[1])]), work.body)
    if library.core.cores > 1:
        parameters.append("const int32_t core")
        body = body if re.search(r"\bcore\b", body) else f"(void)core;\n{body}"
    apart = "AC_APART " if "if (core" in body else ""
    head = f"/* {call.choice} */\nstatic {apart}void @({', '.join(parameters)}) {{\n"
    return library.name(describe(call), f"{head}{indent(body, '    ')}}}\n"), args


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


def _loop_call(program: Program, call: Call, loops: Library) -> tuple[str, list[str]]:
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
    name = loops.name(f"loop_{function.label}", function.text)
    return name, [*args, *map(str, function.sizes)]
