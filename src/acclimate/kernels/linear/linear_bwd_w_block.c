/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

/* w[K,0:4] = add * w + scale * dy[K] * x[0:4]; the rows of w are C apart; add is 0 or 1. */
static inline void linear_columns(float *restrict w, const float *restrict dy, const float *restrict x,
                                  int32_t C, int32_t K, float scale, int32_t add) {
    const float x0 = scale * x[0], x1 = scale * x[1], x2 = scale * x[2], x3 = scale * x[3];
    for (int32_t k = 0; k < K; k++, w += C) {
        const float slope = dy[k];
        w[0] = add ? w[0] + slope * x0 : slope * x0;
        w[1] = add ? w[1] + slope * x1 : slope * x1;
        w[2] = add ? w[2] + slope * x2 : slope * x2;
        w[3] = add ? w[3] + slope * x3 : slope * x3;
    }
}

/* w[K,0] likewise. */
static inline void linear_column(float *restrict w, const float *restrict dy, float x, int32_t C, int32_t K,
                                 float scale, int32_t add) {
    for (int32_t k = 0; k < K; k++)
        w[k * C] = add ? w[k * C] + scale * x * dy[k] : scale * x * dy[k];
}

/* Both outputs become keep * old + scale * gradient. */
static void linear_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                            const float *restrict x, int32_t N, int32_t C, int32_t K, float keep, float scale,
                            int32_t core, int32_t cores) {
    const int32_t k0 = ac_split(K, core, cores), k1 = ac_split(K, core + 1, cores);
    const int32_t by_row = K >= 4 * cores; /* else each core has some columns of all rows */
    const int32_t row = by_row ? k0 : 0, rows = by_row ? k1 - k0 : K;
    const int32_t first = by_row ? 0 : ac_split(C, core, cores);
    const int32_t last = by_row ? C : ac_split(C, core + 1, cores), blocks = (last - first) / 4;
    float *part = w + row * C; /* [rows,C] */
    for (int32_t k = 0; keep != 0.0f && keep != 1.0f && k < rows; k++)
        for (int32_t c = first; c < last; c++)
            part[k * C + c] *= keep;
    for (int32_t n = 0; n < N; n++) {
        const int32_t add = n > 0 || keep != 0.0f;
        const float *dyn = dy + n * K + row, *xn = x + n * C;
        /* NOTE: rows of 2^n words begin in one memory bank, so that every core begins at another column. */
        for (int32_t i = 0, j = core; i < blocks; i++, j++) {
            j = j < blocks ? j : j % blocks;
            const int32_t c = first + 4 * j;
            if (add)
                linear_columns(part + c, dyn, xn + c, C, rows, scale, 1);
            else
                linear_columns(part + c, dyn, xn + c, C, rows, scale, 0);
        }
        for (int32_t c = first + 4 * blocks; c < last; c++)
            linear_column(part + c, dyn, xn[c], C, rows, scale, add);
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
