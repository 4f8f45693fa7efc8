# SPDX-License-Identifier: Apache-2.0
"""A whole firmware round a model: microphone, windows, words, adaptation, storage.

It is written beside the model where the modules `adapt` and `listen` go with it, and the model has
features of sound, one input, scores, and a class to learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acclimate.device import Module
from acclimate.emit.document import learned
from acclimate.emit.ports import needs_port
from acclimate.emit.render import render
from acclimate.plan import Plan
from acclimate.program import Buffer, Program, Role
from acclimate.targets import Target

_NEEDED = {"adapt", "listen"}
_INDEX_BYTES, _STATES_BYTES = 128 * 13, 2048  # of words, and what the modules have at most
_ALIGN = 16  # what may be lost between two variables [B]


@dataclass(frozen=True)
class Application:
    """What the templates print.

    Args:
        samples: of an utterance.
        inputs: values of x.
        classes: scores.
        arguments: of `train`, in its order.
        weights: float arrays that learn.
        place: where its sound lies; empty where the linker decides.
        near_place: the same for all of it but sound.
    """

    samples: int
    inputs: int
    classes: int
    arguments: str
    weights: tuple[str, ...]
    place: str
    near_place: str


def application_of(
    program: Program, plan: Plan, target: Target, modules: Iterable[Module]
) -> Application | None:
    """The application of a program; None if the modules or the model are not for one."""
    names = {module.name for module in modules}
    if not names >= _NEEDED or not {"features", "predict", "train"} <= program.entries.keys():
        return None
    pcm, features = _arguments(program, "features")
    given, scores = _arguments(program, "predict")
    x, y = _arguments(program, "train", Role.TARGET)
    found = (pcm, features, given, scores, x, y)
    if any(b is None for b in found):
        return None
    assert pcm and features and given and scores and x and y
    if (pcm.dtype, x.dtype, scores.dtype, y.dtype) != ("s16", "f32", "f32", "s32"):
        return None
    if not features.size == given.size == x.size or y.size != 1 or x.name != given.name:
        return None
    outer = needs_port(plan) and any(memory.name == "l2" for memory in target.memories)
    parameters = [b for b in learned(program) if b.role is Role.PARAMETER and b.dtype == "f32"]
    order = [b for b in program.interface("train") if b.name != "loss"]
    words = {x.name: "x", y.name: "&f.label"}
    return Application(
        samples=pcm.size,
        inputs=x.size,
        classes=scores.size,
        arguments=", ".join("lr" if b.role is Role.SCALAR else words[b.name] for b in order),
        weights=tuple(f"{program.name}_{b.name}" for b in parameters),
        place=" AC_IN(l2)" if outer else "",
        near_place=_beside_arena(program, plan, target, x.size, scores.size) if outer else "",
    )


def _beside_arena(program: Program, plan: Plan, target: Target, inputs: int, classes: int) -> str:
    """In l1 if the plan leaves room there: an access to l2 takes a dozen cycles.

    Args:
        inputs: values of x.
        classes: scores.
    """
    fixed = [b.size_bytes for b in program.buffers.values() if plan.places.get(b.name) == "l1"]
    needed = 4 * (2 * inputs + 3 * classes) + _INDEX_BYTES + _STATES_BYTES
    taken = sum(fixed) + plan.arena_bytes + _ALIGN * (len(fixed) + 2)
    room = sum(memory.usable_bytes for memory in target.memories if memory.name == "l1")
    return " AC_IN(l1)" if taken + needed <= room else " AC_IN(l2)"


def _arguments(
    program: Program, entry: str, other: Role = Role.OUTPUT
) -> tuple[Buffer | None, Buffer | None]:
    """The only input of an entry point and its only array of another role; None where not one."""
    interface = [b for b in program.interface(entry) if b.name != "loss"]
    pair = []
    for role in (Role.INPUT, other):
        found = [b for b in interface if b.role is role]
        pair.append(found[0] if len(found) == 1 else None)
    return pair[0], pair[1]


def application_files(
    program: Program, application: Application, variables: Mapping[str, Any]
) -> dict[str, bytes]:
    """`<name>_firmware.h` and `.c`."""
    return {
        f"{program.name}_firmware.{end}": render(
            f"application.{end}.jinja", variables, app=application
        )
        for end in ("h", "c")
    }
