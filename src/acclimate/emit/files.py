# SPDX-License-Identifier: Apache-2.0
"""Program and plan -> the files of a project in C. Same input, same bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import acclimate
from acclimate.device import Module, module_files, with_needs
from acclimate.emit import document
from acclimate.emit.application import application_files, application_of
from acclimate.emit.kits import Tree, find_kit
from acclimate.emit.ports import cores_of, needs_port, port_file
from acclimate.emit.render import render
from acclimate.emit.text import Library
from acclimate.kernels.op import DTYPES
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import Dialect, print_assembly
from acclimate.plan import Plan
from acclimate.program import Buffer, Program, Role
from acclimate.targets import Target

_PACKAGE = Path(acclimate.__file__).parent
_MAGIC = 0x4C434341


def emit(
    program: Program,
    plan: Plan,
    target: Target,
    *,
    kit: str,
    weights: str,
    title: str,
    command: str,
    dialect: Dialect | None,
    modules: Sequence[Module] = (),
) -> dict[str, bytes]:
    """Writes a program as a project in C.

    Args:
        program: with kernels and scratch.
        plan: places of its arena buffers.
        target: the device.
        kit: name of the kind of project.
        weights: `c` for arrays in C, `binary` for a file of their own.
        title: one line that says what the model is.
        command: how these files were made.
        dialect: of kernels in assembly; None for a program without any.
        modules: of the learning loop, whose C goes with that of the model.

    Returns:
        Contents by relative path.

    Raises:
        BadOption: there is no such kit, or it cannot hold this program.
    """
    chosen = find_kit(kit)
    chosen.accept(program, plan, target, weights)
    loops = Library(program.name, Core.of(target))
    entries = [
        document.entry_text(program, entry, plan.entries[entry.name], loops)
        for entry in program.entries.values()
    ]
    variables: dict[str, Any] = {
        "version": acclimate.__version__,
        "command": command,
        "title": title,
        "name": program.name,
        "guard": program.name.upper(),
        "target": target,
        "binary": weights == "binary",
        "entries": entries,
        "arena_bytes": plan.arena_bytes,
        "arenas": document.arenas(plan),
        "cores": cores_of(plan),
        "ported": needs_port(plan),
        "copies": program.copies,
        "l3_bytes": program.l3_bytes,
        "l3_page_bytes": program.l3_page_bytes,
        "stored": any(b.role is Role.STORED for b in program.buffers.values()),
        "assembly": document.has_assembly(program),
        "model_hash": document.model_hash(program),
        "checkpoint_bytes": 20 + sum(b.size_bytes for b in document.learned(program)),
        "static_bytes": plan.static_bytes,
        "memory_names": tuple(sorted(set(plan.places.values()))),
    }
    library = _library(program, plan, variables, loops, chosen.constants, dialect)
    learning_loop = module_files(modules)
    application = application_of(program, plan, target, with_needs(modules))
    if application is not None:
        learning_loop |= application_files(program, application, variables)
    variables["application"] = application
    library |= learning_loop
    sources = (*document.library_sources(program), *(n for n in learning_loop if n.endswith(".c")))
    tree = Tree(program, plan, target, variables, library, sources)
    return dict(sorted(chosen.files(tree).items()))


def _library(
    program: Program,
    plan: Plan,
    variables: Mapping[str, Any],
    loops: Library,
    constants: bool,
    dialect: Dialect | None,
) -> dict[str, bytes]:
    """The C of the model: the same in every kit, except for `const` and dialects of assembly."""
    name = program.name
    tensors = document.tensors(program, plan, not variables["binary"], constants)
    files = {
        f"{name}.h": _header(program, variables),
        f"{name}.c": render(
            "model.c.jinja",
            variables,
            compact=program.compact,
            static_table=document.static_table(program),
            headers=document.headers(program),
            loops=loops.texts(),
        ),
        f"{name}_store.c": _store(program, variables),
        f"{name}_weights.h": render("weights.h.jinja", variables, tensors=tensors),
        f"{name}_weights.c": render("weights.c.jinja", variables, tensors=tensors),
    }
    if loops.micros and dialect:
        files[f"{name}_kernels.h"] = render("kernels.h.jinja", variables, micros=loops.micros)
        files[f"{name}_kernels.S"] = _assembly(loops, dialect, variables)
    files |= _shared_files(program, plan)
    if variables["binary"]:
        files[f"{name}_weights.bin"] = weights_blob(program)
    return files


def _assembly(library: Library, dialect: Dialect, variables: Mapping[str, Any]) -> bytes:
    """The kernels that are written in assembly."""
    texts = [
        print_assembly(symbol, micro.write(library.core), dialect, micro.title)
        for micro, symbol in library.micros.items()
    ]
    return render(
        "kernels.S.jinja",
        variables,
        kernels=texts,
        dialect=dialect,
        float_registers=library.core.float_registers,
    )


def _shared_files(program: Program, plan: Plan) -> dict[str, bytes]:
    """What is the same in every firmware: kernels, their headers, port.h."""
    folders = {str(Path(path).parent) for path in document.headers(program)}
    headers = [path for folder in folders for path in (_PACKAGE / folder).glob("*.h")]
    copied = [*headers, *(_PACKAGE / path for path in document.kernel_sources(program))]
    files = {path.relative_to(_PACKAGE).as_posix(): path.read_bytes() for path in copied}
    return files | ({"port.h": port_file("port.h")} if needs_port(plan) else {})


def _header(program: Program, variables: Mapping[str, Any]) -> bytes:
    externals = {b.name: b for e in program.entries for b in program.interface(e)}
    listed = [b for b in externals.values() if b.role is not Role.SCALAR and b.name != "loss"]
    return render("model.h.jinja", variables, externals=listed)


def _store(program: Program, variables: Mapping[str, Any]) -> bytes:
    def names(buffers: list[Buffer]) -> list[dict[str, str]]:
        return [{"name": f"{program.name}_{b.name}"} for b in buffers]

    learned = document.learned(program)
    cleared = [
        b for b in learned if b.role in (Role.STATE, Role.GRADIENT) and b.name != "random_seed"
    ]
    return render(
        "store.c.jinja",
        variables,
        learned=names(learned),
        everything=names(document.stored(program)),
        cleared=names(cleared),
        seeded=any(b.name == "random_seed" for b in learned),
        layout=document.layout(program, document.stored(program)),
    )


def weights_blob(program: Program) -> bytes:
    """All static tensors with header and checksum, as `<name>_load_weights` reads them."""
    buffers = document.stored(program)
    payload = b"".join(
        np.ascontiguousarray(program.values[b.name], DTYPES[b.dtype]).tobytes() for b in buffers
    )
    header = (_MAGIC, 2, document.layout(program, buffers), len(payload), zlib.crc32(payload))
    return struct.pack("<5I", *header) + payload
