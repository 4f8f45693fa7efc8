# SPDX-License-Identifier: Apache-2.0
"""Parts of calls compute what the whole computes, and copies move what parts need.

Everything runs in NumPy and in float64, so that parts that add up differ from the whole by rounding
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

import acclimate as ac
import sounds
from acclimate.kernels import OPS
from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X, CONV2D_FWD, CONV2D_STEP
from acclimate.kernels.linear.op import LINEAR_BWD_STEP, LINEAR_BWD_W, LINEAR_STEP
from acclimate.kernels.max_pool2d.op import MAX_POOL2D_BWD, MAX_POOL2D_FWD
from acclimate.kernels.op import DTYPES, Array, Op
from acclimate.program import Buffer, Call, OpCase, Program, Role, View, operator_program
from acclimate.program.interpret import run_call, strided
from acclimate.stream.expand import copy_of
from acclimate.stream.parts import Axis, axes_of, part_of
from acclimate.stream.region import movable, region_of, staged

CONVOLUTIONS = (CONV2D_FWD, CONV2D_BWD_X, CONV2D_BWD_W, CONV2D_STEP)
CUT = [op for op in OPS if op.cuts]
LR = 0.05
BOUND = 1e-9  # float64
Points = Sequence[int]
drawn = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def call_of(op: Op, case: dict[str, Any], **options: Any) -> tuple[Call, dict[str, Array]]:
    """A call of an operator, and its operands in flat memory."""
    data = sounds.named_operands(op, case)
    if op is MAX_POOL2D_BWD:
        forward, memory = call_of(MAX_POOL2D_FWD, case)
        run_call(forward, memory)
        data["index"] = strided(forward.writes[1], memory[forward.writes[1].buffer])
    program = operator_program("cut", {"run": [OpCase(op, case, data=data, **options)]})
    (call,) = program.entries["run"].calls
    return call, memory_of(program, call)


def memory_of(program: Program, call: Call) -> dict[str, Array]:
    """Values for the operands of a call; those that nobody gives are drawn."""
    rng = np.random.default_rng(0)
    memory: dict[str, Array] = {}
    for view in call.views:
        buffer = program.buffers[view.buffer]
        whole = DTYPES[buffer.dtype].kind == "f"
        if buffer.role is Role.SCALAR:
            memory[buffer.name] = np.array([LR])
        elif buffer.name in program.values and buffer.role is Role.STATE:
            values = program.values[buffer.name].reshape(-1)
            memory[buffer.name] = values.astype(np.float64 if whole else values.dtype)
        elif whole:  # positive: some loops take logarithms and roots
            memory[buffer.name] = rng.uniform(0.5, 1.5, buffer.size)
        else:
            memory[buffer.name] = np.zeros(buffer.size, DTYPES[buffer.dtype])
    return memory


def after(calls: Sequence[Call], memory: dict[str, Array]) -> dict[str, Array]:
    """The memory when the calls have run."""
    copy = {name: values.copy() for name, values in memory.items()}
    for call in calls:
        run_call(call, copy)
    return copy


def cut_at(call: Call, axis: Axis, points: Points) -> list[Call]:
    """The parts of a call between points, the ends included."""
    return [part_of(call, axis.dim, a, b) for a, b in pairwise(points)]


def points_of(axis: Axis) -> st.SearchStrategy[list[int]]:
    """Both ends of an axis and some whole grains between them."""
    inside = range(axis.grain, axis.size, axis.grain)
    chosen = st.lists(st.sampled_from(inside), max_size=4) if inside else st.just([])
    return chosen.map(lambda found: sorted({0, *found, axis.size}))


def assert_same(call: Call, parts: Sequence[Call], memory: dict[str, Array]) -> None:
    whole, pieces = after([call], memory), after(parts, memory)
    for name, expected in whole.items():
        np.testing.assert_allclose(
            pieces[name], expected, rtol=BOUND, atol=BOUND, err_msg=f"{call.op.name}: {name}"
        )


# ---- operators


@st.composite
def convolution_cases(draw: st.DrawFn) -> dict[str, Any]:
    """A convolution of any geometry; what lies behind the last window may be cropped."""
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    C, K = (groups * draw(st.integers(1, 4)) for _ in range(2))
    sides = {}
    for size, taps, out, tail, lead in (("H", "R", "P", "h", "top"), ("W", "S", "Q", "w", "left")):
        length, kernel = draw(st.integers(1, 11)), draw(st.integers(1, 4))
        stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        before, behind = draw(st.integers(0, 4)), draw(st.integers(-1, 4))
        room = length + before + behind - dilation * (kernel - 1) - 1
        assume(room >= 0)
        sides |= {size: length, taps: kernel, out: room // stride + 1}
        sides |= {f"stride_{tail}": stride, f"dilation_{tail}": dilation, f"pad_{lead}": before}
    return {"N": draw(st.integers(1, 3)), "C": C, "K": K, "groups": groups, **sides}


@pytest.mark.parametrize("op", CUT, ids=lambda op: op.name)
@drawn
@given(st.data())
def test_the_parts_of_a_case_make_the_whole(op: Op, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(op.cases))
    optional = [o.name for o in op.signature.inputs + op.signature.outputs if o.optional]
    without = frozenset(data.draw(st.sets(st.sampled_from(optional)))) if optional else frozenset()
    accumulate = op.accumulates and data.draw(st.booleans())
    call, memory = call_of(op, dict(case), without=without, accumulate=accumulate)
    axes = axes_of(call)
    assume(axes)
    axis = data.draw(st.sampled_from(axes))
    assert_same(call, cut_at(call, axis, data.draw(points_of(axis))), memory)


@pytest.mark.parametrize("op", CONVOLUTIONS, ids=lambda op: op.name)
@settings(drawn, max_examples=150)
@given(st.data())
def test_the_parts_of_a_drawn_convolution_make_the_whole(op: Op, data: st.DataObject) -> None:
    call, memory = call_of(op, data.draw(convolution_cases()))
    axes = axes_of(call)
    assume(axes)
    axis = data.draw(st.sampled_from(axes))
    assert_same(call, cut_at(call, axis, data.draw(points_of(axis))), memory)


@pytest.mark.parametrize("op", [op for op in CUT if len(op.cuts) > 1], ids=lambda op: op.name)
@drawn
@given(st.data())
def test_parts_can_be_cut_again(op: Op, data: st.DataObject) -> None:
    """As in tilings: parts that add up are the inner loop."""
    cases = convolution_cases() if op in CONVOLUTIONS else st.sampled_from(op.cases)
    call, memory = call_of(op, dict(data.draw(cases)))
    pairs = [(a, b) for a, b in product(axes_of(call), repeat=2) if a != b and not a.adds]
    assume(pairs)
    outer, inner = data.draw(st.sampled_from(pairs))
    parts = []
    for part in cut_at(call, outer, data.draw(points_of(outer))):
        again = {axis.dim: axis for axis in axes_of(part)}.get(inner.dim)
        parts += cut_at(part, again, data.draw(points_of(again))) if again else [part]
    assert_same(call, parts, memory)


def test_every_operator_can_be_cut_along_every_dim_that_it_names() -> None:
    """No cut is refused in all cases: it would never have been tried."""
    for op in CUT:
        dims = {axis.dim for case in op.cases for axis in axes_of(call_of(op, dict(case))[0])}
        assert dims == {cut.dim for cut in op.cuts}, op.name


def test_parts_after_the_first_add_where_the_parts_share_outputs() -> None:
    call, _ = call_of(LINEAR_BWD_W, {"N": 4, "C": 6, "K": 5})
    by_samples = cut_at(call, Axis("N", 4), (0, 1, 4))
    assert [part.accumulate for part in by_samples] == [False, True]
    by_rows = cut_at(call, Axis("K", 5), (0, 2, 5))
    assert [part.accumulate for part in by_rows] == [False, False]
    adding = replace(call, accumulate=True)
    assert all(part.accumulate for part in cut_at(adding, Axis("K", 5), (0, 2, 5)))
    # Weights that are updated in place already hold what the parts before took from them.
    call, _ = call_of(CONV2D_STEP, case_3x3(H=6))
    assert not any(part.accumulate for part in cut_at(call, Axis("P", 6), (0, 3, 6)))


@pytest.mark.parametrize(
    ("op", "bias"), [(LINEAR_BWD_W, "db"), (LINEAR_STEP, "b"), (LINEAR_BWD_STEP, "b")]
)
def test_the_bias_belongs_to_the_first_part_of_the_input_channels(op: Op, bias: str) -> None:
    call, _ = call_of(op, {"N": 2, "C": 6, "K": 5})
    names = [operand.name for operand in op.signature.outputs]
    place = names.index(bias)
    parts = cut_at(call, Axis("C", 6), (0, 2, 4, 6))
    assert [part.outputs[place] is not None for part in parts] == [True, False, False]


# ---- halos


def case_3x3(H: int, stride: int = 1) -> dict[str, Any]:
    P = (H + 2 - 3) // stride + 1
    return {
        "N": 1, "C": 2, "H": H, "W": 4, "K": 3, "R": 3, "S": 3, "P": P, "Q": 4, "stride_h": stride,
        "stride_w": 1, "pad_top": 1, "pad_left": 1, "dilation_h": 1, "dilation_w": 1, "groups": 1,
    }  # fmt: skip


def rows_and_pads(op: Op, case: dict[str, Any], axis: Axis, points: Points) -> list[Any]:
    """First row, number of rows and upper padding of the first input of every part."""
    call, _ = call_of(op, case)
    found = []
    for part in cut_at(call, axis, points):
        view = part.inputs[0]
        assert view is not None
        width = view.shape[3]
        found.append((view.offset // width, view.shape[2], part.attrs.pad_top))
    return found


def test_output_rows_come_with_a_halo_and_borders_with_their_padding() -> None:
    rows = rows_and_pads(CONV2D_FWD, case_3x3(H=9), Axis("P", 9), (0, 3, 6, 9))
    assert rows == [(0, 4, 1), (2, 5, 0), (5, 4, 0)]


def test_output_rows_of_a_strided_convolution() -> None:
    rows = rows_and_pads(CONV2D_FWD, case_3x3(H=8, stride=2), Axis("P", 4), (0, 1, 3, 4))
    assert rows == [(0, 2, 1), (1, 5, 0), (5, 3, 0)]


def test_input_rows_come_with_the_gradients_of_all_windows_that_see_them() -> None:
    # Row h is seen by the windows h - 1, h, h + 1; the upper padding is that of the first of them.
    rows = rows_and_pads(CONV2D_BWD_X, case_3x3(H=9), Axis("H", 9), (0, 3, 6, 9))
    assert rows == [(0, 4, 1), (2, 5, 2), (5, 4, 2)]


def test_groups_are_never_divided() -> None:
    call, _ = call_of(CONV2D_FWD, {**case_3x3(H=4), "C": 6, "K": 12, "groups": 3})
    (axis,) = [axis for axis in axes_of(call) if axis.dim == "K"]
    assert axis.grain == 4
    part = part_of(call, "K", 4, 12)
    x, w, _ = part.inputs
    assert x is not None and w is not None
    assert (x.shape[1], w.shape[:2], part.attrs.groups) == (4, (8, 2), 2)


# ---- loops


class Loops(nn.Module):
    """Norms, softmax, broadcasts and sums over several axes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.groups = nn.LayerNorm(6), nn.GroupNorm(2, 4)
        self.scale = nn.Parameter(torch.rand(4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.groups(self.norm(x)) * self.scale
        return torch.softmax(h.transpose(1, 2), dim=1).sum(dim=(1, 2)) + x.amax(dim=(1, 2))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_parts_of_every_loop_of_a_program_make_the_whole(optimizer: str) -> None:
    torch.manual_seed(0)
    entries = ("predict", "train", "accumulate", "apply")
    example = (torch.rand(3, 4, 6), torch.rand(3))
    firmware = ac.compile(
        Loops(), example=example, loss="mse", optimizer=optimizer, entries=entries
    )
    count = 0
    for stage in ("update_early", "reuse_in_place"):
        (program,) = (s.program for s in firmware.stages if s.name == stage)
        for call in program.calls():
            memory = memory_of(program, call)
            for axis in axes_of(call):
                count += 1
                for length in {1, 2, -(-axis.size // 2)}:
                    points = [*range(0, axis.size, length), axis.size]
                    assert_same(call, cut_at(call, axis, points), memory)
    assert count > 50


# ---- regions


@st.composite
def views(draw: st.DrawFn) -> tuple[View, int]:
    """A window of a buffer, and the size of that: slices, steps, broadcasts, other orders."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    view = View.whole(Buffer("x", shape, "f32", Role.STATE))
    for axis, size in enumerate(shape):
        start = draw(st.integers(0, size - 1))
        step = draw(st.integers(1, min(2, size - start)))
        view = view.slice(axis, start, draw(st.integers(1, (size - start) // step)), step)
    view = view.permute(draw(st.permutations(range(len(shape)))))
    if draw(st.booleans()):
        view = view.expand((draw(st.integers(1, 3)), *view.shape))
    return view, int(np.prod(shape))


@settings(drawn, max_examples=300)
@given(views())
def test_a_region_is_what_a_view_touches_each_element_once_by_address(
    made: tuple[View, int],
) -> None:
    view, size = made
    memory = {"x": np.arange(size, dtype=np.float64)}
    region = region_of(view)
    assert region is not None
    found = strided(region.view, memory[region.buffer]).reshape(-1)
    np.testing.assert_array_equal(found, np.unique(strided(view, memory[view.buffer])))
    assert region.size == found.size


@settings(drawn, max_examples=300)
@given(views(), st.integers(0, 9))
def test_a_view_on_the_copy_of_its_region_is_the_view(made: tuple[View, int], at: int) -> None:
    view, size = made
    region = region_of(view)
    assert region is not None
    assume(movable(region))
    inner = Buffer("near", (region.size + at,), "f32", Role.TILE)
    near = staged(view, inner, at)
    memory = {"x": np.arange(size, dtype=np.float64), "near": np.full(inner.size, np.nan)}
    original = memory["x"].copy()
    run_call(copy_of(region, inner, at, inward=True), memory)
    np.testing.assert_array_equal(
        strided(near, memory[near.buffer]), strided(view, memory[view.buffer])
    )
    assert np.isnan(memory["near"][:at]).all()
    memory["near"] += 100
    run_call(copy_of(region, inner, at, inward=False), memory)
    inside = np.isin(original, strided(region.view, original))
    np.testing.assert_array_equal(memory["x"], np.where(inside, original + 100, original))


def test_what_no_copy_can_move() -> None:
    assert region_of(View("x", (3, 3), (1, 1))) is None  # windows that overlap
    assert region_of(View("x", (3,), (-1,), 2)) is None
    planes = region_of(View("x", (2, 3, 4), (100, 10, 1)))
    assert planes is not None and planes.loops == ((2, 100), (3, 10), (4, 1))
    assert not movable(planes)
    column = region_of(View("x", (3,), (10,)))  # rows of one element
    assert column is not None and movable(column)
    points = region_of(View("x", (3, 4), (100, 2)))
    assert points is not None and not movable(points)
