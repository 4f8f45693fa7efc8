# SPDX-License-Identifier: Apache-2.0
"""Cycles of a workload on the simulator of a target."""

from __future__ import annotations

from acclimate.emit import emit
from acclimate.kernels.pulp.isa import Dialect
from acclimate.plan import plan
from acclimate.program import Program
from acclimate.simulate import open_device
from acclimate.simulate.cluster import ClusterDevice
from acclimate.targets import Target
from acclimate.tune.workload import Candidate, Workload, with_kernel

_RATE = 1e-3
_SPARE_BYTES = 4096


def measure(
    workload: Workload, candidate: Candidate, target: Target, limit_cycles: int | None = None
) -> int:
    """Cycles of a candidate on random data, fork and join included.

    All operands lie in L1, which is made as large as they need where the target has one.

    Args:
        workload: what is computed.
        candidate: how.
        target: on what.
        limit_cycles: of a cluster, after which a slow candidate need not go on.

    Raises:
        OutOfCycles: it took more.
        OutOfRegisters: the candidate does not fit the core.
    """
    program = workload.program()
    (call,) = program.entries["run"].calls
    kernel = next(k for k in call.op.kernels if k.symbol == candidate.kernel)
    single = with_kernel(program, call, kernel, candidate.choice, target)
    machine = resident(single, target)
    placed = plan(single, cores=machine.cores, memories=machine.memories)
    files = emit(
        single,
        placed,
        machine,
        kit="cmake",
        weights="binary",
        title="one call",
        command="acclimate tune",
        dialect=Dialect.COREV,
    )
    files.pop("port_single.c", None)
    device = open_device(None, single, files, machine, _RATE, {})
    if limit_cycles is not None and isinstance(device, ClusterDevice):
        device.limit_cycles = limit_cycles
    device.run_entry("run")
    return int(device.cycles)  # type: ignore[attr-defined]  # every simulator counts them


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
