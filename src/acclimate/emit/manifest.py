# SPDX-License-Identifier: Apache-2.0
"""manifest.json: what was built, from what, and which optimisation changed what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import acclimate
from acclimate.kernels.copy.op import Copy
from acclimate.plan import Plan
from acclimate.program import Call, Program, describe


def manifest(
    program: Program,
    plan: Plan,
    target: str,
    kit: str,
    passes: Iterable[tuple[str, tuple[str, ...]]],
    files: Mapping[str, bytes],
) -> bytes:
    """The manifest as JSON; same input, same bytes."""
    table = {
        "acclimate": acclimate.__version__,
        "name": program.name,
        "target": target,
        "kit": kit,
        "passes": [{"name": name, "changes": list(changes)} for name, changes in passes],
        "memory": {
            "arena_bytes": plan.arena_bytes,
            "ram_bytes": plan.ram_bytes,
            "static_bytes": {str(role): size for role, size in plan.static_bytes.items()},
        },
        "entries": {
            name: {
                "arena_bytes": plan.entries[name].arena_bytes,
                "lower_bound_bytes": plan.entries[name].bound_bytes,
                "macs": sum(call.macs for call in entry.calls),
                "calls": [_layer(calls) for calls in entry.layers()],
            }
            for name, entry in program.entries.items()
        },
        "files": {
            path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())
        },
    }
    return (json.dumps(table, indent=1) + "\n").encode()


def _layer(calls: Sequence[Call]) -> dict[str, Any]:
    """A call; of one in tiles the first tile, with the work of all."""
    call = calls[0]
    written: dict[str, Any] = {}
    tiles = [part for part in calls if not isinstance(part.attrs, Copy)]
    if len(calls) > 1:
        written = {"tiles": len(tiles), "copies": len(calls) - len(tiles)}
    if call.work is not None and call.choice is not None:
        cycles = sum(part.work.cycles for part in tiles if part.work)
        written |= {"choice": dict(call.choice.items), "predicted_cycles": round(cycles)}
    return {
        "op": describe(call),
        "kernel": call.kernel.symbol if call.kernel else None,
        "phase": str(call.phase),
        "macs": sum(part.macs for part in calls),
        "source": str(call.source),
        "outputs": [str(view) for view in call.writes],
        "inputs": [str(view) for view in call.inputs if view is not None],
        **written,
    }
