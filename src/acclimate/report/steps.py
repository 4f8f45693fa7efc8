# SPDX-License-Identifier: Apache-2.0
"""Training steps on a device: loss, time, cycles and energy -> text and JSON."""

from __future__ import annotations

import statistics
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from acclimate.report.cycles import StepCycles
from acclimate.report.cycles_text import WIDTH, cycles_text
from acclimate.report.document import profile_document
from acclimate.report.simulated import device_ms
from acclimate.report.text import align
from acclimate.targets import Target

if TYPE_CHECKING:
    from acclimate.firmware import Firmware
    from acclimate.simulate import Device

_SHOWN_STEPS = 20


@dataclass(frozen=True)
class Step:
    """One training step on the device.

    Args:
        loss: before the update.
        time_ms: on the host as measured; simulated, at the clock of the target; None without one.
        cycles: None on the host.
        instructions: of a Cortex-M.
        energy_uj: an estimate; None where the target gives no power.
    """

    loss: float
    time_ms: float | None
    cycles: int | None = None
    instructions: int | None = None
    energy_uj: float | None = None


@dataclass(frozen=True)
class Run:
    """Steps on a device, and what they are compared with.

    Args:
        firmware: that ran.
        on: name of the device.
        chip: whose clock and power the steps have; None on the host and for a bare processor.
        steps: in order.
        expected: loss of the first one in PyTorch; None where it depends on random numbers.
        profile: of the last step, if it was asked for.
    """

    firmware: Firmware
    on: str
    chip: Target | None
    steps: list[Step]
    expected: float | None
    profile: StepCycles | None

    @property
    def difference(self) -> float | None:
        """Of the first loss from that of PyTorch, relative to it."""
        if self.expected is None:
            return None
        return abs(self.steps[0].loss - self.expected) / max(abs(self.expected), 1e-6)


def train_step(device: Device, data: Sequence[Any], chip: Target | None) -> Step:
    """Trains one batch and measures it.

    Args:
        device: host or simulated.
        data: inputs, then targets.
        chip: whose clock and power a simulated step has.
    """
    start = time.perf_counter()
    loss = device.train(*data)
    host_ms = 1e3 * (time.perf_counter() - start)
    cycles = getattr(device, "cycles", None)
    if cycles is None:
        return Step(loss, host_ms)
    energy_uj = chip.energy_uj(cycles) if chip else None
    instructions = getattr(device, "instructions", None)
    return Step(loss, device_ms(chip, cycles), cycles, instructions, energy_uj)


def run_text(run: Run) -> str:
    """A line per step, what the numbers are, and the profile."""
    where = run.on if run.chip is None else f"{run.chip.machine}, simulated"
    name = run.firmware.program.name
    lines = [f"{name} on {where}: {run.firmware.title}", "", *_table(run.steps), ""]
    lines += _cost(run)
    if run.expected is None:
        lines.append("first loss: not compared with PyTorch, the model draws random numbers")
    else:
        first = run.steps[0].loss
        lines.append(
            f"first loss: {first:.9g}, in PyTorch {run.expected:.9g},"
            f" relative difference {run.difference:.1e}"
        )
    if run.profile:
        lines += ["", f"where the cycles of step {len(run.steps)} went", ""]
        lines += cycles_text(run.profile)
    return "\n".join(lines)


def _table(done: list[Step]) -> list[str]:
    """One line per step; of many, the first ones and the last. Empty columns are left out."""
    numbered = list(enumerate(done, 1))
    shown = numbered if len(done) <= _SHOWN_STEPS else [*numbered[: _SHOWN_STEPS - 1], numbered[-1]]
    columns = [
        ["step", *(str(number) for number, _ in shown)],
        ["loss", *(f"{step.loss:.6g}" for _, step in shown)],
        ["instructions", *(_number(step.instructions, ",d") for _, step in shown)],
        ["cycles", *(_number(step.cycles, ",d") for _, step in shown)],
        ["ms", *(_number(step.time_ms, ".3f") for _, step in shown)],
        ["energy [uJ]", *(_number(step.energy_uj, ".2f") for _, step in shown)],
    ]
    filled = [column for column in columns if any(column[1:])]
    return align(list(zip(*filled, strict=True)), "r" * len(filled))


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _cost(run: Run) -> list[str]:
    """What the numbers of the table are, and how sure they are."""
    if run.on == "host":
        times = [step.time_ms or 0.0 for step in run.steps]
        return [
            f"time of a step: median {statistics.median(times):.3f} ms, least {min(times):.3f} ms"
        ]
    lines = ["cycles: exact, every core is simulated cycle by cycle"]
    if run.on != "cluster":
        lines = ["cycles: an estimate without waits for memory; instructions: exact"]
    if run.chip is None or run.chip.clock_hz is None:
        return [*lines, f"time and energy: not known, {run.on} alone has no clock"]
    lines.append(f"time: at {run.chip.clock_hz / 1e6:g} MHz")
    if run.chip.power_mw is None:
        return [*lines, f"energy: not known, the target {run.chip.name} gives no power"]
    source = run.chip.sources.get("power_mw", "source not given")
    text = f"energy: an estimate, {run.chip.power_mw:g} mW x time; {source}"
    return [*lines, *textwrap.wrap(text, WIDTH, subsequent_indent="  ")]


def run_document(run: Run) -> dict[str, Any]:
    """The same as values that `json` can write, with every call of the profile."""
    times = [step.time_ms for step in run.steps if step.time_ms is not None]
    cycles = [step.cycles for step in run.steps if step.cycles is not None]
    plan, chip = run.firmware.plan, run.chip
    return {
        "name": run.firmware.program.name,
        "title": run.firmware.title,
        "device": run.on,
        "machine": chip.machine if chip else None,
        "cycles_are": None if run.on == "host" else "exact" if run.on == "cluster" else "estimate",
        "clock_hz": chip.clock_hz if chip else None,
        "power_mw": chip.power_mw if chip else None,
        "power_source": chip.sources.get("power_mw") if chip else None,
        "steps": [asdict(step) for step in run.steps],
        "median_ms": statistics.median(times) if times else None,
        "min_ms": min(times, default=None),
        "median_cycles": statistics.median(cycles) if cycles else None,
        "torch_loss": run.expected,
        "relative_difference": run.difference,
        "arena_bytes": plan.arena_bytes,
        "ram_bytes": plan.ram_bytes,
        "profile": profile_document(run.profile) if run.profile else None,
    }
