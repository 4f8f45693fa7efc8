/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize.h"

/* NOTE: a comparison with NaN is false. Scaling and rounding are two statements, so that no compiler makes
 * one operation of them. What is converted is positive, where dropping the fraction rounds down. */
static inline int32_t nearest(float v, float factor, int32_t lo) {
    const float scaled = v * factor;
    const float above = scaled > (float)lo ? scaled : (float)lo;
    const float inside = above < (float)(lo + 255) ? above : (float)(lo + 255);
    return (int32_t)(inside + (0.5f - (float)lo)) + lo;
}

void ac_quantize_fwd_int8(void *restrict y, const float *restrict x, int32_t N, int32_t C, int32_t H,
                          int32_t W, int32_t U, int32_t V, float factor, int32_t top, int32_t left,
                          int32_t lo, int32_t core, int32_t cores) {
    uint8_t *const out = y;
    const int32_t last = ac_split(N * U, core + 1, cores);
    for (int32_t i = ac_split(N * U, core, cores); i < last; i++) {
        uint8_t *const row = out + i * V * C;
        const int32_t h = i % U - top;
        for (int32_t v = 0; v < V * C; v++)
            row[v] = 0;
        for (int32_t c = 0; c < C && h >= 0 && h < H; c++) {
            const float *const from = x + ((i / U * C + c) * H + h) * W;
            for (int32_t w = 0; w < W; w++)
                row[(left + w) * C + c] = (uint8_t)nearest(from[w], factor, lo);
        }
    }
}
