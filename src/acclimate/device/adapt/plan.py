# SPDX-License-Identifier: Apache-2.0
"""What a session of adaptation is made of: its phases, its plan, and what it needs of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from acclimate.device.guard.meaning import Limits
from acclimate.device.noise.meaning import Settings

S16 = NDArray[np.int16]
F32 = NDArray[np.float32]


class Phase(IntEnum):
    """Where a session is, as adapt.h explains it."""

    IDLE = 0
    RECORDING = 1
    KEEPING = 2
    SCORING_OLD = 3
    LEARNING = 4
    SCORING_NEW = 5
    SAVING = 6
    ROLLING_BACK = 7


class Did(IntEnum):
    """What a step did, as adapt.h explains it."""

    NOTHING = 0
    WAITED = 1
    HEARD = 2
    JUDGED = 3
    READ = 4
    MIXED = 5
    FEATURED = 6
    TRAINED = 7
    SCORED = 8
    SKIPPED = 9
    DECIDED = 10
    ERASED = 11
    WROTE = 12
    COMMITTED = 13
    LOADED = 14
    FAILED = 15
    SPENT = 16
    BAD_CALL = -1


class Outcome(IntEnum):
    """How a session ended, as adapt.h explains it."""

    UNDER_WAY = 0
    ADAPTED = 1
    ROLLED_BACK = 2
    NOISE_REFUSED = 3
    OUT_OF_BUDGET = 4
    STOPPED = 5
    NOT_KEPT = 6
    NOT_SAVED = 7
    LOST = 8


class Model(Protocol):
    """The entry points of a model; `features` and `predict` give None where they fail."""

    def features(self, pcm: S16) -> F32 | None:
        """x[inputs] of pcm[samples]."""
        ...

    def predict(self, x: F32) -> F32 | None:
        """scores[classes] of x[inputs]."""
        ...

    def train(self, x: F32, label: int, lr: float) -> float:
        """One step; the loss before it."""
        ...

    def save(self) -> bytes:
        """All that learns."""
        ...

    def load(self, content: bytes) -> None:
        """What `save` gave."""
        ...


class Slots(Protocol):
    """A store: the newest model, or nothing, and how it is replaced."""

    content: bytes | None
    sectors: int  # of a slot

    def save(self, content: bytes) -> None:
        """Makes `content` the newest model."""
        ...


@dataclass(frozen=True)
class Plan:
    """How a session goes, as `ac_adapt_settings` in adapt.h explains it."""

    held_out: int
    epochs: int
    lr: float
    score_clean: bool = False
    held_out_noise: int = 0
    heard_frames: int = 1000
    clean_share: float = 0.0
    snr_low_db: float = 0.0
    snr_high_db: float = 0.0
    shift: int = 0
    silence: int = -1
    seed: int = 0
    piece_bytes: int = 0
    noise: Settings = field(default_factory=Settings)
    limits: Limits = field(default_factory=Limits)
