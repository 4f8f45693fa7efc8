# SPDX-License-Identifier: Apache-2.0
"""Ranges of activations: the largest magnitude on calibration inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from acclimate.kernels.op import DTYPES, Array
from acclimate.program import Call, Program
from acclimate.program.interpret import run_call


def measure_ranges(
    program: Program, calls: Sequence[Call], batches: Iterable[Mapping[str, Array]]
) -> dict[str, float]:
    """The largest magnitude of every buffer that the calls read or write.

    The maximum, since a clipped activation is an error without bound.

    Args:
        program: whose float values are measured.
        calls: the first calls of an entry point, in order.
        batches: inputs by name.
    """
    constants = {
        name: np.ascontiguousarray(program.values[name], DTYPES[buffer.dtype]).reshape(-1)
        for name, buffer in program.buffers.items()
        if buffer.role.persistent
    }
    names = {view.buffer for call in calls for view in call.views}
    ranges = dict.fromkeys(names - set(constants), 0.0)
    for batch in batches:
        memory = constants | {name: value.reshape(-1) for name, value in batch.items()}
        for name in ranges.keys() - memory.keys():
            memory[name] = np.zeros(program.buffers[name].size, np.float32)
        for call in calls:
            run_call(call, memory)
        for name in ranges:
            ranges[name] = max(ranges[name], float(np.abs(memory[name]).max(initial=0.0)))
    return ranges
