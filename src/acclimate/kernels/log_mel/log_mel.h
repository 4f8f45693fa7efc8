/* SPDX-License-Identifier: Apache-2.0 */
/* Log-mel energies of sound.
 *
 * Frame f of a clip holds the W samples from f * hop on; F = (T - W) / hop + 1 or fewer. With
 *   P[k] = |sum over i < W of x[i] window[i] exp(-2 pi j i k / fft_size)|^2, zeros behind the W samples,
 *   y[m] = ln(log_floor + sum over the bins k of band m of P[k] times their weights).
 * fft_size is a power of two of at least 32 and W; log_floor is a normal number.
 *
 * The transform is one of fft_size / 2 = 4^a * R complex points, R 4 or 8: pairs of samples are its points.
 * The caller gives the numbers that only depend on the sizes (tables.py):
 *   twiddle[J,2,2]  w and w^2 of w = exp(-2 pi j n / points), n < J = points / 4, as re, im;
 *   split[K,2]      exp(-2 pi j k / fft_size) of the bins k < K, all that have a weight; K <= points;
 *   order[S]        the numbers below S = points / R with their digits to the base 4 reversed;
 *   weights[B]      of the bins of band 0, band 1, ...;
 *   span[M,2]       the first bin of each band, and how many.
 * `scratch` holds fft_size + max(K - points / 2, 0) + 2 words per core.
 *
 * Arrays are row-major and do not overlap. Every core calls the function with its number `core` of `cores`
 * and computes its share of the frames. A sample that is NaN makes all bands of its frames NaN. */
#ifndef AC_LOG_MEL_H
#define AC_LOG_MEL_H

#include "../ac.h"

/* y[N,F,M] of samples x[N,T] as numbers. */
void ac_log_mel_fwd_f32(float *restrict y, const float *restrict x, const float *restrict window,
                        const float *restrict twiddle, const float *restrict split,
                        const int16_t *restrict order, const float *restrict weights,
                        const int16_t *restrict span, float *restrict scratch, int32_t N, int32_t T,
                        int32_t F, int32_t M, int32_t W, int32_t K, int32_t hop, int32_t fft_size,
                        float log_floor, int32_t core, int32_t cores);

/* The same of 16-bit integers. */
void ac_log_mel_fwd_s16(float *restrict y, const int16_t *restrict x, const float *restrict window,
                        const float *restrict twiddle, const float *restrict split,
                        const int16_t *restrict order, const float *restrict weights,
                        const int16_t *restrict span, float *restrict scratch, int32_t N, int32_t T,
                        int32_t F, int32_t M, int32_t W, int32_t K, int32_t hop, int32_t fft_size,
                        float log_floor, int32_t core, int32_t cores);

#endif
