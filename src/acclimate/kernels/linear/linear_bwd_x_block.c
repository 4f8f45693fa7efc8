/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

/* dx[0:4] = dy[K] * w[K,0:4], whose rows are C words apart. */
static inline void linear_columns(float *restrict dx, const float *restrict dy, const float *restrict w,
                                  int32_t C, int32_t K) {
    float sum0 = 0.0f, sum1 = 0.0f, sum2 = 0.0f, sum3 = 0.0f;
    int32_t k = 0;
    for (; k + 4 <= K; k += 4)
        for (int32_t j = k; j < k + 4; j++, w += C) {
            sum0 += dy[j] * w[0];
            sum1 += dy[j] * w[1];
            sum2 += dy[j] * w[2];
            sum3 += dy[j] * w[3];
        }
    for (; k < K; k++, w += C) {
        sum0 += dy[k] * w[0];
        sum1 += dy[k] * w[1];
        sum2 += dy[k] * w[2];
        sum3 += dy[k] * w[3];
    }
    dx[0] = sum0;
    dx[1] = sum1;
    dx[2] = sum2;
    dx[3] = sum3;
}

void ac_linear_bwd_x_f32_block(float *restrict dx, const float *restrict dy, const float *restrict w,
                               int32_t N, int32_t C, int32_t K, int32_t core, int32_t cores) {
    const int32_t first = ac_split(C, core, cores), last = ac_split(C, core + 1, cores);
    for (int32_t n = 0; n < N; n++) {
        int32_t c = first;
        for (; last - first >= 4 && c < last; c += 4) {
            const int32_t at = ac_min_i32(c, last - 4); /* the last block may begin inside the one before */
            linear_columns(dx + n * C + at, dy + n * K, w + at, C, K);
        }
        for (; c < last; c++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < K; k++)
                sum += dy[n * K + k] * w[k * C + c];
            dx[n * C + c] = sum;
        }
    }
}
