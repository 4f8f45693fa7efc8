# SPDX-License-Identifier: Apache-2.0
"""What `recompute` and `page` of `compile` ask for, and the memories that it is asked of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acclimate.errors import BadOption, DoesNotFit, NoSchedule
from acclimate.estimate import call_cost
from acclimate.plan import Plan, assign, plan
from acclimate.program import Program
from acclimate.recompute.homes import Home, find_homes, l3_home
from acclimate.recompute.recompute import recompute
from acclimate.recompute.schedule import Schedule
from acclimate.targets import Target


@dataclass(frozen=True)
class Saving:
    """How RAM may be saved.

    Args:
        recompute: `auto`, `never`, modules whose activations are dropped, or the share of the arena
            that may be left, such as `75%`.
        page: `auto`, `never` or a share.
    """

    recompute: tuple[str, ...] | str = "never"
    page: str = "never"

    @property
    def wanted(self) -> bool:
        """True if anything may be saved."""
        return (self.recompute, self.page) != ("never", "never")

    @property
    def optional(self) -> bool:
        """True if nothing need be saved where everything fits."""
        return self.percent is None and not self.modules

    @property
    def modules(self) -> tuple[str, ...]:
        """Of the user's model, whose activations are dropped."""
        return () if isinstance(self.recompute, str) else self.recompute

    @property
    def percent(self) -> int | None:
        """Of the arena, that may be left."""
        shares = [text for text in (self.recompute, self.page) if str(text).endswith("%")]
        return min((int(str(text)[:-1]) for text in shares), default=None)

    def __str__(self) -> str:
        parts = (("recompute", self.recompute), ("page", self.page))
        return ", ".join(f"{name}={value!r}" for name, value in parts if value != "never")


def can_page(target: Target) -> bool:
    """True if a device has a memory in which activations can wait.

    That is a second one that its core reads and writes. A cluster needs an l3: what does not fit
    its fast memory comes from l2 in tiles anyway.
    """
    if target.cluster is not None:
        return target.l3 is not None
    return sum(memory.writable for memory in target.memories) > 1


def save_ram(
    program: Program,
    target: Target,
    limits: Mapping[str, int],
    saving: Saving,
    *,
    room_bytes: int | None = None,
    max_cycles: int | None = None,
    seconds: float = 5.0,
) -> tuple[Program, Schedule]:
    """Computes activations again, or lets them wait in a slower memory, where RAM is too small.

    Args:
        program: after the last pass, with kernels and scratch.
        target: the device.
        limits: budgets by memory [B], `ram` for all that changes.
        saving: what may be done.
        room_bytes: of the memory behind the fast one of a cluster, where data come from there.
        max_cycles: of an entry point.
        seconds: of the exact packing.

    Returns:
        The program, and what was decided: nothing where everything fits.

    Raises:
        NoSchedule: nothing is within the limits.
        BadOption: the device has no memory to wait in, or a module has no activations.
    """
    if saving.page.endswith("%") and not can_page(target):
        raise BadOption(
            f"{target.machine} has no slower memory in which activations could wait",
            found=", ".join(memory.name for memory in target.memories) or "no memories",
            hint=f"recompute={saving.page!r}, or a target with a second RAM such as stm32l476, or"
            " with an l3 such as gap9",
        )
    planned = plan(program, seconds=seconds)
    error: NoSchedule | None = None
    for homes in _homes(program, planned, target, limits, saving, room_bytes):
        found: list[tuple[Program, Schedule]] = []
        for home in homes:
            try:
                changed, schedule = recompute(
                    program,
                    ram_bytes=_budget(planned, home),
                    modules=saving.modules,
                    cost=call_cost(target),
                    max_cycles=max_cycles,
                    paging=home.paging,
                    again=saving.recompute != "never",
                    pack_seconds=seconds,
                    planned=planned,
                )
                if home.memory:
                    _check_places(changed, target, limits, seconds)
            except NoSchedule as problem:
                error = error or problem
            else:
                found.append((changed, schedule))
        if found:
            return min(found, key=lambda pair: pair[1].extra_cycles)
    if error is None:
        return program, Schedule()
    raise _explained(error, saving, limits)


def _budget(planned: Plan, home: Home) -> int | None:
    """Of the arena and everything static that changes."""
    if home.arena_bytes is None:
        return None
    return home.arena_bytes + planned.ram_bytes - planned.arena_bytes


def _homes(
    program: Program,
    planned: Plan,
    target: Target,
    limits: Mapping[str, int],
    saving: Saving,
    room_bytes: int | None,
) -> list[list[Home]]:
    """What to try in turn, the cheapest of each group; nothing where everything fits."""
    caps = []
    if "ram" in limits:
        caps.append(limits["ram"] - (planned.ram_bytes - planned.arena_bytes))
    if room_bytes is not None:
        static = sum(b.size_bytes for b in program.buffers.values() if b.role.persistent)
        caps.append(room_bytes - static)
    if saving.percent is not None:
        caps = [planned.arena_bytes * saving.percent // 100]
    asked = bool(saving.modules) or saving.percent is not None
    cap = min(caps, default=None)
    paged = saving.page != "never" and can_page(target)
    if target.l3 is not None and paged:
        return [[l3_home(target.l3, cap)]] if asked or cap is not None else []
    named = target.cluster is None and any(memory.writable for memory in target.memories)
    if not named or (asked and not paged):
        return [[Home("", cap)]] if asked or cap is not None else []
    if not asked and (cap is None or planned.arena_bytes <= cap):
        try:
            assign(program, planned.arenas, target.memories, limits)
        except DoesNotFit:
            pass
        else:
            return []
    return find_homes(program, target, limits, cap_bytes=cap, paged=paged)


def _check_places(
    program: Program, target: Target, limits: Mapping[str, int], seconds: float
) -> None:
    """The arena, pages and everything else find their memory.

    Raises:
        NoSchedule: they do not, since tensors are not cut.
    """
    try:
        assign(program, plan(program, seconds=seconds).arenas, target.memories, limits)
    except DoesNotFit as error:
        raise NoSchedule(error.what, found=error.found, hint=error.hint) from None


def _explained(error: NoSchedule, saving: Saving, limits: Mapping[str, int]) -> NoSchedule:
    """The error with a hint for the option that led to it."""
    hint = error.hint
    if saving.percent is not None:
        hint = f"a larger share than {saving}, or train fewer layers"
    elif "ram" not in limits:
        hint = "train fewer layers, or --target with more memory"
    return NoSchedule(error.what, found=error.found, hint=hint)
