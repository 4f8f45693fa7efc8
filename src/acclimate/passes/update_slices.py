# SPDX-License-Identifier: Apache-2.0
"""Updates some input channels of a weight: gradient, optimizer state and kept input shrink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from acclimate.kernels.conv2d.op import CONV2D_BWD_W
from acclimate.kernels.linear.op import LINEAR_BWD_W
from acclimate.kernels.loop.expr import Arg, Index
from acclimate.kernels.loop.op import MAP, Map
from acclimate.kernels.op import Shape
from acclimate.passes.mask_activations import only_tested
from acclimate.passes.uses import Uses, private, single_map, uses, whole
from acclimate.program import Buffer, Call, Entry, Phase, Program, Role, View, contiguous_strides

_AXIS = 1  # input channels of a weight, and channels of an activation


def update_slices(program: Program) -> tuple[Program, list[str]]:
    """Parameters that learn on some channels only (`Buffer.channels`).

    Before: x[N,C,H,W]; dw[K,C,R,S] = bwd_w(dy, x); w, v = update(w, dw, v). After, for k of the C
    channels: xs[N,k,H,W] = x at those channels, copied where x is made, so that x may die there;
    dw[K,k,R,S] = bwd_w(dy, xs); one update per run of neighbouring channels of w, with v[K,k,R,S].
    What a program means changes here: before this pass all channels would learn.
    A gradient that no single kernel computes stays whole, and its channels are read from it.

    Source: sparse update, Lin et al., "On-device training under 256KB memory", arXiv:2206.15472.
    """
    changes = []
    for weight in [b for b in program.buffers.values() if b.channels]:
        parts = _runs(weight.channels)
        program = _Slicer(program, weight, parts).slice()
        changes.append(
            f"{weight.path}: {len(weight.channels)} of {weight.shape[_AXIS]} channels,"
            f" {len(parts)} run{'s' if len(parts) > 1 else ''}"
        )
    return program, changes


@dataclass(frozen=True)
class _Run:
    """Neighbouring channels: `length` of them from `start`, which are kept from `at` on."""

    start: int
    at: int
    length: int


def _runs(channels: Shape) -> tuple[_Run, ...]:
    """(1, 2, 5) -> two runs: 2 channels from 1, kept at 0; 1 channel from 5, kept at 2."""
    cuts = [i for i, (a, b) in enumerate(pairwise(channels), 1) if b != a + 1]
    ends = [0, *cuts, len(channels)]
    return tuple(_Run(channels[a], a, b - a) for a, b in pairwise(ends))


class _Slicer:
    """Rewrites all entry points for one parameter."""

    def __init__(self, program: Program, weight: Buffer, runs: tuple[_Run, ...]) -> None:
        self.program, self.weight, self.runs = program, weight, runs
        self.buffers = dict(program.buffers)
        self.values = dict(program.values)
        self.small: set[str] = set()

    def slice(self) -> Program:
        """The program after the rewrite."""
        for name in self._companions():
            kept = np.take(self.values[name], self.weight.channels, _AXIS)
            self.values[name] = np.ascontiguousarray(kept)
            self._shrink(name)
        entries = {name: self._entry(entry) for name, entry in self.program.entries.items()}
        return replace(self.program, entries=entries, buffers=self.buffers, values=self.values)

    def _companions(self) -> set[str]:
        """Optimizer states and gradient sum: what updates of the weight use beside it."""
        return {
            view.buffer
            for call in self.program.calls()
            if call.op is MAP and any(view.buffer == self.weight.name for view in call.writes)
            for view in call.views
            if view.shape == self.weight.shape and view.covers(self.buffers[view.buffer])
            if self.buffers[view.buffer].role in (Role.STATE, Role.GRADIENT)
        }

    def _shrink(self, name: str) -> None:
        """Of a buffer of the weight's size, keeps the channels that learn."""
        buffer = self.buffers[name]
        self.buffers[name] = replace(buffer, shape=self._shape(buffer.shape))
        self.small.add(name)

    def _shape(self, shape: Shape) -> Shape:
        return (*shape[:_AXIS], len(self.weight.channels), *shape[_AXIS + 1 :])

    def _entry(self, entry: Entry) -> Entry:
        calls = list(entry.calls)
        for view in self._gradients(calls):
            if self._narrowable(view, calls, uses(calls)):
                self._narrow(view, calls, entry.name)
        rewritten = [new for call in calls for new in self._rewritten(call)]
        return replace(entry, calls=tuple(rewritten))

    def _touched(self, call: Call) -> bool:
        """True for a loop that writes the weight, its states or its gradients."""
        names = {self.weight.name, *self.small}
        return call.op is MAP and any(view.buffer in names for view in call.writes)

    # ---- gradients

    def _gradients(self, calls: Sequence[Call]) -> list[View]:
        """What updates and gradient sums read of the rest of the step."""
        read = [view for call in calls if self._touched(call) for view in call.reads]
        return [v for v in read if v.shape == self.weight.shape and whole(v, self.buffers)]

    def _narrowable(self, view: View | None, calls: Sequence[Call], table: Uses) -> bool:
        """True for what kernels, or loops over what kernels compute, make for one reader."""
        if view is None or not whole(view, self.buffers) or view.shape != self.weight.shape:
            return False
        writers, readers = table.writers[view.buffer], table.readers[view.buffer]
        if len(writers) != 1 or len(readers) != 1:
            return False
        maker = calls[writers[0]]
        if maker.op in (CONV2D_BWD_W, LINEAR_BWD_W):
            dense = getattr(maker.attrs, "groups", 1) == 1
            return dense and not maker.accumulate and whole(maker.outputs[0], self.buffers)
        attrs = single_map(maker)
        positions = attrs is None or any(isinstance(n, Index) for n in attrs.exprs[0].walk())
        return not positions and all(self._narrowable(v, calls, table) for v in maker.inputs)

    def _narrow(self, view: View, calls: list[Call], entry: str) -> None:
        (number,) = uses(calls).writers[view.buffer]
        maker = calls[number]
        if maker.op is MAP:
            for operand in maker.reads:
                self._narrow(operand, calls, entry)
        else:
            self._narrow_kernel(number, calls, entry)
        self._shrink(view.buffer)

    def _narrow_kernel(self, number: int, calls: list[Call], entry: str) -> None:
        """A kernel for weight gradients reads only those channels of its input that learn."""
        call = calls[number]
        (dw, db), (dy, x) = call.outputs, call.inputs
        assert dw is not None and x is not None
        lasting = self._lasts(x, number, calls)
        parts = [x.slice(_AXIS, run.start, run.length) for run in self.runs]
        in_place = lasting and len(parts) == 1 and parts[0].contiguous
        kept = parts[0] if in_place else self._new(f"{entry}.{self.weight.name}_x", call, x)
        calls[number] = replace(call, outputs=(self._compact(dw), db), inputs=(dy, kept))
        if in_place:
            return
        # Where x lasts until here anyway, an early copy would only lie beside it.
        place = (
            number if lasting else max(i for i in uses(calls).writers[x.buffer] if i < number) + 1
        )
        phase = Phase.BACKWARD if lasting else Phase.FORWARD
        copies = []
        for run, part in zip(self.runs, parts, strict=True):
            target = kept.slice(_AXIS, run.at, run.length)
            attrs = Map((Arg(0),), part.shape, "copy")
            copies.append(Call(MAP, (target,), (part,), attrs, phase, call.source))
        calls[place:place] = copies

    def _lasts(self, x: View, number: int, calls: Sequence[Call]) -> bool:
        """True if x stays in memory until the weight gradient, whoever needs it."""
        others = [i for i in uses(calls).readers[x.buffer] if i != number]
        backward = any(i > number or calls[i].phase is Phase.BACKWARD for i in others)
        # mask_activations frees an activation that is otherwise only compared.
        bits = backward and only_tested(calls, x.buffer, self.buffers, but=number)
        return (backward and not bits) or not private(self.buffers, x.buffer)

    def _new(self, stem: str, call: Call, x: View) -> View:
        """A buffer for the channels of x that are kept."""
        name, count = stem, 2
        while name in self.buffers:
            name, count = f"{stem}_{count}", count + 1
        buffer = Buffer(name, self._shape(x.shape), "f32", Role.ACTIVATION, call.source)
        self.buffers[name] = buffer
        return View.whole(buffer)

    # ---- updates

    def _compact(self, view: View) -> View:
        """The view of a buffer that was shrunk."""
        shape = self._shape(view.shape)
        return replace(view, shape=shape, strides=contiguous_strides(shape))

    def _rewritten(self, call: Call) -> list[Call]:
        """One loop over what learns, or one per run where an operand has all channels."""
        if not self._touched(call):
            return [call]
        views = [view for view in call.views if any(view.strides)]
        if all(view.buffer in self.small for view in views):
            return [self._on(call, _Run(0, 0, len(self.weight.channels)))]
        return [self._on(call, run) for run in self.runs]

    def _on(self, call: Call, run: _Run) -> Call:
        """A loop over one run of channels."""

        def part(view: View | None) -> View | None:
            if view is None:
                return None
            if view.buffer in self.small:
                return self._compact(view).slice(_AXIS, run.at, run.length)
            return view.slice(_AXIS, run.start, run.length)

        shape = (*call.attrs.shape[:_AXIS], run.length, *call.attrs.shape[_AXIS + 1 :])
        return replace(
            call,
            outputs=tuple(map(part, call.outputs)),
            inputs=tuple(map(part, call.inputs)),
            attrs=replace(call.attrs, shape=shape),
        )
