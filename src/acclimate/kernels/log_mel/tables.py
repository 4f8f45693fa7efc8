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
        twiddle: powers of the roots of unity of the stages, [J,3,2].
        split: roots of unity that part even from odd samples, [S,rows,2].
        order: where the transform leaves the frequencies, [S,2].
        weights: of the bins of band after band, [B].
        span: first bin and number of bins of each band, [M,2].
        rows: bins that are computed, in units of S.
    """

    twiddle: F32
    split: F32
    order: S16
    weights: F32
    span: S16
    rows: int


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
    """
    weights, span = _compressed(filters)
    used = int((span[:, 0] + span[:, 1]).max(initial=1))
    rows = -(-used // blocks(fft_size))
    return LogMelTables(
        twiddle=_roots(fft_size // 2, np.outer(np.arange(fft_size // 8), [1, 2, 3])),
        split=_roots(fft_size, np.add.outer(np.arange(blocks(fft_size)), _steps(fft_size, rows))),
        order=_order(blocks(fft_size)),
        weights=weights,
        span=span,
        rows=rows,
    )


def _steps(fft_size: int, rows: int) -> npt.NDArray[np.int64]:
    return np.arange(rows) * blocks(fft_size)


def _roots(size: int, powers: npt.NDArray[np.int64]) -> F32:
    """exp(-2 pi j p / size) of each power p, as pairs re, im."""
    angle = -2.0 * np.pi * powers / size
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


def _order(count: int) -> S16:
    """[S,2]: numbers with reversed digits to the base 4, of s and of -s modulo S."""
    place = np.zeros(1, np.int64)
    while len(place) < count:  # one digit more: the new one is the most significant of s
        place = np.concatenate([4 * place + digit for digit in range(4)])
    return np.stack([place, place[-np.arange(count) % count]], axis=1).astype(np.int16)


def _compressed(filters: F64) -> tuple[F32, S16]:
    """Weights from the first to the last bin of each band that has any, and where they begin."""
    weights, span = [], []
    for band in filters.T.astype(np.float32):
        bins = np.flatnonzero(band)
        first, last = (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0)
        weights.append(band[first:last])
        span.append((first, last - first))
    return np.concatenate(weights), np.array(span, np.int16)
