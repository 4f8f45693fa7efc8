/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

void ac_linear_fwd_f32_block(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, int32_t N, int32_t C, int32_t K, float lo, float hi,
                             int32_t core, int32_t cores) {
    const int32_t last = ac_split(K, core + 1, cores);
    for (int32_t k0 = ac_split(K, core, cores); k0 < last; k0 += 4) {
        /* behind the last row: that row again */
        const int32_t k1 = ac_min_i32(k0 + 1, last - 1), k2 = ac_min_i32(k0 + 2, last - 1),
                      k3 = ac_min_i32(k0 + 3, last - 1);
        const float *w0 = w + k0 * C, *w1 = w + k1 * C, *w2 = w + k2 * C, *w3 = w + k3 * C;
        for (int32_t n = 0; n < N; n++) {
            const float *xn = x + n * C;
            float sum0 = 0.0f, sum1 = 0.0f, sum2 = 0.0f, sum3 = 0.0f;
            int32_t c = 0;
            for (; c + 4 <= C; c += 4)
                for (int32_t j = c; j < c + 4; j++) {
                    sum0 += xn[j] * w0[j];
                    sum1 += xn[j] * w1[j];
                    sum2 += xn[j] * w2[j];
                    sum3 += xn[j] * w3[j];
                }
            for (; c < C; c++) {
                sum0 += xn[c] * w0[c];
                sum1 += xn[c] * w1[c];
                sum2 += xn[c] * w2[c];
                sum3 += xn[c] * w3[c];
            }
            y[n * K + k0] = ac_clampf(b == NULL ? sum0 : sum0 + b[k0], lo, hi);
            y[n * K + k1] = ac_clampf(b == NULL ? sum1 : sum1 + b[k1], lo, hi);
            y[n * K + k2] = ac_clampf(b == NULL ? sum2 : sum2 + b[k2], lo, hi);
            y[n * K + k3] = ac_clampf(b == NULL ? sum3 : sum3 + b[k3], lo, hi);
        }
    }
}
