/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

/* Lengths of the pieces in which rows are read. Short ones stay in vector registers; a matrix that fits no
 * cache wants long ones. */
enum { LINEAR_LONG = 256, LINEAR_MIDDLE = 64, LINEAR_SHORT = 8 };

/* Columns 0 to `columns` - 1 of w[K,C], a constant: dx = dy * w, then w = keep * w + scale * dy * x. */
static inline void linear_columns(float *restrict w, float *restrict dx, const float *restrict dy,
                                  const float *restrict x, int32_t C, int32_t K, float keep, float scale,
                                  const int32_t accumulate, const int32_t columns) {
    float slope[LINEAR_LONG], sum[LINEAR_LONG];
    for (int32_t c = 0; c < columns; c++) {
        slope[c] = scale * x[c];
        sum[c] = accumulate ? dx[c] : 0.0f;
    }
    for (int32_t k = 0; k < K; k++, w += C)
        for (int32_t c = 0; c < columns; c++) {
            const float v = w[c];
            sum[c] += dy[k] * v;
            w[c] = dy[k] * slope[c] + keep * v;
        }
    for (int32_t c = 0; c < columns; c++)
        dx[c] = sum[c];
}

void ac_linear_bwd_step_f32_lanes(float *restrict w, float *restrict b, float *restrict dx,
                                  const float *restrict dy, const float *restrict x, float lr, int32_t N,
                                  int32_t C, int32_t K, float weight_decay, int32_t accumulate, int32_t core,
                                  int32_t cores) {
    const int32_t last = ac_split(C, core + 1, cores), k1 = ac_split(K, core + 1, cores);
    const float keep = 1.0f - lr * weight_decay;
    int32_t c = ac_split(C, core, cores);
    (void)N; /* 1 */
    for (; c + LINEAR_LONG <= last; c += LINEAR_LONG)
        linear_columns(w + c, dx + c, dy, x + c, C, K, keep, -lr, accumulate, LINEAR_LONG);
    for (; c + LINEAR_MIDDLE <= last; c += LINEAR_MIDDLE)
        linear_columns(w + c, dx + c, dy, x + c, C, K, keep, -lr, accumulate, LINEAR_MIDDLE);
    for (; c + LINEAR_SHORT <= last; c += LINEAR_SHORT)
        linear_columns(w + c, dx + c, dy, x + c, C, K, keep, -lr, accumulate, LINEAR_SHORT);
    for (; c < last; c++)
        linear_columns(w + c, dx + c, dy, x + c, C, K, keep, -lr, accumulate, 1);
    for (int32_t k = ac_split(K, core, cores); b != NULL && k < k1; k++)
        b[k] = ac_blend(b[k], dy[k], keep, -lr);
}
