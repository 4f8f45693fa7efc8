/* SPDX-License-Identifier: Apache-2.0 */
/* From the transforms of the blocks of a frame to its log-mel energies. */
#ifndef AC_LOG_MEL_FRAME_H
#define AC_LOG_MEL_FRAME_H

#include "log_mel_fft.h"

#include <math.h>

/* ln x of normal x > 0 within 1.25 units in the last place, or 2^-25 near x = 1; infinity and NaN stay.
 * x = 2^e (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2). The polynomial is a minimax fit (Lawson's iteration on
 * 400 Chebyshev nodes) with an error of 2^-24.9 of the logarithm; libm is slower, and another one on every
 * device. */
static inline float ac_ln_f32(float x) {
    union {
        float number;
        uint32_t bits;
    } word = {x};
    const uint32_t above = word.bits - 0x3f3504f3u; /* of sqrt(1/2) */
    const float e = (float)((int32_t)above >> 23);
    word.bits = (above & 0x007fffffu) + 0x3f3504f3u;
    const float f = word.number - 1.0f;
    float p = 0.08700435f;
    p = p * f - 0.14267486f;
    p = p * f + 0.14914769f;
    p = p * f - 0.16577585f;
    p = p * f + 0.19963063f;
    p = p * f - 0.25001338f;
    p = p * f + 0.3333391f;
    p = (p * f - 0.5f) * f * f;
    /* ln 2 in two parts: the product of an exponent with the 16 bits of the first one is exact. */
    const float ln = (p + e * 0x1.7f7d1cp-20f) + f + e * 0x1.62e4p-1f;
    return x < INFINITY ? ln : x;
}

/* y[M] of z[fft_size], which holds the transforms of the blocks, and behind it room for bins of the upper
 * half. */
static inline void ac_log_mel_frame(float *restrict y, float *z, const float *restrict twiddle,
                                    const float *restrict split, const float *restrict weights,
                                    const int16_t *restrict span, int32_t M, int32_t fft_size, int32_t bins,
                                    float log_floor) {
    const int32_t points = fft_size / 2;
    ac_fft_stages(z, twiddle, points);
    ac_fft_powers(z, z + fft_size, split, points, bins);
    for (int32_t m = 0; m < M; m++) {
        const float *const bin = z + span[2 * m];
        const int32_t count = span[2 * m + 1];
        float energy = 0.0f;
        for (int32_t k = 0; k < count; k++)
            energy += weights[k] * bin[k];
        weights += count;
        y[m] = ac_ln_f32(0.25f * energy + log_floor);
    }
}

#endif
