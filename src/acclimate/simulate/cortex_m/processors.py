# SPDX-License-Identifier: Apache-2.0
"""The Arm cores that can be simulated."""

from __future__ import annotations

from dataclasses import dataclass

from acclimate.errors import BadOption, nearest


@dataclass(frozen=True)
class Processor:
    """One core.

    Args:
        name: as in the files of targets.
        unicorn: its name in Unicorn, after `UC_CPU_ARM_CORTEX_`.
        flags: of the compiler.
        fpu: True if floats are passed in its registers.
        cycles: which table estimates its cycles, `cycles_<this>.toml`.
    """

    name: str
    unicorn: str
    flags: tuple[str, ...]
    fpu: bool
    cycles: str


def _processor(name: str, unicorn: str, cpu: str, cycles: str) -> Processor:
    fpu = "+" in cpu
    target = f"thumb-freestanding-eabi{'hf' if fpu else ''}"
    return Processor(name, unicorn, ("-target", target, f"-mcpu={cpu}"), fpu, cycles)


# Single precision units only: the Cortex-M7 and M33 have optional double precision, which
# generated C does not use.
PROCESSORS = {
    p.name: p
    for p in (
        _processor("cortex-m0plus", "M0", "cortex_m0plus", "m0plus"),
        _processor("cortex-m3", "M3", "cortex_m3", "m3"),
        _processor("cortex-m4", "M4", "cortex_m4+vfp4d16sp", "m4"),
        _processor("cortex-m7", "M7", "cortex_m7+fp_armv8d16sp", "m7"),
        _processor("cortex-m33", "M33", "cortex_m33+fp_armv8d16sp", "m33"),
    )
}


def find_processor(name: str) -> Processor:
    """A core by its name.

    Raises:
        BadOption: there is none of that name.
    """
    if name not in PROCESSORS:
        raise BadOption(f"unknown processor {name!r}", hint=nearest(name, PROCESSORS))
    return PROCESSORS[name]
