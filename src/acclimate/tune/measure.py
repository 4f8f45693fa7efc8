# SPDX-License-Identifier: Apache-2.0
"""Cycles of a workload on the simulator of a target."""

from __future__ import annotations

from collections.abc import Sequence

from acclimate.emit import emit
from acclimate.errors import OutOfCycles
from acclimate.kernels.pulp.isa import Dialect
from acclimate.plan import plan
from acclimate.program import Program
from acclimate.simulate import open_device
from acclimate.simulate.cluster import ClusterDevice
from acclimate.targets import Target
from acclimate.tune.workload import Candidate, Workload, candidate_program

_RATE = 1e-3
_SPARE_BYTES = 4096


def measure(workload: Workload, candidate: Candidate, target: Target) -> int:
    """Cycles of a candidate on random data, fork and join included.

    All operands lie in L1, which is made as large as they need where the target has one.

    Raises:
        OutOfRegisters: the candidate does not fit the core.
    """
    (cycles,) = measure_all([(workload, candidate)], target)
    return cycles


def measure_all(
    taken: Sequence[tuple[Workload, Candidate]],
    target: Target,
    limits: Sequence[int] | None = None,
) -> list[int]:
    """Cycles of several candidates, which are compiled together.

    Args:
        taken: what is computed, and how.
        target: on what.
        limits: cycles after which a candidate on a cluster need not go on; these are its result.

    Raises:
        OutOfRegisters: a candidate does not fit the core.
    """
    program = candidate_program(taken, target)
    machine = resident(program, target)
    placed = plan(program, cores=machine.cores, memories=machine.memories)
    files = emit(
        program,
        placed,
        machine,
        kit="cmake",
        weights="binary",
        title="calls",
        command="acclimate tune",
        dialect=Dialect.COREV,
    )
    files.pop("port_single.c", None)
    found: list[int] = []
    device = None
    for number, entry in enumerate(program.entries):
        device = device or open_device(None, program, files, machine, _RATE, {})
        if limits is not None and isinstance(device, ClusterDevice):
            device.limit_cycles = limits[number]
        try:
            device.run_entry(entry)
            found.append(int(device.cycles))  # type: ignore[attr-defined]  # all that count
        except OutOfCycles:
            assert limits is not None
            found.append(limits[number])
            device = None  # it stopped in the middle
    return found


def resident(program: Program, machine: Target) -> Target:
    """The machine with an L1 that holds the whole program."""
    if not any(memory.name == "l1" for memory in machine.memories):
        return machine
    data = sum(b.size_bytes for b in program.buffers.values())  # as if nothing shared memory
    l1 = machine.memory("l1")
    wanted = data + l1.reserved_bytes + _SPARE_BYTES
    size = l1.size_bytes
    while size < wanted:
        size *= 2
    return machine.with_memory("l1", size)
