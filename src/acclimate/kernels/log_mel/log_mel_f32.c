/* SPDX-License-Identifier: Apache-2.0 */
#include "log_mel.h"

typedef float ac_sample;
typedef union {
    float at[2];
} ac_pair;

static inline ac_pair ac_pair_at(const ac_pair *from) {
    return *from;
}

#include "log_mel_blocks.h"

void ac_log_mel_fwd_f32(float *restrict y, const float *restrict x, const float *restrict window,
                        const float *restrict twiddle, const float *restrict split,
                        const int16_t *restrict order, const float *restrict weights,
                        const int16_t *restrict span, float *restrict scratch, int32_t N, int32_t T,
                        int32_t F, int32_t M, int32_t W, int32_t K, int32_t hop, int32_t fft_size,
                        float log_floor, int32_t core, int32_t cores) {
    /* Two words more: the scratch of each core begins in another bank of a memory of 2^n banks. */
    float *const z = scratch + core * (fft_size + ac_max_i32(K - fft_size / 4, 0) + 2);
    const int32_t last = ac_split(N * F, core + 1, cores);
    for (int32_t f = ac_split(N * F, core, cores); f < last; f++) {
        ac_log_mel_blocks(z, x + f / F * T + f % F * hop, window, order, W, fft_size / 2);
        ac_log_mel_frame(y + f * M, z, twiddle, split, weights, span, M, fft_size, K, log_floor);
    }
}
