# SPDX-License-Identifier: Apache-2.0
"""Cycles of whole training steps on a cluster whose fast memory is too small for them.

As in `bench_cluster`, but with the memories that the machine has: the weights lie in L2, calls are
cut into tiles, and the DMA brings what they need. Every step is simulated whole. Its weights are
compared with those of the host afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acclimate.errors import BadOption, nearest
from acclimate.firmware import Firmware
from acclimate.kernels.copy.op import Copy
from acclimate.kernels.op import DTYPES
from acclimate.report.bench_cluster import (
    STEPS,
    WHOLE_MACS,
    ClusterRow,
    Progress,
    cluster_of,
    compile_step,
    measure_row,
    measure_rows,
    run_step,
    step_macs,
)
from acclimate.simulate.cluster import build_simulator, rtl_of
from acclimate.targets import Target

_KIB = 1024
# Networks for a larger cluster than the one of the paper: the memories of GAP9. Weights and
# activations of MobileNet alone take 1.76 MB, so that its step computes activations again.
_GAP9 = {"l1": 128 * _KIB, "l2": 1536 * _KIB}
_MEMORIES: Mapping[str, Mapping[str, int]] = {"resnet8": _GAP9, "mobilenet_v1_025": _GAP9}


@dataclass(frozen=True)
class StreamedRow(ClusterRow):
    """One measurement; `measured` is "streamed".

    Args:
        bytes_in: that the DMA copies into L1.
        bytes_out: that it copies out of L1.
        of_resident: cycles by those of the same step with everything in L1; None where that is
            not simulated whole.
    """

    bytes_in: int
    bytes_out: int
    of_resident: float | None


def bench_streamed(
    only: str | None = None,
    *,
    target: str | Target = "pulp-cluster",
    cores: int | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> list[StreamedRow]:
    """Measures the steps of networks; the arguments are those of `bench_cluster`.

    Raises:
        BadOption: no such network, or the target is not a cluster.
        DoesNotFit: a network is too large for all memories together.
        RuntimeError: the cluster and the host compute different numbers: a bug.
    """
    if only is not None and only not in STEPS:
        raise BadOption(f"there is no streamed row {only!r}", hint=nearest(only, STEPS))
    machine = cluster_of(target, cores)
    build_simulator(rtl_of(machine), progress)
    names = STEPS if only is None else (only,)
    return measure_rows(names, measure_streamed, machine, jobs, progress)


def measure_streamed(name: str, machine: Target) -> StreamedRow:
    """Measures one row, and the step in L1 where that does not take too long.

    A machine with an L3 keeps its memories: what L2 does not hold waits there.
    """
    if machine.l3 is None:
        for memory, size in _MEMORIES.get(name, {}).items():
            machine = machine.with_memory(memory, size)
    page = "never" if machine.l3 is None else "auto"
    firmware = compile_step(name, machine, recompute="auto", page=page)
    cycles, macs = run_step(name, firmware), step_macs(firmware)
    resident = measure_row(name, machine).cycles if macs <= WHOLE_MACS else None
    return StreamedRow(
        name, cycles, macs, macs / cycles, machine.cores, machine.machine, "streamed",
        bytes_in=moved_bytes(firmware, inward=True),
        bytes_out=moved_bytes(firmware, inward=False),
        of_resident=cycles / resident if resident else None,
    )  # fmt: skip


def moved_bytes(firmware: Firmware, *, inward: bool) -> int:
    """Bytes that the DMA moves into the fast memory in a training step, or out of it."""
    total = 0
    for call in firmware.program.entries["train"].calls:
        copy = isinstance(call.attrs, Copy) and not firmware.program.copies_l3(call)
        if copy and call.attrs.inward == inward:
            total += sum(
                view.size * DTYPES[firmware.program.buffers[view.buffer].dtype].itemsize
                for view in call.writes
            )
    return total
