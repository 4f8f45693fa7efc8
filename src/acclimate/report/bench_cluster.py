# SPDX-License-Identifier: Apache-2.0
"""Cycles of kernels and of whole training steps on the simulated cluster.

Everything lies in L1, as in the figures of PULP-TrainLib: L1 is made as large as a row needs, and
`machine` says so. Batch 1, float32, SGD without momentum. The cycles are those of the whole call,
fork and join included; they are exact and the same in every run. Results are compared with NumPy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np

import acclimate
from acclimate.errors import BadOption, nearest
from acclimate.firmware import Firmware
from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X, CONV2D_FWD, CONV2D_STEP
from acclimate.kernels.linear.op import LINEAR_BWD_STEP, LINEAR_BWD_W, LINEAR_BWD_X, LINEAR_FWD
from acclimate.lower import SGD
from acclimate.models import REGISTRY
from acclimate.plan import plan
from acclimate.program import (
    Interpreter,
    OpCase,
    Program,
    Role,
    operator_program,
)
from acclimate.report.bench import example_of
from acclimate.report.cluster_calls import LR, start, sum_of_calls
from acclimate.simulate import Device
from acclimate.simulate.cluster import build_simulator, rtl_of
from acclimate.targets import Target, find_target
from acclimate.tune import select_kernels
from acclimate.tune.measure import resident

STEPS = ("deep_autoencoder", "ae_tiny", "dscnn_xs", "dscnn_s", "resnet8", "mobilenet_v1_025")
PASSES = ("fwd", "bwd_x", "bwd_w", "step")
# A step of more MACs is summed from its calls: simulated whole it would take many minutes.
WHOLE_MACS = 10_000_000
_TOLERANCE = 1e-4  # of the largest value: float32 sums in another order

Progress = Callable[[int, int, str], None]
Row = TypeVar("Row")


@dataclass(frozen=True)
class ClusterRow:
    """One measurement.

    Args:
        name: layer and pass, or network.
        cycles: of the call.
        macs: multiply-accumulates of it.
        mac_per_cycle: of all cores together.
        cores: that ran it.
        machine: what it ran on.
        measured: whole, or summed from calls that ran alone.
    """

    name: str
    cycles: int
    macs: int
    mac_per_cycle: float
    cores: int
    machine: str
    measured: str

    def document(self) -> dict[str, Any]:
        """The row as values that `json` can write."""
        return asdict(self)


def _conv(
    x: tuple[int, int, int], w: tuple[int, int, int], stride: int, pad: tuple[int, int], groups: int
) -> dict[str, int]:
    (c, h, width), (k, r, s) = x, w
    return {
        "N": 1, "C": c, "H": h, "W": width, "K": k, "R": r, "S": s,
        "P": (h + 2 * pad[0] - r) // stride + 1, "Q": (width + 2 * pad[1] - s) // stride + 1,
        "stride_h": stride, "stride_w": stride, "pad_top": pad[0], "pad_left": pad[1],
        "dilation_h": 1, "dilation_w": 1, "groups": groups,
    }  # fmt: skip


LAYERS: Mapping[str, Mapping[str, int]] = {
    "fc_64_12": {"N": 1, "C": 64, "K": 12},
    "fc_128_128": {"N": 1, "C": 128, "K": 128},
    "fc_640_128": {"N": 1, "C": 640, "K": 128},
    "pw_64_64_125": _conv((64, 25, 5), (64, 1, 1), 1, (0, 0), 1),
    "dw3_64_25x5": _conv((64, 25, 5), (64, 3, 3), 1, (1, 1), 64),
    "conv1_10x4": _conv((1, 49, 10), (64, 10, 4), 2, (5, 1), 1),
    "conv3_16_16_32x32": _conv((16, 32, 32), (16, 3, 3), 1, (1, 1), 1),
}


def bench_rows() -> tuple[str, ...]:
    """Names of all rows."""
    return (*(f"{layer}_{kind}" for layer in LAYERS for kind in PASSES), *STEPS)


def rows_to_run(only: str | None) -> tuple[str, ...]:
    """The rows that a name stands for: one row, all passes of a layer, or all.

    Raises:
        BadOption: the name is none of them.
    """
    if only is None:
        return bench_rows()
    if only in LAYERS:
        return tuple(f"{only}_{kind}" for kind in PASSES)
    if only not in bench_rows():
        raise BadOption(f"there is no row {only!r}", hint=nearest(only, (*bench_rows(), *LAYERS)))
    return (only,)


def bench_cluster(
    only: str | None = None,
    *,
    target: str | Target = "pulp-cluster",
    cores: int | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> list[ClusterRow]:
    """Measures rows.

    Args:
        only: a row or a layer; all rows by default.
        target: a cluster.
        cores: that run; all by default.
        jobs: processes that measure at once; one per processor by default.
        progress: told (done, total, what).

    Raises:
        BadOption: no such row, or the target is not a cluster.
        RuntimeError: a device and NumPy compute different numbers: a bug.
    """
    machine = cluster_of(target, cores)
    build_simulator(rtl_of(machine), progress)
    return measure_rows(rows_to_run(only), measure_row, machine, jobs, progress)


def measure_rows(
    names: Sequence[str],
    measure: Callable[[str, Target], Row],
    machine: Target,
    jobs: int | None,
    progress: Progress | None,
) -> list[Row]:
    """Measures rows in several processes at once, see `bench_cluster`.

    Args:
        names: of the rows, the long ones last.
        measure: makes one row of a name and a machine.
        machine: a cluster whose simulator is built.
        jobs: processes; one per processor by default.
        progress: told (done, total, what).
    """
    workers = min(jobs or os.cpu_count() or 1, len(names))
    tell = progress or (lambda done, total, what: None)
    tell(0, len(names), f"measuring {names[0]}")
    rows = {}
    if workers == 1:
        for done, name in enumerate(names):
            tell(done, len(names), f"measuring {name}")
            rows[name] = measure(name, machine)
        return [rows[name] for name in names]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        # The long ones first, so that no processor waits at the end.
        tasks = {pool.submit(measure, name, machine): name for name in reversed(names)}
        try:
            for done, task in enumerate(as_completed(tasks), 1):
                rows[tasks[task]] = task.result()
                tell(done, len(names), f"measured {tasks[task]}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[name] for name in names]


def cluster_of(target: str | Target, cores: int | None) -> Target:
    """The cluster to measure on, with so many cores; all by default."""
    machine = find_target(target) if isinstance(target, str) else target
    if machine.simulator != "cluster":
        raise BadOption(f"{machine.name} is not a cluster", hint="--target pulp-cluster")
    return machine if cores is None else machine.with_cores(cores)


def measure_row(name: str, machine: Target) -> ClusterRow:
    """Measures one row."""
    if name in STEPS:
        return _step(name, machine)
    kind = next(kind for kind in PASSES if name.endswith(f"_{kind}"))
    return _layer(name.removesuffix(f"_{kind}"), kind, machine)


def layer_calls(layer: str, kind: str) -> list[OpCase]:
    """The calls of one pass of one layer."""
    case = LAYERS[layer]
    wanted = {
        "fwd": (CONV2D_FWD,),
        "bwd_x": (CONV2D_BWD_X,),
        "bwd_w": (CONV2D_BWD_W,),
        "step": (CONV2D_BWD_X, CONV2D_STEP),
    }
    if "R" not in case:
        wanted = {
            "fwd": (LINEAR_FWD,),
            "bwd_x": (LINEAR_BWD_X,),
            "bwd_w": (LINEAR_BWD_W,),
            "step": (LINEAR_BWD_STEP,),
        }
    # Gradients as PULP-TrainLib counts them: of the input and of the weights alone.
    without = {CONV2D_BWD_X: {"b"}, CONV2D_BWD_W: {"db"}, LINEAR_BWD_W: {"db"}}
    return [OpCase(op, case, frozenset(without.get(op, ()))) for op in wanted[kind]]


def _layer(layer: str, kind: str, machine: Target) -> ClusterRow:
    """One pass of one layer."""
    program = operator_program("bench", {"run": layer_calls(layer, kind)})
    cycles, resident = _measure(program, machine)
    macs = sum(call.macs for call in program.calls())
    return _row(f"{layer}_{kind}", cycles, macs, resident, "whole")


def _row(name: str, cycles: int, macs: int, machine: Target, measured: str) -> ClusterRow:
    return ClusterRow(name, cycles, macs, macs / cycles, machine.cores, machine.machine, measured)


def _measure(program: Program, machine: Target) -> tuple[int, Target]:
    """Cycles of entry point `run`, checked against NumPy, and the machine with enough L1."""
    chosen = select_kernels(program, machine)
    machine = resident(chosen, machine)
    placed = plan(chosen, cores=machine.cores, memories=machine.memories)
    firmware = Firmware(chosen, placed, machine, LR, "one call", "acclimate bench cluster", ())
    device = start(firmware)
    device.run_entry("run")
    check = Interpreter(chosen)
    check.run("run", **_scalars(chosen))
    _compare(device, {name: check.value(name) for name in check.persistent})
    return device.cycles, machine


def _scalars(program: Program) -> dict[str, float]:
    return {b.name: LR for b in program.interface("run") if b.role is Role.SCALAR}


def _compare(device: Device, expected: Mapping[str, np.ndarray[Any, Any]]) -> None:
    for name, value in expected.items():
        found = device.state[name]
        error = float(np.abs(found - value).max(initial=0.0))
        scale = float(np.abs(value).max(initial=0.0)) + 1e-3
        if not error <= _TOLERANCE * scale:
            raise RuntimeError(f"{device.program.name}: {name} differs from NumPy by {error:.3g}")


def _step(name: str, machine: Target) -> ClusterRow:
    """A whole training step of a network."""
    roomy = machine.with_memory("l1", 16 * 1024 * 1024)
    machine = _fitting(compile_step(name, roomy), machine)
    firmware = compile_step(name, machine)
    macs = step_macs(firmware)
    if macs > WHOLE_MACS:
        cycles = sum_of_calls(firmware, machine)
        return _row(name, cycles, macs, machine, "summed")
    return _row(name, run_step(name, firmware), macs, machine, "whole")


def compile_step(
    name: str, target: str | Target, recompute: str = "never", page: str = "never"
) -> Firmware:
    """The training step of a network for a device; `recompute` and `page` as for `compile`."""
    case = REGISTRY[name]
    model, x, y = example_of(case)
    return acclimate.compile(
        model,
        example=(x, y),
        loss=case.loss,
        optimizer=SGD(lr=LR),
        target=target,
        entries=("train",),
        name=name,
        recompute=recompute,
        page=page,
    )


def step_macs(firmware: Firmware) -> int:
    """Multiply-accumulates of a training step."""
    return sum(call.macs for call in firmware.program.entries["train"].calls)


def run_step(name: str, firmware: Firmware) -> int:
    """Cycles of a training step, after which all weights are those of the host."""
    device, reference = start(firmware), compile_step(name, "host").run("host")
    _, x, y = example_of(REGISTRY[name])
    device.train(x, y)
    reference.train(x, y)
    _compare(device, reference.state)
    return device.cycles


def _fitting(firmware: Firmware, machine: Target) -> Target:
    """The smallest L1, in steps of two, that holds arena, weights and data."""
    external = sum(b.size_bytes for b in firmware.program.buffers.values() if b.role.external)
    static = sum(firmware.plan.static_bytes.values())
    l1 = machine.memory("l1")
    wanted = firmware.plan.arena_bytes + static + external + l1.reserved_bytes + 4096
    size = l1.size_bytes
    while size < wanted:
        size *= 2
    return machine.with_memory("l1", size)
