# SPDX-License-Identifier: Apache-2.0
"""Options of `compile` that say what a step may take, checked and in bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from acclimate.errors import BadOption, nearest
from acclimate.recompute import Saving
from acclimate.targets import Target
from acclimate.wanted import Wanted

TIMES = ("ms", "mj")  # of a step: budgets that are no memories
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}


def wanted_of(
    device: Target,
    budget: Mapping[str, str | int] | None,
    seconds: float = 0.0,
    saving: Saving | None = None,
) -> Wanted:
    """What a program has to fit: the options of `compile`, checked.

    Raises:
        BadOption: a budget is no size, time or energy, or the device has no such memory or clock.
    """
    ms, mj = (_number(budget, key, device) if key in (budget or {}) else None for key in TIMES)
    return Wanted(device, limits_of(device, budget), seconds, saving or Saving(), ms, mj)


def _number(budget: Mapping[str, str | int] | None, key: str, device: Target) -> float:
    """A budget of time or energy, on a device that has a clock, or a power."""
    text = str((budget or {})[key]).strip().lower().removesuffix(key)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0.0:
        hint = f"budget={{{key!r}: 20}}"
        raise BadOption(f"the budget {key}={text} is not a positive number", hint=hint)
    known = device.clock_hz if key == "ms" else device.energy_uj(1.0)
    if known is None:
        what = "clock" if key == "ms" or device.clock_hz is None else "power"
        raise BadOption(
            f"a budget in {key} needs a device with a known {what}",
            found=f"{device.machine} has none",
            hint="--target gap9",
        )
    return value


def saving_of(recompute: str | Sequence[str], page: str) -> Saving:
    """What `recompute` and `page` of `compile` ask for, checked.

    Raises:
        BadOption: one of them has no meaning.
    """
    if page not in ("auto", "never") and not is_share(page):
        raise BadOption(
            f"page={page!r} is neither 'auto' nor 'never' nor a share such as '75%'",
            hint="page='auto'",
        )
    return Saving(_recompute(recompute), page)


def _recompute(choice: str | Sequence[str]) -> tuple[str, ...] | str:
    """`never`, `auto`, `75%`, or names of modules."""
    if isinstance(choice, str):
        if choice not in ("auto", "never") and not is_share(choice):
            raise BadOption(
                f"recompute={choice!r} is neither 'auto' nor 'never' nor a share such as '75%'",
                hint=f"recompute=[{choice!r}] drops the activations of the module {choice}",
            )
        return choice
    return tuple(choice) or "never"


def is_share(text: str) -> bool:
    """True for what `recompute` takes as a part of the arena: 1% to 99%."""
    return re.fullmatch(r"[1-9]\d?%", text) is not None


def limits_of(device: Target, budget: Mapping[str, str | int] | None) -> dict[str, int]:
    """Budgets in bytes by memory: {"ram": "48 kB"} -> {"ram": 48000}."""
    names = [memory.name for memory in device.memories if memory.writable] or ["ram"]
    limits = {}
    for key, size in (budget or {}).items():
        if key in TIMES:
            continue
        if key not in {*names, "ram"}:
            allowed = [*names, *TIMES]
            raise BadOption(f"unknown memory {key!r} in the budget", hint=nearest(key, allowed))
        limits[key] = size_bytes(str(size), f"budget={{{key!r}: '48 kB'}}")
    return limits


def size_bytes(text: str, hint: str) -> int:
    """Bytes of a size such as "48 kB"; the hint is for the error.

    Raises:
        BadOption: the text is not a size.
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([a-zA-Z]*)\s*", text)
    if not match or match[2].lower() not in _UNITS:
        raise BadOption(f"the budget {text!r} is not a size", hint=hint)
    return int(float(match[1]) * _UNITS[match[2].lower()])
