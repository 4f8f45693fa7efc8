# SPDX-License-Identifier: Apache-2.0
"""Checks the rules that every stage relies on."""

from __future__ import annotations

from acclimate.errors import InvalidProgram
from acclimate.program.ir import Call, Entry, Program, Role
from acclimate.program.view import View


def verify(program: Program) -> Program:
    """Returns the program if it keeps the rules of the IR.

    Raises:
        InvalidProgram: an operand lies outside its buffer or has a wrong shape; a value is read
            before it is written; a constant is written; an output overlaps another operand.
    """
    for name, buffer in program.buffers.items():
        if buffer.name != name:
            raise InvalidProgram(f"buffer {buffer.name} is filed as {name}")
        if buffer.role.persistent and name not in program.values:
            raise InvalidProgram(f"{buffer.role} {name} has no initial value")
    for entry in program.entries.values():
        _verify_entry(program, entry)
    return program


def _verify_entry(program: Program, entry: Entry) -> None:
    buffers = program.buffers
    defined = {
        name
        for name, b in buffers.items()
        if b.role.persistent or (b.role.external and b.role is not Role.OUTPUT)
    }
    for number, call in enumerate(entry.calls):
        where = f"{entry.name}, call {number} {call.op.name}"
        for view in call.views:
            if view.buffer not in buffers:
                raise InvalidProgram(f"{where}: no buffer {view.buffer}")
            _verify_extent(program, view, where)
        for view in call.reads:
            if view.buffer not in defined:
                raise InvalidProgram(f"{where}: {view.buffer} is read before it is written")
        for view in call.writes:
            role = buffers[view.buffer].role
            if role in (Role.INPUT, Role.TARGET, Role.SCALAR, Role.FROZEN, Role.STORED):
                raise InvalidProgram(f"{where}: writes {role} {view.buffer}")
            defined.add(view.buffer)
        _verify_overlap(call, where)
        if not call.op.generated:
            _verify_layout(program, call, where)


def _verify_extent(program: Program, view: View, where: str) -> None:
    first, last = view.span()
    if view.size and not 0 <= first <= last < program.buffers[view.buffer].size:
        raise InvalidProgram(f"{where}: {view} is outside {program.buffers[view.buffer]}")
    if program.buffers[view.buffer].dtype == "u1" and view.offset % 8:
        raise InvalidProgram(f"{where}: the bits of {view} do not begin with a byte")


def _verify_overlap(call: Call, where: str) -> None:
    """An operand on the same buffer as an output must be that output, updated in place."""
    for out in call.writes:
        for view in call.inputs:
            if view is not None and view.buffer == out.buffer and view != out:
                raise InvalidProgram(f"{where}: {view} overlaps output {out}")


def _verify_layout(program: Program, call: Call, where: str) -> None:
    """Hand-written kernels take contiguous operands of the dtype of their signature."""
    operands = [*zip(call.op.signature.inputs, call.inputs, strict=True)]
    operands += [*zip(call.op.signature.outputs, call.outputs, strict=True)]
    for operand, view in operands:
        if view is None:
            continue
        if not view.contiguous:
            raise InvalidProgram(f"{where}: {operand.name} = {view} is not contiguous")
        if program.buffers[view.buffer].dtype != operand.dtype:
            raise InvalidProgram(f"{where}: {operand.name} = {view} is not {operand.dtype}")
    try:
        call.values()
    except ValueError as error:
        raise InvalidProgram(f"{where}: {error}") from error
