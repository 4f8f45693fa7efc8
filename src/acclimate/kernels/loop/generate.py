# SPDX-License-Identifier: Apache-2.0
"""Writes the C function of one loop call.

Axes that every operand walks through in one piece are merged, so most loops end up with one
counter. The outermost kept loop is shared out to the cores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import indent

from acclimate.kernels.loop.expr import PRIMITIVES, Apply, Arg, Expr, Index
from acclimate.kernels.loop.nest import Nest, nest_of, without_unit_axes
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.loop.print_c import C_TYPES, print_expr, print_with_locals
from acclimate.kernels.op import Shape


@dataclass(frozen=True)
class Access:
    """How a loop reaches one operand.

    Args:
        dtype: element type.
        strides: one per axis of the loop nest (for the output of a reduction: 0 on folded axes).
        by_value: a scalar that is passed by value.
        shares: number of the output that this input is updated in place by, or None.
    """

    dtype: str
    strides: Shape
    by_value: bool = False
    shares: int | None = None


@dataclass(frozen=True)
class LoopFunction:
    """C of one loop.

    Args:
        label: what it does.
        text: the function, whose name is `@`.
        reads: numbers of the inputs that are arguments; the others are unused or updated in place.
        sizes: arguments before core and cores.
    """

    label: str
    text: str
    reads: tuple[int, ...]
    sizes: tuple[int, ...]


def _is_costly(expr: Expr) -> bool:
    """True for divisions, roots and whatever is a call."""
    calls = (node for node in expr.walk() if isinstance(node, Apply))
    return any(node.name in ("div", "sqrt") or PRIMITIVES[node.name].costly for node in calls)


def _at(strides: Sequence[int]) -> str:
    terms = [f"i{i}" if step == 1 else f"i{i} * {step}" for i, step in enumerate(strides) if step]
    return " + ".join(terms) or "0"


def _names(count: int, letters: str) -> list[str]:
    return [letters[i] if i < len(letters) else f"{letters[-1]}{i}" for i in range(count)]


class _Writer:
    """The text of one function, from its operands and its nest."""

    def __init__(
        self,
        exprs: Sequence[Expr],
        outputs: Sequence[Access],
        inputs: Sequence[Access],
        nest: Nest,
    ) -> None:
        self.outputs, self.inputs, self.nest = outputs, inputs, nest
        self.out_names = _names(len(outputs), "yzuvwq")
        self.in_names = _names(len(inputs), "abcdefgh")
        self.used = {n.index for e in exprs for n in e.walk() if isinstance(n, Arg)}
        self.sized = len(nest.extents) == 1 and all(s[0] in (0, 1) for s in nest.strides)

    def loop_of(self, axis: int) -> str:
        return f"i{self.nest.loop_of[axis]}"

    def output_at(self, number: int) -> str:
        return f"{self.out_names[number]}[{_at(self.nest.strides[number])}]"

    def input_at(self, number: int) -> str:
        access = self.inputs[number]
        if access.by_value:
            return self.in_names[number]
        name = self.in_names[number] if access.shares is None else self.out_names[access.shares]
        if access.dtype == "u1" and self.nest.bits:
            return f"({name}_bits & 1)"
        at = _at(self.nest.strides[len(self.outputs) + number])
        return f"ac_bit_u1({name}, {at})" if access.dtype == "u1" else f"{name}[{at}]"

    def keep_until_read(self, values: Sequence[str]) -> tuple[list[str], list[str]]:
        """Locals for outputs whose old value a later output reads in the same place.

        Before: `y = y + a; z = z * y`, where z is to have the old y. After: `const float new0 = y +
        a; const float new1 = z * y; y = new0; z = new1`.
        """
        old = {
            a.shares: self.input_at(i) for i, a in enumerate(self.inputs) if a.shares is not None
        }
        late = [
            number
            for number, text in old.items()
            if any(re.search(rf"\b{re.escape(text)}", value) for value in values[number + 1 :])
        ]
        if not late:
            return [], list(values)
        names = [f"new{number}" for number in range(len(values))]
        types = [C_TYPES[access.dtype] for access in self.outputs]
        parts = zip(types, names, values, strict=True)
        return [f"const {kind} {name} = {value};" for kind, name, value in parts], names

    def assign(self, number: int, value: str, sign: str) -> str:
        """The statement that sets an element of an output; bits are gathered to a byte."""
        dtype = self.outputs[number].dtype
        if dtype == "u1":
            last = self.loop_of_last()
            return f"{self.out_names[number]}_bits |= {value} << ({last} & 7);"
        cast = f"(uint8_t)({value})" if dtype == "u8" else value
        return f"{self.output_at(number)} {sign} {cast};"

    def loop_of_last(self) -> str:
        return f"i{len(self.nest.extents) - 1}"

    def args(self) -> dict[int, str]:
        return {number: self.input_at(number) for number in self.used}

    def before_innermost(self, exprs: Sequence[Expr]) -> tuple[list[str], dict[Expr, str]]:
        """Statements for what costs much and is the same throughout the innermost loop.

        Before: `for j: y[i, j] = a[i, j] / expf(b[i])`. After: `h0 = expf(b[i])` before the loop.
        """
        found: dict[Expr, str] = {}
        statements: list[str] = []
        if len(self.nest.extents) < 2:
            return statements, found
        waiting = list(exprs)
        while waiting:
            expr = waiting.pop()
            if not isinstance(expr, Apply) or expr in found:
                continue
            if _is_costly(expr) and self.is_fixed(expr):
                found[expr] = f"h{len(found)}"
                text = print_expr(expr, self.args(), self.loop_of)
                statements.append(f"const float {found[expr]} = {text};")
            else:
                waiting += expr.args
        return statements, found

    def is_fixed(self, expr: Expr) -> bool:
        """True if an expression does not change in the innermost loop, where nothing writes it."""
        last = len(self.nest.extents) - 1
        for node in expr.walk():
            if isinstance(node, Index) and self.nest.loop_of[node.axis] == last:
                return False
            if isinstance(node, Arg):
                access = self.inputs[node.index]
                moves = self.nest.strides[len(self.outputs) + node.index][last] != 0
                if moves or access.shares is not None:
                    return False
        return expr.dtype == "f32"

    def reads(self) -> tuple[int, ...]:
        """Inputs that are arguments of the function."""
        pairs = enumerate(self.inputs)
        return tuple(i for i, access in pairs if i in self.used and access.shares is None)

    def parameters(self) -> str:
        parts = [
            f"{C_TYPES[a.dtype]} *restrict {name}"
            for a, name in zip(self.outputs, self.out_names, strict=True)
        ]
        for number in self.reads():
            access, name = self.inputs[number], self.in_names[number]
            kind = C_TYPES[access.dtype]
            parts.append(f"{kind} {name}" if access.by_value else f"const {kind} *restrict {name}")
        parts += ["int32_t n"] if self.sized else []
        return ", ".join([*parts, "int32_t core", "int32_t cores"])

    def extent(self, loop: int) -> str:
        return "n" if self.sized else str(self.nest.extents[loop])

    def loop(self, number: int, body: str, split: bool) -> str:
        """One `for`; the split loop runs over this core's part only."""
        if self.nest.bits and number == len(self.nest.extents) - 1:
            return self.loop_of_bytes(number, body, split)
        low, high = ("begin", "end") if split else ("0", self.extent(number))
        head = f"for (int32_t i{number} = {low}; i{number} < {high}; i{number}++) {{\n"
        return head + indent(body, "    ") + "}\n"

    def loop_of_bytes(self, number: int, body: str, split: bool) -> str:
        """The innermost loop where it meets bits: a byte, its elements, and the next byte."""
        n, counter = self.extent(number), f"i{number}"
        low, high = ("begin", "end") if split else ("0", f"({n} + 7) / 8")
        text = f"const int32_t last = ac_min_i32(8 * byte + 8, {n});\n"
        after = ""
        for name, at, writes in self.bytes_at():
            text += f"int32_t {name}_bits = {'0' if writes else f'{name}[{at}]'};\n"
            after += f"{name}[{at}] = (uint8_t){name}_bits;\n" if writes else ""
            body += "" if writes else f"{name}_bits >>= 1;\n"
        text += f"for (int32_t {counter} = 8 * byte; {counter} < last; {counter}++) {{\n"
        text += indent(body, "    ") + "}\n" + after
        head = f"for (int32_t byte = {low}; byte < {high}; byte++) {{\n"
        return head + indent(text, "    ") + "}\n"

    def bytes_at(self) -> Iterator[tuple[str, str, bool]]:
        """Name, place of the byte, and direction of every operand whose elements are bits."""
        count = len(self.outputs)
        for number, access in enumerate((*self.outputs, *self.inputs)):
            if access.dtype == "u1" and (number < count or number - count in self.used):
                name = (self.out_names + self.in_names)[number]
                outer = [step // 8 for step in self.nest.strides[number][:-1]]
                yield name, f"{_at(outer)} + byte" if any(outer) else "byte", number < count

    def nested(self, body: str, loops: range, split: int | None) -> str:
        for number in reversed(loops):
            body = self.loop(number, body, number == split)
        return body

    def share(self, split: int | None) -> str:
        """The part of the work of this core: a range of the outermost loop, or all for core 0."""
        if split is None:
            return "(void)cores;\nif (core != 0) {\n    return;\n}\n"
        n = self.extent(split) if self.nest.grain == 1 else f"({self.extent(split)} + 7) / 8"
        return (
            f"const int32_t begin = ac_split({n}, core, cores);\n"
            f"const int32_t end = ac_split({n}, core + 1, cores);\n"
        )

    def function(self, label: str, comment: str, body: str) -> LoopFunction:
        text = f"/* {comment} */\nstatic void @({self.parameters()}) {{\n{indent(body, '    ')}}}\n"
        sizes = (self.nest.extents[0],) if self.sized else ()
        return LoopFunction(label, text, self.reads(), sizes)


def generate_map(
    attrs: Map, outputs: Sequence[Access], inputs: Sequence[Access], accumulate: bool
) -> LoopFunction:
    """C of `attrs.exprs` for every coordinate of `attrs.shape`."""
    exprs = [without_unit_axes(expr, attrs.shape) for expr in attrs.exprs]
    nest = nest_of(attrs, [access.strides for access in (*outputs, *inputs)])
    writer = _Writer(exprs, outputs, inputs, nest)
    sign = "+=" if accumulate else "="
    early, known = writer.before_innermost(exprs)
    statements, values = print_with_locals(tuple(exprs), writer.args(), writer.loop_of, known)
    kept, values = writer.keep_until_read(values)
    statements += kept
    statements += [writer.assign(number, value, sign) for number, value in enumerate(values)]
    loops = range(len(nest.extents))
    text = "\n".join(statements) + "\n"
    if early:
        text = "\n".join([*early, writer.nested(text, loops[-1:], nest.split)])
        loops = loops[:-1]
    body = writer.share(nest.split) + writer.nested(text, loops, nest.split)
    return writer.function(attrs.label, _formula(exprs, writer, sign), body)


def _formula(exprs: Sequence[Expr], writer: _Writer, sign: str) -> str:
    names = dict(enumerate(writer.in_names))
    names |= {
        i: writer.out_names[a.shares] for i, a in enumerate(writer.inputs) if a.shares is not None
    }
    texts = [print_expr(expr, names, writer.loop_of, plain=True) for expr in exprs]
    formulas = [f"{y} {sign} {text}" for y, text in zip(writer.out_names, texts, strict=True)]
    return ";  ".join(formulas)


_FOLDS = {
    "sum": ("0.0f", "acc += {0};"),
    "max": ("-INFINITY", "acc = ac_max_f32(acc, {0});"),
    "min": ("INFINITY", "acc = ac_min_f32(acc, {0});"),
}


def generate_reduce(
    attrs: Reduce, output: Access, inputs: Sequence[Access], accumulate: bool
) -> LoopFunction:
    """C of `attrs.post(fold of attrs.expr over attrs.axes)`."""
    expr = without_unit_axes(attrs.expr, attrs.shape)
    nest = nest_of(attrs, [output.strides, *(access.strides for access in inputs)])
    folded_axes = [axis for axis in attrs.axes if attrs.shape[axis] != 1]
    inner = nest.loop_of[folded_axes[0]] if folded_axes else len(nest.extents)
    writer = _Writer([expr], [output], inputs, nest)
    statements, values = print_with_locals((expr,), writer.args(), writer.loop_of)
    loops = range(len(nest.extents))
    if attrs.kind == "argmax":
        start, fold = _argmax(values[0])
        result = "best"
    else:
        zero, step = _FOLDS[attrs.kind]
        start, fold = f"float acc = {zero};\n", step.format(values[0]) + "\n"
        result = print_expr(attrs.post, {0: "acc"}, writer.loop_of)
    folded = writer.nested("".join(f"{s}\n" for s in statements) + fold, loops[inner:], None)
    sign = "+=" if accumulate else "="
    body = f"{start}{folded}{writer.output_at(0)} {sign} {result};\n"
    body = writer.share(nest.split) + writer.nested(body, loops[:inner], nest.split)
    names = dict(enumerate(writer.in_names))
    what = print_expr(expr, names, writer.loop_of, plain=True)
    comment = f"{attrs.kind} of {what}, then {result}"
    return writer.function(attrs.label, comment, body)


def _argmax(value: str) -> tuple[str, str]:
    start = "float top = -INFINITY;\nint32_t best = 0, at = 0;\n"
    fold = (
        f"const float v = {value};\n"
        "if (v > top || (v != v && top == top)) {\n    top = v;\n    best = at;\n}\nat++;\n"
    )
    return start, fold
