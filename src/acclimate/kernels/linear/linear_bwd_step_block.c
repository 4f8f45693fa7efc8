/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

enum { LINEAR_COLUMNS = 8 };

/* Four words of a row of w: sum += d * w, then w = keep * w + d * slope. */
static inline void linear_four(float *restrict w, float *restrict sum, const float *restrict slope, float d,
                               float keep) {
    float v[4];
    for (int32_t c = 0; c < 4; c++)
        v[c] = w[c];
    for (int32_t c = 0; c < 4; c++) {
        sum[c] += d * v[c];
        v[c] = d * slope[c] + keep * v[c];
    }
    for (int32_t c = 0; c < 4; c++)
        w[c] = v[c];
}

/* Columns 0 to 7 of w[K,C]: dx = dy * w, then w = keep * w + scale * dy * x; x and dx are in registers. */
static void linear_columns(float *restrict w, float *restrict dx, const float *restrict dy,
                           const float *restrict x, int32_t C, int32_t K, float keep, float scale,
                           int32_t accumulate) {
    float slope[LINEAR_COLUMNS], sum[LINEAR_COLUMNS];
    int32_t k = 0;
    for (int32_t c = 0; c < LINEAR_COLUMNS; c++) {
        slope[c] = scale * x[c];
        sum[c] = accumulate ? dx[c] : 0.0f;
    }
    for (; keep == 1.0f && k < K; k++, w += C) { /* the usual case, without a product */
        linear_four(w, sum, slope, dy[k], 1.0f);
        linear_four(w + 4, sum + 4, slope + 4, dy[k], 1.0f);
    }
    for (; k < K; k++, w += C) {
        linear_four(w, sum, slope, dy[k], keep);
        linear_four(w + 4, sum + 4, slope + 4, dy[k], keep);
    }
    for (int32_t c = 0; c < LINEAR_COLUMNS; c++)
        dx[c] = sum[c];
}

/* Column 0 likewise. */
static void linear_column(float *restrict w, float *restrict dx, const float *restrict dy, float slope,
                          int32_t C, int32_t K, float keep, int32_t accumulate) {
    float sum = accumulate ? *dx : 0.0f;
    for (int32_t k = 0; k < K; k++, w += C) {
        const float v = *w;
        sum += dy[k] * v;
        *w = dy[k] * slope + keep * v;
    }
    *dx = sum;
}

void ac_linear_bwd_step_f32_block(float *restrict w, float *restrict b, float *restrict dx,
                                  const float *restrict dy, const float *restrict x, float lr, int32_t N,
                                  int32_t C, int32_t K, float weight_decay, int32_t accumulate, int32_t core,
                                  int32_t cores) {
    const int32_t last = ac_split(C, core + 1, cores), k1 = ac_split(K, core + 1, cores);
    const float keep = 1.0f - lr * weight_decay;
    int32_t c = ac_split(C, core, cores);
    (void)N; /* 1 */
    for (; c + LINEAR_COLUMNS <= last; c += LINEAR_COLUMNS)
        linear_columns(w + c, dx + c, dy, x + c, C, K, keep, -lr, accumulate);
    for (; c < last; c++)
        linear_column(w + c, dx + c, dy, -lr * x[c], C, K, keep, accumulate);
    for (int32_t k = ac_split(K, core, cores); b != NULL && k < k1; k++)
        b[k] = ac_blend(b[k], dy[k], keep, -lr);
}
