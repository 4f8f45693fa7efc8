# SPDX-License-Identifier: Apache-2.0
"""Program and plan -> the files of a C library. Same input, same bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

import acclimate
from acclimate.emit import document
from acclimate.emit.text import LoopLibrary
from acclimate.kernels.loop.print_c import C_TYPES
from acclimate.kernels.op import DTYPES
from acclimate.plan import Plan
from acclimate.program import Buffer, Program, Role

_PACKAGE = Path(acclimate.__file__).parent
_MAGIC = 0x4C434341


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("acclimate.emit"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def emit(
    program: Program, plan: Plan, *, title: str, command: str, binary: bool
) -> dict[str, bytes]:
    """Writes a program as C.

    Args:
        program: with kernels and scratch.
        plan: places of its arena buffers.
        title: one line that says what the model is.
        command: how these files were made.
        binary: weights in a file of their own instead of C arrays.

    Returns:
        Contents by relative path.
    """
    name = program.name
    loops = LoopLibrary(name)
    entries = [
        document.entry_text(program, entry, plan.entries[entry.name], loops)
        for entry in program.entries.values()
    ]
    common: dict[str, Any] = {
        "version": acclimate.__version__,
        "command": command,
        "title": title,
        "name": name,
        "guard": name.upper(),
        "binary": binary,
        "entries": entries,
        "arena_bytes": plan.arena_bytes,
        "arena_place": document.arena_place(plan),
        "cores": max((e.team.cores for e in plan.entries.values()), default=1),
        "ported": needs_port(plan),
    }
    tensors = document.tensors(program, plan, not binary)
    sources = [
        f"{name}.c",
        f"{name}_store.c",
        f"{name}_weights.c",
        *document.kernel_sources(program),
    ]
    files = {
        f"{name}.h": _header(program, common),
        f"{name}.c": _render(
            "model.c.jinja",
            common,
            static_table=document.static_table(program),
            groups=document.groups(plan),
            headers=document.headers(program),
            loops=loops.texts(),
        ),
        f"{name}_store.c": _store(program, common),
        f"{name}_weights.h": _render("weights.h.jinja", common, tensors=tensors),
        f"{name}_weights.c": _render("weights.c.jinja", common, tensors=tensors),
        "main.c": _main(program, common),
        "CMakeLists.txt": _render("CMakeLists.txt.jinja", common, sources=sources),
    }
    files |= _library_files(program, plan)
    if binary:
        files[f"{name}_weights.bin"] = weights_blob(program)
    return dict(sorted(files.items()))


def _library_files(program: Program, plan: Plan) -> dict[str, bytes]:
    """What is the same in every firmware: kernels, their headers, port.h."""
    folders = {str(Path(path).parent) for path in document.headers(program)}
    headers = [path for folder in folders for path in (_PACKAGE / folder).glob("*.h")]
    copied = [*headers, *(_PACKAGE / path for path in document.kernel_sources(program))]
    files = {path.relative_to(_PACKAGE).as_posix(): path.read_bytes() for path in copied}
    return files | ({"port.h": port_file("port.h")} if needs_port(plan) else {})


def needs_port(plan: Plan) -> bool:
    """True if the C asks for port.h: several cores run it, or its data lie in several memories."""
    return bool(plan.places) or any(e.team.cores > 1 for e in plan.entries.values())


def port_file(name: str) -> bytes:
    """port.h, or one of its implementations: port_single.c, port_threads.c."""
    return (_PACKAGE / "emit" / "port" / name).read_bytes()


def _render(template: str, common: Mapping[str, Any], **more: Any) -> bytes:
    text = _templates().get_template(template).render(**common, **more)
    return (text.rstrip("\n") + "\n").encode()


def _header(program: Program, common: Mapping[str, Any]) -> bytes:
    externals = {b.name: b for e in program.entries for b in program.interface(e)}
    listed = [b for b in externals.values() if b.role is not Role.SCALAR and b.name != "loss"]
    size = 20 + sum(b.size_bytes for b in document.learned(program))
    return _render("model.h.jinja", common, externals=listed, checkpoint_bytes=size)


def _store(program: Program, common: Mapping[str, Any]) -> bytes:
    def names(buffers: list[Buffer]) -> list[dict[str, str]]:
        return [{"name": f"{program.name}_{b.name}"} for b in buffers]

    learned = document.learned(program)
    cleared = [
        b for b in learned if b.role in (Role.STATE, Role.GRADIENT) and b.name != "random_seed"
    ]
    return _render(
        "store.c.jinja",
        common,
        learned=names(learned),
        everything=names(document.persistent(program)),
        cleared=names(cleared),
        seeded=any(b.name == "random_seed" for b in learned),
        layout=document.layout(program, document.persistent(program)),
    )


def _main(program: Program, common: Mapping[str, Any]) -> bytes:
    externals = {b.name: b for e in program.entries for b in program.interface(e)}
    buffers = [
        {
            "name": b.name,
            "type": C_TYPES[b.dtype],
            "unit": "0.1f" if b.dtype == "f32" else "1",
            "role": b.role,
        }
        for b in externals.values()
        if b.role is not Role.SCALAR and b.name != "loss"
    ]

    def invocation(entry: str) -> str | None:
        if entry not in program.entries:
            return None
        args = [
            "0.01f" if b.role is Role.SCALAR else b.name
            for b in program.interface(entry)
            if b.name != "loss"
        ]
        return f"{program.name}_{entry}({', '.join(args)})"

    return _render(
        "main.c.jinja",
        common,
        buffers=buffers,
        inputs=[b for b in buffers if b["role"] is Role.INPUT],
        outputs=[b for b in buffers if b["role"] is Role.OUTPUT],
        predict=invocation("predict"),
        train=invocation("train"),
    )


def weights_blob(program: Program) -> bytes:
    """All static tensors with header and checksum, as `<name>_load_weights` reads them."""
    buffers = document.persistent(program)
    payload = b"".join(
        np.ascontiguousarray(program.values[b.name], DTYPES[b.dtype]).tobytes() for b in buffers
    )
    header = (_MAGIC, 2, document.layout(program, buffers), len(payload), zlib.crc32(payload))
    return struct.pack("<5I", *header) + payload
