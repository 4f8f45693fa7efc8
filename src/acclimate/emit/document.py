# SPDX-License-Identifier: Apache-2.0
"""What the templates print: tables and texts gathered from a program and its plan."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from acclimate.emit.body import body_lines
from acclimate.emit.text import Library
from acclimate.kernels.loop.print_c import C_TYPES, c_number
from acclimate.kernels.op import Array
from acclimate.plan import EntryPlan, Plan, arena_name
from acclimate.program import Buffer, Entry, Program, Role

_DOCS = {
    "predict": "Outputs for one input; nothing changes.",
    "train": "One step: forward, loss, backward, update. Returns the loss before the update.",
    "accumulate": "Adds the gradients of one batch to the sums. Returns its loss.",
    "features": "What the model takes, from samples of sound; nothing changes.",
    "importance": "Counts one batch of a finished task, by its share. Returns its loss.",
    "consolidate": "Ends a task: what was learned now is what later tasks are held near.",
    "apply": "Updates with the mean of the accumulated gradients and clears them.",
}


@dataclass(frozen=True)
class Argument:
    """An argument of a function that several cores run: it reaches them in a struct."""

    name: str
    field: str  # its declaration there
    local: str  # its declaration in the task


@dataclass(frozen=True)
class ArenaTable:
    """What lies where in the arena of an entry point; `place` is ` in l1` or nothing."""

    place: str
    size_bytes: int
    bound_bytes: int
    rows: list[str]


@dataclass(frozen=True)
class EntryText:
    """One function of the generated C."""

    name: str
    doc: str
    signature: str
    returns: bool
    unused: list[str]
    arguments: list[Argument]
    body: list[str]
    arenas: list[ArenaTable]

    @property
    def initial(self) -> list[str]:
        """Initial values of the struct of arguments."""
        return [a.name for a in self.arguments] + (["{0.0f}"] if self.returns else [])


@dataclass(frozen=True)
class Member:
    """One buffer of the arena union."""

    name: str
    type: str
    size: int
    offset: int


@dataclass(frozen=True)
class Group:
    """The buffers of one entry point in the arena union."""

    entry: str
    members: list[Member]


@dataclass(frozen=True)
class ArenaUnion:
    """The arena of one memory."""

    name: str
    size_bytes: int
    place: str
    groups: list[Group]


@dataclass(frozen=True)
class Tensor:
    """One static array; `lines` are the rows of its initial values, none for zeros. `behind`: in a
    memory that no core reads."""

    name: str
    type: str
    qualifier: str
    size: int
    place: str
    role: str
    dtype: str
    shape: tuple[int, ...]
    lines: list[str]
    behind: bool = False


def parameters(program: Program, entry: str) -> list[str]:
    """C parameters of an entry point: outputs, inputs, targets, learning rate."""
    parts = []
    for b in program.interface(entry):
        kind = C_TYPES[b.dtype]
        if b.role is Role.SCALAR:
            parts.append(f"{kind} {b.name}")
        elif b.role is not Role.OUTPUT:
            parts.append(f"const {kind} *{b.name}")
        elif b.name != "loss":
            parts.append(f"{kind} *{b.name}")
    return parts or ["void"]


def returns_loss(program: Program, entry: str) -> bool:
    """True if an entry point returns the loss."""
    return any(b.name == "loss" for b in program.interface(entry))


def entry_text(program: Program, entry: Entry, plan: EntryPlan, loops: Library) -> EntryText:
    """The text of one entry point."""
    loss = returns_loss(program, entry.name)
    kind = "float" if loss else "void"
    arguments = ", ".join(parameters(program, entry.name))
    return EntryText(
        name=entry.name,
        doc=_DOCS.get(entry.name, f"Entry point {entry.name}."),
        signature=f"{kind} {program.name}_{entry.name}({arguments})",
        returns=loss,
        unused=_unused(program, entry),
        arguments=_arguments(program, entry.name),
        body=body_lines(program, entry, plan.team, loops),
        arenas=_arena_tables(entry, plan),
    )


def _arguments(program: Program, entry: str) -> list[Argument]:
    """Arguments of an entry point, without the loss."""
    found = []
    for b in program.interface(entry):
        kind = C_TYPES[b.dtype]
        constant = "" if b.role is Role.OUTPUT else "const "
        if b.name == "loss":
            continue
        if b.role is Role.SCALAR:
            found.append(Argument(b.name, f"{kind} {b.name}", f"const {kind} {b.name}"))
        else:
            star = f"{constant}{kind} *"
            found.append(Argument(b.name, star + b.name, f"{star}const {b.name}"))
    return found


def _unused(program: Program, entry: Entry) -> list[str]:
    """Arguments that no call reads: the signature does not depend on what the loss looks at."""
    used = {view.buffer for call in entry.calls for view in call.views}
    return [name for name in entry.data if name not in used]


def _arena_tables(entry: Entry, plan: EntryPlan) -> list[ArenaTable]:
    numbers = entry.numbers
    tables = []
    for memory, arena in plan.arenas.items():
        lives = [life for life in plan.lives if life.buffer.memory == memory]
        rows = []
        for life in sorted(lives, key=lambda life: (plan.offsets[life.buffer.name], life.first)):
            b, low = life.buffer, plan.offsets[life.buffer.name]
            end = low + b.size_bytes - 1
            alive = numbers[life.first : life.last + 1]
            span = f"{min(alive)}..{max(alive)}"
            shape = f"{b.dtype}[{','.join(map(str, b.shape))}]"
            rows.append(f"{low:8} .. {end:7} {b.size_bytes:7}  {span:<9}  {_short(b)} {shape}")
        place = f" in {memory}" if memory else ""
        tables.append(ArenaTable(place, arena.size_bytes, arena.bound_bytes, rows))
    return tables


def _short(buffer: Buffer) -> str:
    """The name of a buffer within its entry point."""
    return buffer.name.partition(".")[2]


def static_table(program: Program) -> list[str]:
    """Sizes of the static memory by role."""
    sizes: dict[str, list[int]] = {}
    for b in program.buffers.values():
        if b.role.persistent:
            sizes.setdefault(b.role, []).append(b.size_bytes)
    return [f"{role:<10} {sum(n):>8} in {len(n)} tensors" for role, n in sizes.items()] or ["none"]


def arenas(plan: Plan) -> list[ArenaUnion]:
    """The unions that hold the arena buffers, one for every memory."""
    found = []
    for memory, size in plan.arenas.items():
        groups = [
            Group(
                name,
                [
                    _member(life.buffer, entry)
                    for life in entry.lives
                    if life.buffer.memory == memory
                ],
            )
            for name, entry in plan.entries.items()
        ]
        name = arena_name(memory)
        kept = [group for group in groups if group.members]
        if kept:
            found.append(ArenaUnion(name, size, place_of(plan, name), kept))
    return found


def _member(buffer: Buffer, plan: EntryPlan) -> Member:
    return Member(_short(buffer), C_TYPES[buffer.dtype], buffer.length, plan.offsets[buffer.name])


def headers(program: Program) -> list[str]:
    """Headers of the kernels that the program calls."""
    used = {call.op.folder.name for call in program.calls() if call.kernel and not call.work}
    used |= {"pulp"} if has_assembly(program) else set()
    return ["kernels/ac.h", "kernels/loop/loop.h", *(f"kernels/{f}/{f}.h" for f in sorted(used))]


def has_assembly(program: Program) -> bool:
    """True if kernels are written in assembly for calls of this program."""
    return any(call.work for call in program.calls())


def kernel_sources(program: Program) -> list[str]:
    """C files of the kernels that the program calls."""
    used = {
        (call.op.folder.name, call.kernel.source)
        for call in program.calls()
        if call.kernel is not None and not call.work
    }
    return [f"kernels/{folder}/{source}" for folder, source in sorted(used)]


def library_sources(program: Program) -> list[str]:
    """All C and assembly files that make up the library."""
    files = [f"{program.name}{part}.c" for part in ("", "_store", "_weights")]
    assembly = [f"{program.name}_kernels.S"] if has_assembly(program) else []
    return [*files, *assembly, *kernel_sources(program)]


def persistent(program: Program) -> list[Buffer]:
    """Buffers in static memory."""
    return [b for b in program.buffers.values() if b.role.persistent]


def stored(program: Program) -> list[Buffer]:
    """What a file of weights holds: all but memory for activations, and what lies in l3."""
    return [b for b in persistent(program) if b.role not in (Role.PAGE, Role.STORED)]


def learned(program: Program) -> list[Buffer]:
    """What a checkpoint holds."""
    return [b for b in stored(program) if b.role is not Role.FROZEN]


def tensors(program: Program, plan: Plan, values: bool, constants: bool) -> list[Tensor]:
    """Static arrays.

    Args:
        program: with their values.
        plan: their places.
        values: without them the arrays are zero until weights are loaded.
        constants: what does not learn is `const`.
    """
    return [_tensor(program, plan, b, values, constants) for b in persistent(program)]


def place_of(plan: Plan, name: str, constant: bool = False) -> str:
    """` AC_IN(l1)` after a declaration, or nothing where the plan leaves it to the linker."""
    if name not in plan.places:
        return ""
    return f" AC_{'CONST_' if constant else ''}IN({plan.places[name]})"


def _tensor(program: Program, plan: Plan, b: Buffer, values: bool, constants: bool) -> Tensor:
    value = program.values[b.name]
    behind = b.role.behind
    constant = b.role in (Role.FROZEN, Role.STORED) and values and constants
    values = values or behind  # they come with the program, however the weights come
    return Tensor(
        name=f"{program.name}_{b.name}",
        type=C_TYPES[b.dtype],
        qualifier="const " if constant else "",
        size=b.length,
        place=place_of(plan, b.name, constant or behind) + _alignment(b.dtype),
        role=b.role,
        dtype=b.dtype,
        shape=b.shape,
        lines=_rows(value, b.dtype) if constant or (values and value.any()) else [],
        behind=behind,
    )


def _alignment(dtype: str) -> str:
    """Of arrays of bytes, which kernels may read in words."""
    return " __attribute__((aligned(4)))" if dtype in ("s8", "u8") else ""


def _rows(value: Array, dtype: str, width: int = 8) -> list[str]:
    texts = (
        [c_number(v, dtype) for v in value.reshape(-1).tolist()]
        if dtype != "f32"
        else _floats(value)
    )
    return [", ".join(texts[i : i + width]) + "," for i in range(0, len(texts), width)]


def _floats(value: Array) -> list[str]:
    """Shortest decimals that read back as the same float32."""
    return [
        t + ("f" if "." in t or "e" in t else ".0f")
        for t in value.reshape(-1).astype("U16").tolist()
    ]


def layout(program: Program, buffers: Iterable[Buffer]) -> int:
    """A number that tells checkpoints of different programs apart."""
    text = ";".join(f"{b.name}:{b.dtype}{list(b.shape)}" for b in buffers)
    return zlib.crc32(f"{program.name};{text}".encode())


def model_hash(program: Program) -> int:
    """A number that changes with the layout and with any frozen weight: what was learned beside
    other frozen weights is worth nothing."""
    kept = [b for b in persistent(program) if b.role is not Role.PAGE]
    crc = layout(program, kept)
    for b in kept:
        if b.role in (Role.FROZEN, Role.STORED):
            crc = zlib.crc32(np.ascontiguousarray(program.values[b.name]).tobytes(), crc)
    return crc
