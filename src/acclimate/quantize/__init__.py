# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation of the frozen layers in front of what learns."""

from __future__ import annotations

from acclimate.errors import BadOption
from acclimate.program import Program, Role
from acclimate.quantize.calibrate import measure_ranges
from acclimate.quantize.prefix import find_prefix, settle_layouts
from acclimate.quantize.rewrite import rewrite
from acclimate.quantize.scheme import Int8

__all__ = ["Int8", "quantize"]


def quantize(program: Program, scheme: Int8) -> tuple[Program, list[str]]:
    """Lets the frozen layers in front of every entry point compute with integers of eight bits.

    Before: x -> conv2d_fwd -> conv2d_fwd -> mean -> linear_fwd, all floats, the last one learns.
    After: x -> quantize -> conv2d_s8_u8 -> conv2d_u8_u8_planes -> mean_u8_planes -> linear_fwd.

    Args:
        program: after the passes that fuse biases and clamps into the layers.
        scheme: with the inputs that ranges are measured on.

    Raises:
        BadOption: the scheme is none.
        BadExample: the calibration inputs are not those of the model.
    """
    if not isinstance(scheme, Int8):
        raise BadOption(
            "quantize takes the numbers that frozen layers compute with",
            found=repr(scheme),
            hint="quantize=ac.Int8(calibration=x)",
        )
    inputs = [b for b in program.buffers.values() if b.role is Role.INPUT]
    batches = scheme.inputs(inputs)
    changes: list[str] = []
    for entry in program.entries.values():
        prefix = settle_layouts(find_prefix(program, entry.calls))
        if not prefix.layers:
            continue
        numbers = sorted(number for layer in prefix.layers for number in layer.numbers)
        chosen = [entry.calls[number] for number in numbers]
        ranges = measure_ranges(program, chosen, batches)
        program, lines = rewrite(program, entry, prefix, ranges)
        changes += lines
    used = {v.buffer for call in program.calls() for v in call.views}
    kept = {n: b for n, b in program.buffers.items() if n in used or not b.role.in_arena}
    return Program(program.name, kept, program.entries, program.values), changes
