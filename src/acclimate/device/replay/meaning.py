# SPDX-License-Identifier: Apache-2.0
"""What replay.c keeps and draws, in NumPy: the same slots, the same bytes, the same numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from acclimate.device.random.meaning import Random
from acclimate.device.vector.meaning import F32, finite

RESERVOIR, CBRS, ECBRS = 0, 1, 2


class Status(IntEnum):
    """Results, as replay.h explains them."""

    OK = 0
    PASSED = 1
    BAD_CALL = -1
    NOT_FINITE = -2
    FLASH_FAILED = -3


@dataclass(frozen=True)
class Settings:
    """As replay.h explains them."""

    policy: int
    n: int
    bits: int
    greatest: float = 6.0
    quota: float = 0.1
    seed: int = 0


def slot_bytes(n: int, bits: int) -> int:
    """Bytes of one latent: Q bits for each of its n numbers."""
    return -(-n * bits // 8)


def quantised(x: F32, bits: int, greatest: float) -> NDArray[np.uint8]:
    """Numbers [n] of `bits` bits for x[n]."""
    scale = np.float32(greatest) / np.float32(2**bits - 1)
    with np.errstate(over="ignore"):
        steps = np.minimum(np.maximum(x, 0) / scale, np.float32(2**bits - 1))
    return np.floor(steps + np.float32(0.5)).astype(np.uint8)


def packed(q: NDArray[np.uint8], bits: int) -> bytes:
    """Numbers [n] one after the other, from the lowest bit of the first byte on."""
    every = np.unpackbits(q[:, None], axis=1, bitorder="little")[:, :bits]
    return np.packbits(every.reshape(-1), bitorder="little").tobytes()


def restored(q: NDArray[np.uint8], bits: int, greatest: float) -> F32:
    """The values of quantised numbers [n]."""
    return q.astype(np.float32) * (np.float32(greatest) / np.float32(2**bits - 1))


@dataclass
class Replay:
    """A memory of `capacity` latents of K classes.

    Attributes:
        labels: of the slots in use.
        slots: quantised latents of the same.
        kept, offered, full: for every class.
    """

    settings: Settings
    capacity: int
    K: int
    seen: int = 0
    labels: list[int] = field(default_factory=list)
    slots: list[NDArray[np.uint8]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.settings.seed)
        self.offered, self.full = [0] * self.K, [False] * self.K

    @property
    def kept(self) -> list[int]:
        """Slots of every class."""
        return [self.labels.count(k) for k in range(self.K)]

    @property
    def _quota(self) -> float:
        return float(np.float32(self.settings.quota) * np.float32(self.capacity))

    def _random_of(self, classes: list[int]) -> int:
        members = [slot for slot, k in enumerate(self.labels) if k in classes]
        return members[self.random.below(len(members))]

    def _slot_of_largest(self, spared: int) -> int:
        kept = self.kept
        able = [k for k in range(self.K) if k != spared and kept[k]] or list(range(self.K))
        most = max(kept[k] for k in able)
        largest = [k for k in able if kept[k] == most]
        for k in largest:
            self.full[k] = True
        return self._random_of(largest)

    def _choose(self, k: int) -> int | None:
        policy, kept = self.settings.policy, self.kept
        if policy == RESERVOIR:
            at = self.random.below(self.seen)
            return at if at < self.capacity else None
        if self.full[k]:
            stays = self.random.below(self.offered[k]) < kept[k]
            return self._random_of([k]) if stays else None
        if policy == CBRS:
            return self._slot_of_largest(-1)
        greatest = int(np.argmax(self.offered))
        if kept[greatest] > self._quota:
            self.full[greatest] = True
            return self._random_of([greatest])
        return self._slot_of_largest(greatest)

    def offer(self, x: F32, label: int) -> tuple[Status, int | None]:
        """Offers x[n]: status, and the slot that it has now."""
        if not 0 <= label < self.K:
            return Status.BAD_CALL, None
        if not finite(x):
            return Status.NOT_FINITE, None
        self.seen += 1
        self.offered[label] += 1
        slot = len(self.labels) if len(self.labels) < self.capacity else self._choose(label)
        if slot is None:
            return Status.PASSED, None
        q = quantised(x, self.settings.bits, self.settings.greatest)
        self.labels[slot : slot + 1] = [label]
        self.slots[slot : slot + 1] = [q]
        return Status.OK, slot

    def read(self, slot: int) -> F32:
        """x[n] of a slot in use."""
        return restored(self.slots[slot], self.settings.bits, self.settings.greatest)

    def draw(self, count: int) -> list[int]:
        """Different slots, all equally likely, in ascending order."""
        found: list[int] = []
        for slot in range(len(self.labels)):
            left = count - len(found)
            if left and self.random.below(len(self.labels) - slot) < left:
                found.append(slot)
        return found

    def draw_balanced(self) -> int:
        """One slot: classes are equally likely, and the members of each."""
        kept, greatest = self.kept, int(np.argmax(self.offered))
        weights = [int(count > 0) for count in kept]
        if self.settings.policy == ECBRS and 0 < kept[greatest] == self._quota:
            weights[greatest] = kept[greatest]
        number = self.random.below(sum(weights))
        k = int(np.searchsorted(np.cumsum(weights), number, side="right"))
        return self._random_of([k])


def split(fresh: int, stored: int, batch: int) -> tuple[int, int, int]:
    """Minibatches, and the new and stored samples of each, as replay.h explains it."""
    batches = min(max(1, (fresh + stored) // batch), fresh)
    size = min(fresh + stored, batch)
    of_fresh = min(fresh // batches, size)
    return batches, of_fresh, min(size - of_fresh, stored)
