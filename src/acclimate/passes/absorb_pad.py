# SPDX-License-Identifier: Apache-2.0
"""Lets convolutions pad for themselves."""

from __future__ import annotations

from dataclasses import replace

from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X, CONV2D_FWD
from acclimate.kernels.loop.expr import Arg, Const
from acclimate.passes.uses import rewrite_until_done, single_map, uses, whole
from acclimate.program import Buffer, Call, Program, View

# Operator -> which of its inputs is the padded image.
_IMAGE = {CONV2D_FWD: 0, CONV2D_BWD_W: 1}


def absorb_pad(program: Program) -> tuple[Program, list[str]]:
    """Zero padding, also on one side only, becomes a number in the convolution.

    Before: p = pad(x, 4, 5); y = conv(p). After: y = conv(x) with pad_top = 4: p is never in
    memory.
    """
    return rewrite_until_done(program, _absorb)


def crop_input_gradient(program: Program) -> tuple[Program, list[str]]:
    """The gradient of padding is not computed.

    Before: dp = conv_bwd_x(dy); dx = window of dp. After: dx = conv_bwd_x(dy) with larger pad_top.
    """
    return rewrite_until_done(program, _crop)


def _corner(window: View, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Row and column of a window [N,C,h,w] in a buffer [N,C,H,W]; None if it is no such window."""
    if len(window.shape) != 4 or window.shape[:2] != shape[:2]:
        return None
    _, C, H, W = shape
    strides = (C * H * W, H * W, W, 1)
    same = all(
        n == 1 or have == want
        for n, have, want in zip(window.shape, window.strides, strides, strict=True)
    )
    row, column = divmod(window.offset, W)
    inside = row + window.shape[2] <= H and column + window.shape[3] <= W
    return (row, column) if same and inside else None


def _as_image(view: View) -> View | None:
    """[N,C,T] as [N,C,1,T]."""
    if len(view.shape) != 3:
        return view
    N, C, T = view.shape
    return replace(view, shape=(N, C, 1, T), strides=(*view.strides[:2], 0, view.strides[2]))


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape


def _absorb(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    for number, call in enumerate(calls):
        attrs = single_map(call)
        fill = (
            attrs is not None and attrs.exprs[0] == Const(0.0) and whole(call.outputs[0], buffers)
        )
        if not fill:
            continue
        padded = call.writes[0].buffer
        if len(table.writers[padded]) != 2 or table.writers[padded][0] != number:
            continue
        copy = table.writers[padded][1]
        copied = single_map(calls[copy])
        if copied is None or not isinstance(copied.exprs[0], Arg) or len(calls[copy].inputs) != 1:
            continue
        inner, window = calls[copy].inputs[0], _as_image(calls[copy].writes[0])
        corner = _corner(window, _image_shape(buffers[padded].shape)) if window else None
        readers = table.readers[padded]
        fits = all(_reads_image(calls[i], buffers[padded]) for i in readers)
        if corner is None or inner is None or not inner.contiguous or not fits or not readers:
            continue
        if any(v.buffer == inner.buffer for c in calls[copy:] for v in c.writes):
            continue
        image = inner.reshape(_image_shape(inner.shape))
        assert image is not None
        for i in readers:
            calls[i] = _padding_itself(calls[i], image, corner)
        gone = {number, copy}
        calls[:] = [c for i, c in enumerate(calls) if i not in gone]
        return f"{padded} into {len(readers)} convolutions"
    return None


def _reads_image(call: Call, image: Buffer) -> bool:
    """True for a convolution of all of an image."""
    read = [i for i, view in enumerate(call.inputs) if view and view.buffer == image.name]
    if call.op not in _IMAGE or read != [_IMAGE[call.op]]:
        return False
    view = call.inputs[read[0]]
    return view is not None and view.covers(image)


def _padding_itself(call: Call, image: View, corner: tuple[int, int]) -> Call:
    inputs = [*call.inputs]
    inputs[_IMAGE[call.op]] = image
    attrs = replace(
        call.attrs, pad_top=call.attrs.pad_top + corner[0], pad_left=call.attrs.pad_left + corner[1]
    )
    return replace(call, inputs=tuple(inputs), attrs=attrs)


def _crop(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    for number, call in enumerate(calls):
        if call.op is not CONV2D_BWD_X or not whole(call.outputs[0], buffers):
            continue
        out = call.writes[0]
        buffer = buffers[out.buffer]
        read = {
            v for i in table.readers[out.buffer] for v in calls[i].reads if v.buffer == out.buffer
        }
        if len(read) != 1 or len(table.writers[out.buffer]) != 1:
            continue
        (window,) = read
        image = _as_image(window)
        corner = _corner(image, out.shape) if image is not None else None
        if corner is None or image is None or image.shape == out.shape:
            continue
        small = Buffer(
            f"{buffer.name}_cropped", window.shape, buffer.dtype, buffer.role, buffer.source
        )
        buffers[small.name] = small
        target = View.whole(small).reshape(image.shape)
        attrs = replace(
            call.attrs,
            pad_top=call.attrs.pad_top + corner[0],
            pad_left=call.attrs.pad_left + corner[1],
        )
        calls[number] = replace(call, outputs=(target,), attrs=attrs)
        for i in table.readers[out.buffer]:
            calls[i] = _reading(calls[i], window, View.whole(small))
        return f"{buffer.name} without its padding"
    return None


def _reading(call: Call, old: View, new: View) -> Call:
    return replace(call, inputs=tuple(new if view == old else view for view in call.inputs))
