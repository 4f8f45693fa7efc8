# SPDX-License-Identifier: Apache-2.0
"""Latent replay: samples are kept as what a frozen front makes of them, in few bits.

Source: Ravaglia et al., "A TinyML platform for on-device continual learning with quantized latent
replays", IEEE JETCAS 11(4), 2021; Pellegrini et al., "Latent replay for real-time continual
learning", IROS 2020.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from acclimate.data.clips import F32
from acclimate.device import find_modules, load
from acclimate.device.replay.meaning import CBRS, Replay, Settings, Status, slot_bytes, split
from acclimate.errors import BadOption
from acclimate.learn.protocol.scenario import Labelled

FLOAT_BITS = 32


class LatentMemory:
    """The device module `replay` as a memory for the strategy `Replay`.

    Args:
        capacity: latents that it has room for.
        classes: K.
        shape: of a latent, without the batch.
        greatest: value that the largest number stands for; latents are clipped to 0 .. greatest.
        bits: of every number of a latent: 1 to 8, or 32 for floats, which no device module has:
            what quantised replay is compared with.
        policy: RESERVOIR, CBRS or ECBRS of `acclimate.device.replay.meaning`.
        seed: of what is kept and drawn.
        in_c: runs the C of the module; else its meaning in NumPy, which does the same.
    """

    def __init__(
        self, capacity: int, classes: int, shape: tuple[int, ...], greatest: float,
        bits: int = 8, policy: int = CBRS, seed: int = 0, *, in_c: bool = False,
    ) -> None:  # fmt: skip
        if capacity < 1 or not (1 <= bits <= 8 or bits == FLOAT_BITS) or not greatest > 0:
            raise BadOption(
                "a memory of latents needs a slot, 1 to 8 or 32 bits, and a greatest value",
                found=f"{capacity} slots, {bits} bits, {greatest:g}",
            )
        self.shape, self.bits = shape, bits
        self.n = int(np.prod(shape))
        kept_bits = min(bits, 8)
        settings = Settings(policy, self.n, kept_bits, greatest=greatest, seed=seed)
        self.replay = (_InC if in_c else Replay)(settings, capacity, classes)
        self._floats: dict[int, F32] = {}

    def insert(self, x: F32, y: int) -> None:
        """Offers a latent x[shape] of class y.

        Raises:
            BadOption: it is not finite, or there is no such class.
        """
        flat = np.ascontiguousarray(x, np.float32).reshape(-1)
        status, slot = self.replay.offer(flat, y)
        if status < Status.OK:
            raise BadOption("the memory refuses a latent", found=status.name)
        if slot is not None and self.bits == FLOAT_BITS:
            self._floats[slot] = flat

    def draw(self, count: int) -> Labelled:
        """At most `count` different latents as they are read, in ascending order of their slots."""
        slots = self.replay.draw(min(count, len(self)))
        read = self.replay.read if self.bits != FLOAT_BITS else self._floats.__getitem__
        x = np.array([read(slot) for slot in slots], np.float32).reshape(-1, *self.shape)
        return Labelled(x, np.array([self.replay.labels[slot] for slot in slots], np.int64))

    def __len__(self) -> int:
        return len(self.replay.labels)

    def size_bytes(self) -> int:
        """Of the slots: capacity * n * bits / 8, whole bytes each."""
        return self.replay.capacity * slot_bytes(self.n, self.bits)


class _InC:
    """The C of the module on this machine; as `Replay` of its meaning."""

    def __init__(self, settings: Settings, capacity: int, K: int) -> None:
        self.settings, self.capacity = settings, capacity
        self._c = load(*find_modules(["replay"]))
        size = self._c.ac_replay_bytes(capacity, settings.n, settings.bits)
        self._state = self._c.new("ac_replay")
        self._kept = (
            self._c.new("ac_replay_settings", **asdict(settings)), np.zeros(capacity, np.uint16),
            np.zeros(3 * K, np.uint32), np.zeros(max(size, 1), np.uint8),
        )  # fmt: skip
        chosen, labels, classes, slots = self._kept
        status = self._c.ac_replay_start(
            self._state, chosen, labels, capacity, classes, K, slots, size
        )
        if status != Status.OK:
            raise BadOption("the module replay refuses these settings", found=repr(settings))

    @property
    def labels(self) -> NDArray[np.uint16]:
        """Of the slots in use."""
        return self._kept[1][: self._state.count]

    def offer(self, x: F32, label: int) -> tuple[Status, int | None]:
        """Offers x[n]: status, and the slot that it has now."""
        slot = np.zeros(1, np.uint32)
        status = Status(self._c.ac_replay_offer(self._state, x, label, slot))
        return status, int(slot[0]) if status is Status.OK else None

    def read(self, slot: int) -> F32:
        """x[n] of a slot in use."""
        x = np.zeros(self.settings.n, np.float32)
        self._c.ac_replay_read(self._state, slot, x)
        return x

    def draw(self, count: int) -> list[int]:
        """Different slots, all equally likely, in ascending order."""
        slots = np.zeros(max(count, 1), np.uint32)
        self._c.ac_replay_draw(self._state, slots, count)
        return [int(slot) for slot in slots[:count]]


def minibatch(fresh: int, stored: int, batch: int) -> tuple[int, int]:
    """New and replayed samples of a minibatch: in proportion to how many there are of both."""
    _, of_fresh, of_stored = split(fresh, stored, batch)
    return of_fresh, of_stored
