# SPDX-License-Identifier: Apache-2.0
"""CWR*: a head whose rows are consolidated after every experience, over replay.

Source: Lomonaco et al., "Rehearsal-free continual learning over small non-i.i.d. batches", CVPRW
2020; with latent replay (AR1* free of regularisation): Pellegrini et al., IROS 2020.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from acclimate.data.clips import F32
from acclimate.errors import BadOption, nearest
from acclimate.firmware import Firmware
from acclimate.learn.protocol.gradient import Replay, Schedule
from acclimate.learn.protocol.latent import LatentMemory
from acclimate.learn.protocol.scenario import Experience
from acclimate.simulate import Device


class CwrReplay(Replay):
    """Replay that learns a temporary head and averages it into a consolidated one.

    Before an experience the rows of its classes and of those in the memory have their consolidated
    values, all others are 0. After it each row w of them, less the mean of all these rows, goes
    into the consolidated row c = (c r + w) / (r + 1) with r = sqrt(past / now), the samples of the
    class in earlier experiences and in this one, memory included. A bias is one more column.

    Args:
        firmware: as for `Replay`.
        schedule: of the new samples.
        memory: empty.
        replayed: as for `Replay`.
        head: name of the last layer.
        device: as for `Replay`.

    Raises:
        BadOption: nothing of that name learns.
    """

    def __init__(
        self, firmware: Firmware, schedule: Schedule, memory: LatentMemory,
        replayed: int | None = None, *, head: str = "fc1", device: Device | None = None,
    ) -> None:  # fmt: skip
        super().__init__(firmware, schedule, memory, replayed, device)
        self._latents = memory
        weights = self.device.weights
        self._parts = [f"{head}.{n}" for n in ("weight", "bias") if f"{head}.{n}" in weights]
        if f"{head}.weight" not in self._parts:
            raise BadOption(f"there is no layer {head!r}", hint=nearest(head, weights))
        self._kept = np.zeros_like(self._rows_of_head())
        self._past: Counter[int] = Counter()
        self._now: Counter[int] = Counter()

    def learn(self, experience: Experience) -> None:
        """Learns with the rows of the classes that it sees, then consolidates them."""
        self._now = self._counts(experience)
        seen = np.isin(np.arange(len(self._kept)), list(self._now))
        self._put(np.where(seen[:, None], self._kept, 0))
        super().learn(experience)

    def keep(self, experience: Experience) -> None:
        """Consolidates what was learned, or what pretraining left, and fills the memory."""
        now = self._now or self._counts(experience)
        self._now = Counter()
        classes = sorted(now)
        rows = self._rows_of_head()[classes]
        for k, row in zip(classes, rows - rows.mean(), strict=True):
            share = np.sqrt(self._past[k] / now[k])
            self._kept[k] = (self._kept[k] * share + row) / (share + 1)
        self._past.update(now)
        self._put(self._kept)
        super().keep(experience)

    def kept_bytes(self) -> int:
        """The memory, the consolidated head and its counts."""
        return super().kept_bytes() + self._kept.nbytes + 4 * len(self._kept)

    def _counts(self, experience: Experience) -> Counter[int]:
        """Samples of each class in an experience and in the memory."""
        return Counter(int(k) for k in (*experience.train.y, *self._latents.replay.labels))

    def _rows_of_head(self) -> F32:
        """Rows [K,n], the bias last."""
        parts = [self.device.weights[name] for name in self._parts]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], 1).copy()

    def _put(self, rows: F32) -> None:
        at = 0
        for name in self._parts:
            part = self.device.weights[name]
            width = part[0].size
            part[...] = rows[:, at : at + width].reshape(part.shape)
            at += width
