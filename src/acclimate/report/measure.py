# SPDX-License-Identifier: Apache-2.0
"""Time of the generated C on this machine, and cycles of a step beside their estimate."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from acclimate.capture import split_example
from acclimate.estimate import entry_cycles

if TYPE_CHECKING:
    from acclimate.firmware import Firmware

_WARM_UP, _REPETITIONS, _LIMIT_S = 3, 50, 2.0


def time_ms(function: Callable[[], object]) -> float:
    """Milliseconds of one call of a function."""
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def host_milliseconds(firmware: Firmware, example: tuple[Any, Any]) -> dict[str, float]:
    """Builds the C for this machine and times every entry point on the example.

    Returns:
        Median [ms] of up to 50 calls by entry point; the call through ctypes is part of it.
    """
    device = firmware.run("host")
    inputs, target = split_example(example)
    targets = target if isinstance(target, tuple) else (target,)
    calls: dict[str, Callable[[], object]] = {
        "predict": lambda: device.predict(*inputs),
        "train": lambda: device.train(*inputs, *targets),
        "accumulate": lambda: device.accumulate(*inputs, *targets),
        "apply": device.apply,
    }
    # The mean over no samples is NaN: every update needs gradients.
    prepare = {"apply": calls["accumulate"]}
    return {
        name: _median_ms(calls[name], prepare.get(name, _nothing))
        for name in firmware.program.entries
    }


def step_cycles_both(firmware: Firmware, example: tuple[Any, Any]) -> tuple[int, int]:
    """Cycles of a training step: by estimate, and as the simulator of the target counts them.

    Args:
        firmware: with the entry `train`, for a target whose simulator counts cycles.
        example: of `compile`.
    """
    program = firmware.program
    guess = entry_cycles(program, program.entries["train"], firmware.plan, firmware.target)
    device: Any = firmware.run()
    inputs, target = split_example(example)
    targets = target if isinstance(target, tuple) else (target,)
    device.train(*(tensor.numpy() for tensor in (*inputs, *targets)))
    return guess, device.cycles


def _nothing() -> None:
    """No preparation."""


def _median_ms(function: Callable[[], object], prepare: Callable[[], object]) -> float:
    times: list[float] = []
    end = time.perf_counter() + _LIMIT_S
    for number in range(_WARM_UP + _REPETITIONS):
        prepare()
        times.append(time_ms(function))
        if number > _WARM_UP and time.perf_counter() > end:
            break
    return statistics.median(times[_WARM_UP:])
