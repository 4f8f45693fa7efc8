/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize.h"

/* Sum of `n` bytes, each turned by `flip`; two at a time, so that no load is waited for. */
static inline int32_t sum_of(const uint8_t *x, int32_t n, int32_t step, uint32_t flip) {
    int32_t sum = 0;
    for (int32_t v = n / 2; v > 0; v--, x += 2 * step) {
        const uint32_t a = x[0];
        const uint32_t b = x[step];
        sum += (int32_t)(a ^ flip) + (int32_t)(b ^ flip);
    }
    return n % 2 ? sum + (int32_t)(*x ^ flip) : sum;
}

void ac_mean_fwd_int8(float *restrict y, const void *restrict x, int32_t N, int32_t C, int32_t U, int32_t V,
                      float factor, int32_t pixel, int32_t channel, int32_t lo, int32_t core, int32_t cores) {
    const uint8_t *const in = x;
    const int32_t last = ac_split(N * C, core + 1, cores);
    for (int32_t i = ac_split(N * C, core, cores); i < last; i++) {
        const uint8_t *const plane = in + i / C * U * V * C + i % C * channel;
        /* A constant leaves nothing to do for the sign where there is none. */
        const int32_t sum = lo == 0 ? sum_of(plane, U * V, pixel, 0) : sum_of(plane, U * V, pixel, 128);
        y[i] = factor * (float)(sum + U * V * lo);
    }
}
