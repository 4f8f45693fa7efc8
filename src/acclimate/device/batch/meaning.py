# SPDX-License-Identifier: Apache-2.0
"""What batch.c draws, in Python, number for number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

_WORD, _ROUNDS = 2**32 - 1, 6
_ORDER, _CLEAN, _CLASSES, _MEMBERS = 1, 2, 3, 4
BATCH_MAX = 16_777_216


class Status(IntEnum):
    """Results, as batch.h explains them."""

    OK = 0
    NEW_EPOCH = 1
    BAD_CALL = -1


class Draw(NamedTuple):
    """One utterance, and whether it stays without noise."""

    utterance: int
    clean: bool


def _scrambled(v: int) -> int:
    v = (v ^ v >> 16) * 0x85EBCA6B & _WORD
    v = (v ^ v >> 13) * 0xC2B2AE35 & _WORD
    return v ^ v >> 16


def _shuffled(v: int, half: int, key: int) -> int:
    """A Feistel network of 2 x half bits."""
    mask = (1 << half) - 1
    left, right = v >> half, v & mask
    for number in range(_ROUNDS):
        scrambled = _scrambled((right + _scrambled((key + number) & _WORD)) & _WORD)
        left, right = right, left ^ (scrambled & mask)
    return left << half | right


def permuted(i: int, N: int, key: int) -> int:
    """Where the permutation `key` of 0 .. N - 1 puts i."""
    half = max(2, ((N - 1).bit_length() + 1) // 2)
    i = _shuffled(i, half, key)
    while i >= N:
        i = _shuffled(i, half, key)
    return i


@dataclass
class Batch:
    """Draws from N utterances, balanced if there are labels[N]."""

    N: int
    clean_share: float
    seed: int
    labels: Sequence[int] | None = None
    draws: int = 0

    def _key(self, purpose: int, a: int, b: int) -> int:
        first = _scrambled(self.seed ^ (purpose * 0x9E3779B9 & _WORD))
        return _scrambled((_scrambled((first + a) & _WORD) + b) & _WORD)

    def _balanced(self, labels: Sequence[int]) -> int:
        present = sorted(set(labels))
        round_, turn = divmod(self.draws, len(present))
        label = present[permuted(turn, len(present), self._key(_CLASSES, round_, 0))]
        members = [i for i, other in enumerate(labels) if other == label]
        cycle, number = divmod(round_, len(members))
        return members[permuted(number, len(members), self._key(_MEMBERS, label, cycle))]

    def next(self) -> Draw:
        """The next utterance."""
        epoch, position = divmod(self.draws, self.N)
        if self.labels is None:
            utterance = permuted(position, self.N, self._key(_ORDER, epoch, 0))
        else:
            utterance = self._balanced(self.labels)
        place = permuted(position, self.N, self._key(_CLEAN, epoch, 0))
        self.draws += 1
        return Draw(utterance, place < self.clean)

    @property
    def clean(self) -> int:
        """Draws of an epoch that stay clean: half of one more counts as one."""
        return int(np.floor(float(np.float32(self.clean_share) * np.float32(self.N)) + 0.5))
