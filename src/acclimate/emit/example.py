# SPDX-License-Identifier: Apache-2.0
"""What the example of every kit needs: the data of the entry points, and calls of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acclimate.kernels.loop.print_c import C_TYPES
from acclimate.program import Buffer, Program, Role

_RATE = "0.01f"


@dataclass(frozen=True)
class Item:
    """An array that the application fills or reads.

    Args:
        name: of the argument.
        type: in C.
        unit: what the numbers 0 to 6 are multiplied with to get values of a usual size.
        role: input, target or output.
        size_bytes: of all of it.
    """

    name: str
    type: str
    unit: str
    role: Role
    size_bytes: int


@dataclass(frozen=True)
class Calls:
    """C expressions that call the entry points; None for those that the program does not have.

    Args:
        predict: writes the outputs; features where the program does nothing else.
        loss: learns from one batch and returns its loss: train, or else accumulate.
        apply: follows `loss` where that is accumulate.
    """

    predict: str | None
    loss: str | None
    apply: str | None


def items(program: Program) -> list[Item]:
    """Outputs, inputs and targets of all entry points."""
    found = {b.name: b for entry in program.entries for b in program.interface(entry)}
    return [_item(b) for b in found.values() if b.role is not Role.SCALAR and b.name != "loss"]


def used_by(program: Program, entry: str) -> list[Item]:
    """The same of one entry point; nothing if the program does not have it."""
    return [_item(b) for b in _arguments(program, entry) if b.role is not Role.SCALAR]


def calls(program: Program, places: Mapping[str, str]) -> Calls:
    """Calls of the entry points.

    Args:
        program: with the entry points.
        places: C expression of each array by its name.
    """
    learns = "train" if "train" in program.entries else "accumulate"
    return Calls(
        predict=_call(program, computes(program), places),
        loss=_call(program, learns, places),
        apply=_call(program, "apply", places) if learns == "accumulate" else None,
    )


def computes(program: Program) -> str:
    """Name of the entry point that the example shows the outputs of."""
    return "predict" if "predict" in program.entries else "features"


def _item(b: Buffer) -> Item:
    return Item(b.name, C_TYPES[b.dtype], "0.1f" if b.dtype == "f32" else "1", b.role, b.size_bytes)


def _arguments(program: Program, entry: str) -> list[Buffer]:
    if entry not in program.entries:
        return []
    return [b for b in program.interface(entry) if b.name != "loss"]


def _call(program: Program, entry: str, places: Mapping[str, str]) -> str | None:
    if entry not in program.entries:
        return None
    arguments = [
        _RATE if b.role is Role.SCALAR else places[b.name] for b in _arguments(program, entry)
    ]
    return f"{program.name}_{entry}({', '.join(arguments)})"
