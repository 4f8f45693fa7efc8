# SPDX-License-Identifier: Apache-2.0
"""The kit `pulp-sdk`: a PMSIS application for pulp-sdk and the GAP SDK.

Source: the headers of PMSIS, pulp-platform/pulp-sdk and GreenWaves-Technologies/gap_sdk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from acclimate.emit import example
from acclimate.emit.kits.kit import Kit, Tree
from acclimate.emit.ports import port_file, port_sources
from acclimate.emit.render import render
from acclimate.errors import BadOption
from acclimate.kernels.pulp.isa import Dialect
from acclimate.plan import Plan, arena_name
from acclimate.program import Program
from acclimate.targets import Target, find_target, target_names

_MEMORIES = ("l1", "l2")
_ALIGN_BYTES = 8
# What the stacks of the simulated cluster have, and a page that is more than enough.
_LEAST_STACK_BYTES, _MOST_STACK_BYTES = 1024, 2048


def _files(tree: Tree) -> dict[str, bytes]:
    items = example.items(tree.program)
    copied = copied_to_l1(tree.program, tree.plan, tree.target)
    places = {item.name: f"{'l1' if item.name in copied else 'l2'}.{item.name}" for item in items}
    ports = port_sources(tree.program, "pulp")
    stored = stored_image(tree.program)
    learns = "train" if "train" in tree.program.entries else "accumulate"
    more: dict[str, Any] = {
        "items": items,
        "copied": copied,
        "ports": ports,
        "calls": example.calls(tree.program, places),
        "learning": example.used_by(tree.program, learns),
        "computes": example.computes(tree.program),
        "predicting": example.used_by(tree.program, example.computes(tree.program)),
        "sources": (*ports, *(name for name in tree.sources if name.endswith(".c"))),
        "assembly_sources": [name for name in tree.sources if name.endswith(".S")],
        "stack_bytes": stack_bytes(tree.target),
        "l3_place": f"{tree.program.name}_l3",
        "stored_file": f"{tree.program.name}_l3.bin",
        "stored_bytes": len(stored),
        "stored_offset": tree.program.l3_page_bytes,
        "image_bytes": placed_bytes(tree.program, tree.plan, "l1"),
    }
    files = dict(tree.library)
    for name in ("Makefile", "main.c", "README.md"):
        files[name] = render(f"pulp_sdk/{name}.jinja", tree.variables, **more)
    if stored:
        files[more["stored_file"]] = stored
    return files | {name: port_file(name) for name in ports}


def stored_image(program: Program) -> bytes:
    """The constants of l3 as they lie there, from the end of what waits there during a call on."""
    start, image = program.l3_page_bytes, bytearray()
    for name, offset in program.stored_offsets.items():
        image += bytes(offset - start - len(image))
        image += np.ascontiguousarray(program.values[name]).tobytes()
    return bytes(image)


def placed_bytes(program: Program, plan: Plan, memory: str) -> int:
    """What the plan puts into a memory."""
    sizes = {b.name: b.size_bytes for b in program.buffers.values()}
    sizes |= {arena_name(memory): size for memory, size in plan.arenas.items()}
    names = [name for name, place in plan.places.items() if place == memory]
    return sum(_aligned(sizes[name]) for name in names)


def copied_to_l1(program: Program, plan: Plan, target: Target) -> frozenset[str]:
    """The arrays of the application that fit into what the plan leaves of L1, in their order.

    None where the program itself copies what it needs: its DMA fetches from L2.
    """
    if program.copies:
        return frozenset()
    room = target.memory("l1").usable_bytes - placed_bytes(program, plan, "l1")
    copied = set()
    for item in example.items(program):
        if _aligned(item.size_bytes) <= room:
            room -= _aligned(item.size_bytes)
            copied.add(item.name)
    return frozenset(copied)


def stack_bytes(target: Target) -> int:
    """Stack of each core: its share of what the target reserves in L1, within limits."""
    share = target.memory("l1").reserved_bytes // target.cores // _ALIGN_BYTES * _ALIGN_BYTES
    return min(max(share, _LEAST_STACK_BYTES), _MOST_STACK_BYTES)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGN_BYTES) * _ALIGN_BYTES


def _fits(target: Target) -> bool:
    return {memory.name for memory in target.memories} >= set(_MEMORIES)


def _check(program: Program, plan: Plan, target: Target) -> None:
    if _fits(target):
        return
    names = [name for name in target_names() if _fits(find_target(name))]
    memories = ", ".join(memory.name for memory in target.memories) or "none"
    raise BadOption(
        f"the kit pulp-sdk needs a target with the memories l1 and l2; {program.name} was"
        f" compiled for {target.name}",
        found=f"memories of {target.name}: {memories}",
        hint=f"compile it for one of {', '.join(names)}",
    )


PULP_SDK = Kit(
    "pulp-sdk",
    _files,
    _check,
    weights=("c",),
    constants=False,
    dialect=Dialect.XPULPV2,
)
