# SPDX-License-Identifier: Apache-2.0
"""A call described by numbers alone: what a measurement is of, in any process, now or next year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from acclimate.kernels import OPS
from acclimate.kernels.op import Kernel, Op, pick
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.work import Choice, Request, Work
from acclimate.program import Buffer, Call, OpCase, Program, Role, View, operator_program
from acclimate.targets import Target

_OPS: Mapping[str, Op] = {op.name: op for op in OPS}
# Grows whenever kernels change so much that old measurements do not choose well any more.
GENERATION = 4


@dataclass(frozen=True)
class Workload:
    """One operator on operands of certain shapes.

    Args:
        op: its name.
        numbers: dims and attributes by name, in alphabetical order.
        without: optional operands that are absent.
        accumulate: it adds to its outputs.
    """

    op: str
    numbers: tuple[tuple[str, float], ...]
    without: tuple[str, ...]
    accumulate: bool

    @staticmethod
    def of(call: Call) -> Workload:
        """The workload of a call."""
        signature = call.op.signature
        pairs = [*zip(signature.inputs, call.inputs, strict=True)]
        pairs += zip(signature.outputs, call.outputs, strict=True)
        absent = {operand.name for operand, view in pairs if view is None}
        values = call.values()
        dims = {d.partition("/")[0] for operand, _ in pairs for d in operand.dims}
        names = {*dims, *(f.name for f in fields(call.attrs))} - set(call.op.derived)
        numbers = tuple((name, values[name]) for name in sorted(names))
        return Workload(call.op.name, numbers, tuple(sorted(absent)), call.accumulate)

    def __str__(self) -> str:
        """`conv2d_fwd C=64 H=25 ... without b`: the same for the same workload, for ever."""
        parts = [self.op, *(f"{name}={number:g}" for name, number in self.numbers)]
        parts += [f"without {name}" for name in self.without]
        return " ".join([*parts, *(["accumulate"] if self.accumulate else [])])

    def case(self) -> OpCase:
        """The call as a case of its operator."""
        return OpCase(_OPS[self.op], dict(self.numbers), frozenset(self.without), self.accumulate)

    def program(self) -> Program:
        """A program of this call alone, on random data."""
        return operator_program("tune", {"run": [self.case()]})


@dataclass(frozen=True)
class Candidate:
    """One way to compute a workload.

    Args:
        kernel: symbol.
        choice: of a kernel whose code is written for the call.
    """

    kernel: str
    choice: Choice | None = None

    def __str__(self) -> str:
        return f"{self.kernel} {self.choice}" if self.choice else self.kernel


def machine_name(target: Target) -> str:
    """What a measurement depends on beside the workload; clock and sizes of memories are not."""
    figures = target.cluster
    if target.simulator != "cluster" or figures is None:
        return f"{target.processor} {' '.join(sorted(target.features))} v{GENERATION}"
    floats = " float registers" if "float_registers" in target.features else ""
    return (
        f"cluster of {target.cores} {target.processor}, {figures.banks} banks, {figures.fpus} FPUs"
        f" of latency {figures.fpu_latency}, I$ {figures.icache_bytes} B"
        f" {figures.icache_miss_cycles} cycles{floats} v{GENERATION}"
    )


def request_of(call: Call, core: Core) -> Request:
    """A call as generators of kernels see it."""
    pairs = [
        *zip(call.op.signature.inputs, call.inputs, strict=True),
        *zip(call.op.signature.outputs, call.outputs, strict=True),
    ]
    present = frozenset(operand.name for operand, view in pairs if view is not None)
    return Request(call.values(), present, call.accumulate, core)


def candidate_program(taken: Sequence[tuple[Workload, Candidate]], target: Target) -> Program:
    """A program with an entry point for each candidate, `run0`, `run1`, ..., on random data.

    Raises:
        OutOfRegisters: a choice does not fit the core.
    """
    cases = {f"run{number}": [workload.case()] for number, (workload, _) in enumerate(taken)}
    program = operator_program("tune", cases)
    buffers, entries = dict(program.buffers), {}
    for (name, entry), (_, candidate) in zip(program.entries.items(), taken, strict=True):
        (call,) = entry.calls
        kernel = next(k for k in call.op.kernels if k.symbol == candidate.kernel)
        work: Work | None = None
        if kernel.generator is not None and candidate.choice is not None:
            work = kernel.generator.write(request_of(call, Core.of(target)), candidate.choice)
        words = work.scratch if work else scratch_words(kernel, call, target)
        call = replace(call, kernel=kernel, choice=candidate.choice, work=work)
        if words:
            scratch = Buffer(f"{name}.scratch", (words,), "f32", Role.SCRATCH)
            buffers[scratch.name] = scratch
            call = replace(call, scratch=View.whole(scratch))
        entries[name] = replace(entry, calls=(call,))
    return replace(program, buffers=buffers, entries=entries)


def scratch_words(kernel: Kernel, call: Call, target: Target) -> int:
    """Words of scratch of a kernel that is one function: every core has its own."""
    return int(pick(kernel.scratch, call.values())) * target.cores
