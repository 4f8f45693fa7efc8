/* SPDX-License-Identifier: Apache-2.0 */
#include "log_mel.h"
#include "log_mel_frame.h"

void ac_log_mel_fwd_s16(float *restrict y, const int16_t *restrict x, const float *restrict window,
                        const float *restrict twiddle, const float *restrict split,
                        const int16_t *restrict order, const float *restrict weights,
                        const int16_t *restrict span, float *restrict scratch, int32_t N, int32_t T,
                        int32_t F, int32_t M, int32_t W, int32_t hop, int32_t fft_size, int32_t rows,
                        float log_floor, int32_t core, int32_t cores) {
    /* Two words more: the scratch of each core begins in another bank of a memory with 2^n banks. */
    float *const z = scratch + core * (fft_size + fft_size / 2 / ac_fft_radix(fft_size / 2) * rows + 2);
    const int32_t last = ac_split(N * F, core + 1, cores);
    for (int32_t f = ac_split(N * F, core, cores); f < last; f++) {
        const int16_t *const frame = x + f / F * T + f % F * hop;
        for (int32_t i = 0; i < W; i++)
            z[i] = (float)frame[i] * window[i];
        ac_log_mel_frame(y + f * M, z, z + fft_size, twiddle, split, order, weights, span, M, W, fft_size,
                         rows, log_floor);
    }
}
