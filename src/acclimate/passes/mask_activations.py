# SPDX-License-Identifier: Apache-2.0
"""Keeps one bit of an activation where the backward pass only compares it with constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from acclimate.kernels.loop.expr import Apply, Arg, Const, Expr, apply, substitute, used_args
from acclimate.kernels.loop.nest import nest_of
from acclimate.kernels.loop.op import MAP, Map, Reduce
from acclimate.kernels.op import bytes_of
from acclimate.passes.uses import (
    Uses,
    private,
    rewrite_until_done,
    single_map,
    uses,
    with_exprs,
)
from acclimate.program import Buffer, Call, Phase, Program, Role, View

# Below it the bits save less memory than the code that packs them takes.
_LEAST_SAVED_BYTES = 128


def mask_activations(program: Program) -> tuple[Program, list[str]]:
    """What ReLU and its kin need of an activation is packed as soon as the activation is known.

    Before: y = relu(x); z = frozen(y); ...; dx = y <= 0 ? 0 : dy: y stays until then. After:
    y, m = relu(x), y <= 0; z = frozen(y), the last call that needs y; ...; dx = m ? 0 : dy. The
    test itself is kept, so that not even a NaN changes the gradient.
    """
    return rewrite_until_done(program, _step)


@dataclass(frozen=True)
class _Test:
    """A comparison of the elements of a view with constants; in `expr` the element is Arg(0)."""

    view: View
    expr: Expr


@dataclass(frozen=True)
class _Packing:
    """Where the bits of a test come from.

    Args:
        test: whose bits.
        made: number of the call after which the elements are known.
        source: the elements in the order of memory.
        bits: the mask of them.
        mask: the same in the order of the test.
    """

    test: _Test
    made: int
    source: View
    bits: View
    mask: View


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    for name in list(table.writers):
        if not private(buffers, name) or buffers[name].dtype != "f32":
            continue
        late = _late_readers(calls, name, table)
        found = [_tests(calls[number], name) for number in late]
        tests = list(dict.fromkeys(test for some in found for test in some or ()))
        if not tests or None in found or not _worthwhile(calls, name, tests, late[0], buffers):
            continue
        known = dict(buffers)
        packings = [_packing(calls, test, table, known) for test in tests]
        if None in packings:
            continue
        buffers.update(known)
        _apply(calls, [p for p in packings if p is not None], late)
        return f"{name} is kept as {len(tests)} bit{'s' if len(tests) > 1 else ''} an element"
    return None


def only_tested(calls: Sequence[Call], name: str, buffers: Mapping[str, Buffer], but: int) -> bool:
    """True if the backward pass, without call `but`, asks of an activation only for tests."""
    rest = [call for number, call in enumerate(calls) if number != but]
    late = _late_readers(rest, name, uses(rest))
    tested = all(_tests(rest[number], name) is not None for number in late)
    return private(dict(buffers), name) and bool(late) and tested


def _late_readers(calls: Sequence[Call], name: str, table: Uses) -> list[int]:
    """Calls that read a buffer after its last use in the forward pass; none if others need it."""
    touching = sorted({*table.readers[name], *table.writers[name]})
    late = [number for number in touching if calls[number].phase is not Phase.FORWARD]
    early = len(touching) - len(late)
    written = any(number in table.writers[name] for number in late)
    return [] if written or touching[early:] != late else late


def _tests(call: Call, name: str) -> list[_Test] | None:
    """The tests that are all a loop does with a buffer; None if it needs the values."""
    if not isinstance(call.attrs, (Map, Reduce)):
        return None
    found: list[_Test] = []
    for expr in _exprs(call.attrs):
        for node, is_test in _uses_of(expr, call, name):
            if not is_test:
                return None
            found.append(_test(node, call))
    return found


def _test(expr: Expr, call: Call) -> _Test:
    (number,) = used_args(expr)
    view = call.inputs[number]
    assert view is not None
    return _Test(view, substitute(expr, {number: Arg(0)}))


def _exprs(attrs: Map | Reduce) -> tuple[Expr, ...]:
    return attrs.exprs if isinstance(attrs, Map) else (attrs.expr,)


def _uses_of(expr: Expr, call: Call, name: str) -> Iterator[tuple[Expr, bool]]:
    """The largest tests of elements of a buffer, and the elements that are used otherwise."""
    if _is_test(expr, call, name):
        yield expr, True
    elif isinstance(expr, Arg) and _of(call, expr, name):
        yield expr, False
    elif isinstance(expr, Apply):
        for arg in expr.args:
            yield from _uses_of(arg, call, name)


def _of(call: Call, arg: Arg, name: str) -> bool:
    view = call.inputs[arg.index]
    return view is not None and view.buffer == name


def _is_test(expr: Expr, call: Call, name: str) -> bool:
    """True for a condition on one element and constants."""
    if not isinstance(expr, Apply) or expr.dtype != "u8":
        return False
    leaves = [node for node in expr.walk() if not isinstance(node, Apply)]
    args = {node for node in leaves if isinstance(node, Arg)}
    constant = all(isinstance(node, (Arg, Const)) for node in leaves)
    return constant and len(args) == 1 and all(_of(call, arg, name) for arg in args)


def _worthwhile(
    calls: Sequence[Call],
    name: str,
    tests: Sequence[_Test],
    late: int,
    buffers: Mapping[str, Buffer],
) -> bool:
    """True if memory is wanted while only the bits are kept.

    Global pooling, the head and the loss want little; the gradient that follows them takes the
    place of the activation.
    """
    early = [n for n in range(late) if any(view.buffer == name for view in calls[n].views)]
    between = calls[early[-1] + 1 : late]
    wanted = max((_arena_bytes(call, buffers) for call in between), default=0)
    kept = sum(bytes_of("u1", test.view.size) for test in tests)
    return min(buffers[name].size_bytes, wanted) - kept >= _LEAST_SAVED_BYTES


def _arena_bytes(call: Call, buffers: Mapping[str, Buffer]) -> int:
    names = {view.buffer for view in call.views if buffers[view.buffer].role.in_arena}
    return sum(buffers[name].size_bytes for name in names)


def _packing(
    calls: Sequence[Call], test: _Test, table: Uses, buffers: dict[str, Buffer]
) -> _Packing | None:
    """Adds the mask of a test; None where a loop would not fill its bytes one after the other."""
    view = test.view
    axes = range(len(view.shape))
    order = axes if view.contiguous else sorted(axes, key=lambda axis: -view.strides[axis])
    source = view.permute(order)
    made = max(n for n in table.writers[view.buffer] if _sets(calls[n], view))
    name, count = f"{view.buffer}_mask", 1
    while name in buffers:
        count += 1
        name = f"{view.buffer}_mask{count}"
    buffer = Buffer(name, source.shape, "u1", Role.ACTIVATION, calls[made].source)
    bits = View.whole(buffer)
    broadcast = any(n > 1 and step == 0 for n, step in zip(view.shape, view.strides, strict=True))
    attrs = Map((apply("u1", test.expr),), source.shape, "mask")
    if broadcast or not nest_of(attrs, [bits.strides, source.strides]).packs(0):
        return None
    buffers[name] = buffer
    back = [order.index(axis) for axis in axes]
    return _Packing(test, made, source, bits, bits.permute(back))


def _sets(call: Call, view: View) -> bool:
    """True if a call may set elements of a view."""
    first, last = view.span()
    spans = [out.span() for out in call.writes if out.buffer == view.buffer]
    return any(low <= last and first <= high for low, high in spans)


def _apply(calls: list[Call], packings: Sequence[_Packing], late: Sequence[int]) -> None:
    """Packs the bits where they are known and reads them in the late calls."""
    masks = {packing.test: packing.mask for packing in packings}
    for number in late:
        calls[number] = _read_bits(calls[number], masks)
    for packing in sorted(packings, key=lambda p: -p.made):
        maker = calls[packing.made]
        joined = _pack_within(maker, packing)
        if joined is not None:
            calls[packing.made] = joined
            continue
        attrs = Map((apply("u1", packing.test.expr),), packing.source.shape, "mask")
        pack = Call(MAP, (packing.bits,), (packing.source,), attrs, source=maker.source)
        calls.insert(packing.made + 1, pack)


def _pack_within(maker: Call, packing: _Packing) -> Call | None:
    """The loop that computes the elements with the bits as its second result."""
    attrs, out, source = single_map(maker), maker.outputs[0], packing.source
    if attrs is None or out is None or out.reshape(source.shape) != source:
        return None
    bits = packing.bits.reshape(out.shape)
    assert bits is not None
    test = substitute(packing.test.expr, {0: attrs.exprs[0]})
    both = replace(attrs, exprs=(*attrs.exprs, apply("u1", test)))
    inputs = [view.strides for view in maker.inputs if view is not None]
    if not nest_of(both, [out.strides, bits.strides, *inputs]).packs(1):
        return None
    return replace(maker, outputs=(out, bits), attrs=both)


def _read_bits(call: Call, masks: Mapping[_Test, View]) -> Call:
    """The loop with bits in place of tests."""
    inputs = list(call.inputs)
    buffers = {test.view.buffer for test in masks}

    def changed(expr: Expr) -> Expr:
        for name in buffers:
            if _is_test(expr, call, name):
                mask = masks[_test(expr, call)]
                if mask not in inputs:
                    inputs.append(mask)
                return Arg(inputs.index(mask), "u1")
        if isinstance(expr, Apply):
            return Apply(expr.name, tuple(changed(arg) for arg in expr.args))
        return expr

    return with_exprs(call, [changed(expr) for expr in _exprs(call.attrs)], inputs)
