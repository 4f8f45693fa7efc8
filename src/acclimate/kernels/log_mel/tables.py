# SPDX-License-Identifier: Apache-2.0
"""The constants of a log-mel kernel, which log_mel.h names: of sizes and filters alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
S16 = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class LogMelTables:
    """Operands of `log_mel_fwd`, by the names of its signature.

    Args:
        twiddle: w and w^2 of the roots of unity of the stages, [J,2,2].
        split: roots of unity that part even from odd samples, [K,2].
        order: numbers with reversed digits, [S].
        weights: of the bins of band after band, [B].
        span: first bin and number of bins of each band, [M,2].
    """

    twiddle: F32
    split: F32
    order: S16
    weights: F32
    span: S16


def last_radix(fft_size: int) -> int:
    """R of fft_size / 2 = 4^a * R: 4 or 8."""
    points = fft_size // 2
    while points > 8:
        points //= 4
    return points


def blocks(fft_size: int) -> int:
    """S: blocks of R points."""
    return fft_size // 2 // last_radix(fft_size)


def make_tables(fft_size: int, filters: F64) -> LogMelTables:
    """Everything but the window.

    Args:
        fft_size: a power of two, at least 32.
        filters: weight of every bin in every band, w[fft_size/2+1,M]; the last row is zero.

    Raises:
        ValueError: the bin of half the sample rate has a weight; the kernel does not compute it.
    """
    if filters[-1].any():
        raise ValueError(f"bin {fft_size // 2} has a weight")
    weights, span = _compressed(filters)
    bins = np.arange((span[:, 0] + span[:, 1]).max(initial=1))
    return LogMelTables(
        twiddle=_roots(fft_size // 2, np.multiply.outer(np.arange(fft_size // 8), [1, 2])),
        split=_roots(fft_size, bins),
        order=_reversed_digits(blocks(fft_size)),
        weights=weights,
        span=span,
    )


def _roots(size: int, powers: npt.NDArray[np.int64]) -> F32:
    """exp(-2 pi j p / size) of each power p, as pairs re, im."""
    angle = -2.0 * np.pi * powers / size
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


def _reversed_digits(count: int) -> S16:
    """The numbers below `count`, a power of 4, with their digits to the base 4 reversed."""
    numbers = np.zeros(1, np.int16)
    while len(numbers) < count:  # one digit more: the most significant, so the last one reversed
        numbers = np.concatenate([4 * numbers + digit for digit in range(4)])
    return numbers.astype(np.int16)


def _compressed(filters: F64) -> tuple[F32, S16]:
    """Weights from the first to the last bin of each band that has any, and where they begin."""
    weights, span = [], []
    for band in filters.T.astype(np.float32):
        bins = np.flatnonzero(band)
        first, last = (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0)
        weights.append(band[first:last])
        span.append((first, last - first))
    return np.concatenate(weights), np.array(span, np.int16)
