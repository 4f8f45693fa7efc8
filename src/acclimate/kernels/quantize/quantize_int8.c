/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize.h"

/* NOTE: a comparison with NaN is false. Scaling and rounding are two statements, so that no compiler makes
 * one operation of them. */
static inline int32_t nearest(float v, float factor, int32_t lo) {
    const float scaled = v * factor;
    const float above = scaled > (float)lo ? scaled : (float)lo;
    const float inside = above < (float)(lo + 255) ? above : (float)(lo + 255);
    return (int32_t)(inside < 0.0f ? inside - 0.5f : inside + 0.5f);
}

void ac_quantize_fwd_int8(void *restrict y, const float *restrict x, int32_t N, int32_t C, int32_t H,
                          int32_t W, int32_t U, int32_t V, float factor, int32_t top, int32_t left,
                          int32_t lo, int32_t core, int32_t cores) {
    uint8_t *const out = y;
    const int32_t last = ac_split(N * U, core + 1, cores);
    for (int32_t i = ac_split(N * U, core, cores); i < last; i++) {
        const int32_t n = i / U;
        const int32_t h = i % U - top;
        for (int32_t v = 0; v < V; v++) {
            const int32_t w = v - left;
            const int32_t inside = h >= 0 && h < H && w >= 0 && w < W;
            for (int32_t c = 0; c < C; c++) {
                const int32_t from = ((n * C + c) * H + h) * W + w;
                out[(i * V + v) * C + c] = (uint8_t)(inside ? nearest(x[from], factor, lo) : 0);
            }
        }
    }
}
