/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

/* Four rows of w, C apart, become keep * w + (a, b, c, d) * x. */
static inline void linear_four_rows(float *restrict w, const float *restrict x, float a, float b, float c,
                                    float d, int32_t C, int32_t count, float keep) {
    float *wa = w, *wb = wa + C, *wc = wb + C, *wd = wc + C;
    for (int32_t i = 0; i < count; i++) {
        /* NOTE: all loads come first: the compiler cannot know that the rows are apart. */
        const float v = x[i], old_a = wa[i], old_b = wb[i], old_c = wc[i], old_d = wd[i];
        wa[i] = ac_blend(old_a, v, keep, a);
        wb[i] = ac_blend(old_b, v, keep, b);
        wc[i] = ac_blend(old_c, v, keep, c);
        wd[i] = ac_blend(old_d, v, keep, d);
    }
}

static inline void linear_one_row(float *restrict w, const float *restrict x, float slope, int32_t count,
                                  float keep) {
    for (int32_t i = 0; i < count; i++)
        w[i] = ac_blend(w[i], x[i], keep, slope);
}

/* w[K,from:to] = keep * w + scale * dy[K] * x[from:to]; the rows of w and x are C long. */
static inline void linear_rows(float *restrict w, const float *restrict dy, const float *restrict x,
                               int32_t C, int32_t K, int32_t from, int32_t to, float keep, float scale) {
    int32_t k = 0;
    for (; k + 4 <= K; k += 4)
        linear_four_rows(w + k * C + from, x + from, scale * dy[k], scale * dy[k + 1], scale * dy[k + 2],
                         scale * dy[k + 3], C, to - from, keep);
    for (; k < K; k++)
        linear_one_row(w + k * C + from, x + from, scale * dy[k], to - from, keep);
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
    const int32_t turn = ac_min_i32(first + 5 * core, last);
    for (int32_t n = 0; n < N; n++) {
        const float kept = n == 0 ? keep : 1.0f;
        for (int32_t part = 0; part < 2; part++) {
            const int32_t from = part == 0 ? turn : first, to = part == 0 ? last : turn;
            if (kept == 0.0f)
                linear_rows(w + row * C, dy + n * K + row, x + n * C, C, rows, from, to, 0.0f, scale);
            else if (kept == 1.0f)
                linear_rows(w + row * C, dy + n * K + row, x + n * C, C, rows, from, to, 1.0f, scale);
            else
                linear_rows(w + row * C, dy + n * K + row, x + n * C, C, rows, from, to, kept, scale);
        }
        for (int32_t k = k0; b != NULL && k < k1; k++)
            b[k] = ac_blend(b[k], dy[n * K + k], kept, scale);
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
