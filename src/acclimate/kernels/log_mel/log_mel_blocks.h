/* SPDX-License-Identifier: Apache-2.0 */
/* The first step of the transform of a frame, from samples of the type ac_sample and pairs of them, ac_pair,
 * which the file that includes this one defines. */
#ifndef AC_LOG_MEL_BLOCKS_H
#define AC_LOG_MEL_BLOCKS_H

#include "log_mel_frame.h"

/* v[i] = sample number at + i * step, windowed, and the one behind it, i < count; zero from W on. */
static inline void ac_log_mel_points(float *restrict v, const ac_sample *restrict x,
                                     const float *restrict window, int32_t at, int32_t step, int32_t count,
                                     int32_t W) {
    for (int32_t i = 0; i < count; i++, at += step) {
        v[2 * i] = at < W ? (float)x[at] * window[at] : 0.0f;
        v[2 * i + 1] = at + 1 < W ? (float)x[at + 1] * window[at + 1] : 0.0f;
    }
}

/* Block order[s] of z[points] = transform of the R pairs of samples s, s + S, s + 2 S, ... */
static inline void ac_log_mel_blocks(float *restrict z, const ac_sample *restrict x,
                                     const float *restrict window, const int16_t *restrict order, int32_t W,
                                     int32_t points) {
    const int32_t radix = ac_fft_radix(points), S = points / radix;
    float v[16];
    if (radix == 8 && W == 10 * S && (uintptr_t)x % 4 == 0) {
        /* Five of eight: 640 of 1024 samples. Without tests, and without products of zeros. */
        for (int32_t s = 0; s < S; s++) {
            const ac_pair *const pairs = (const ac_pair *)x + s;
            const float *const w = window + 2 * s;
            for (int32_t i = 0; i < 5; i++) {
                const ac_pair pair = ac_pair_at(pairs + S * i);
                v[2 * i] = (float)pair.at[0] * w[2 * S * i];
                v[2 * i + 1] = (float)pair.at[1] * w[2 * S * i + 1];
            }
            ac_fft_eight(z + 16 * order[s], v, 5);
        }
        return;
    }
    for (int32_t s = 0; s < S; s++) {
        ac_log_mel_points(v, x, window, 2 * s, 2 * S, radix, W);
        if (radix == 8)
            ac_fft_eight(z + 16 * order[s], v, 8);
        else
            ac_fft_four(z + 8 * order[s], v, 1.0f, 1);
    }
}

#endif
