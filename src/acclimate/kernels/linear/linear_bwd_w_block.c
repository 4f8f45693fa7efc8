/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

/* Four rows of w, C apart, become add * w + (a, b, c, d) * x; add is 0 or 1. */
static inline void linear_four_rows(float *restrict w, const float *restrict x, float a, float b, float c,
                                    float d, int32_t C, int32_t count, int32_t add) {
    float *wa = w, *wb = wa + C, *wc = wb + C, *wd = wc + C;
    for (int32_t i = 0; i < count; i++) {
        /* NOTE: all loads come first: the compiler cannot know that the rows are apart. */
        const float v = x[i], old_a = wa[i], old_b = wb[i], old_c = wc[i], old_d = wd[i];
        wa[i] = add ? old_a + a * v : a * v;
        wb[i] = add ? old_b + b * v : b * v;
        wc[i] = add ? old_c + c * v : c * v;
        wd[i] = add ? old_d + d * v : d * v;
    }
}

/* w[K,from:to] = add * w + scale * dy[K] * x[from:to]; the rows of w and x are C long. */
static inline void linear_rows(float *restrict w, const float *restrict dy, const float *restrict x,
                               int32_t C, int32_t K, int32_t from, int32_t to, float scale, int32_t add) {
    int32_t k = 0;
    for (; k + 4 <= K; k += 4)
        linear_four_rows(w + k * C + from, x + from, scale * dy[k], scale * dy[k + 1], scale * dy[k + 2],
                         scale * dy[k + 3], C, to - from, add);
    for (; k < K; k++) {
        const float slope = scale * dy[k];
        for (int32_t i = from; i < to; i++)
            w[k * C + i] = add ? w[k * C + i] + slope * x[i] : slope * x[i];
    }
}

/* Both outputs become keep * old + scale * gradient. */
static void linear_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                            const float *restrict x, int32_t N, int32_t C, int32_t K, float keep, float scale,
                            int32_t core, int32_t cores) {
    const int32_t k0 = ac_split(K, core, cores), k1 = ac_split(K, core + 1, cores);
    const int32_t by_row = K >= 4 * cores; /* else each core has some columns of all rows */
    const int32_t row = by_row ? k0 : 0, rows = by_row ? k1 - k0 : K;
    const int32_t first = by_row ? 0 : ac_split(C, core, cores);
    const int32_t last = by_row ? C : ac_split(C, core + 1, cores);
    /* NOTE: rows of 2^n words begin in one memory bank; cores that begin at different columns do not wait. */
    const int32_t turn = ac_min_i32(first + 2 * core, last);
    float *block = w + row * C;
    for (int32_t k = 0; keep != 0.0f && keep != 1.0f && k < rows; k++)
        for (int32_t c = first; c < last; c++)
            block[k * C + c] *= keep;
    for (int32_t n = 0; n < N; n++) {
        const float *dyn = dy + n * K + row, *xn = x + n * C;
        for (int32_t part = 0; part < 2; part++) {
            const int32_t from = part == 0 ? turn : first, to = part == 0 ? last : turn;
            if (n == 0 && keep == 0.0f)
                linear_rows(block, dyn, xn, C, rows, from, to, scale, 0);
            else
                linear_rows(block, dyn, xn, C, rows, from, to, scale, 1);
        }
        for (int32_t k = k0; b != NULL && k < k1; k++)
            b[k] = ac_blend(b[k], dy[n * K + k], n == 0 ? keep : 1.0f, scale);
    }
}

void ac_linear_bwd_w_f32_block(float *restrict dw, float *restrict db, const float *restrict dy,
                               const float *restrict x, int32_t N, int32_t C, int32_t K, int32_t accumulate,
                               int32_t core, int32_t cores) {
    linear_gradient(dw, db, dy, x, N, C, K, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_linear_step_f32_block(float *restrict w, float *restrict b, const float *restrict dy,
                              const float *restrict x, float lr, int32_t N, int32_t C, int32_t K,
                              float weight_decay, int32_t core, int32_t cores) {
    linear_gradient(w, b, dy, x, N, C, K, 1.0f - lr * weight_decay, -lr, core, cores);
}
