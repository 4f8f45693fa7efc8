# SPDX-License-Identifier: Apache-2.0
"""port.h and its implementations: what generated C asks of a device besides a C compiler."""

from __future__ import annotations

from pathlib import Path

from acclimate.plan import Plan
from acclimate.program import Program

_FOLDER = Path(__file__).parent / "port"


def needs_port(plan: Plan) -> bool:
    """True if the C asks for port.h: for several cores or memories, or for copies between these."""
    copies = any(entry.team.channels for entry in plan.entries.values())
    return bool(plan.places) or copies or cores_of(plan) > 1


def cores_of(plan: Plan) -> int:
    """How many cores run a step together."""
    return max((entry.team.cores for entry in plan.entries.values()), default=1)


def port_file(name: str) -> bytes:
    """port.h, or an implementation of a part of it, such as port_threads.c or port_copies.c."""
    return (_FOLDER / name).read_bytes()


def port_sources(program: Program, port: str) -> tuple[str, ...]:
    """Names of the files that implement port.h; those for copies only where there are any.

    Args:
        program: that runs on the port.
        port: `single`, `threads` or `pulp`.
    """
    prefix = "port_pulp" if port == "pulp" else "port"
    copies = [f"{prefix}_copies.c"] if program.copies else []
    l3 = [f"{prefix}_l3.c"] if program.l3_bytes else []
    return (f"port_{port}.c", *copies, *l3)
