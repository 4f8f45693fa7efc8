/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

void ac_linear_fwd_f32(float *restrict y, const float *restrict x, const float *restrict w,
                       const float *restrict b, int32_t N, int32_t C, int32_t K, float lo, float hi,
                       int32_t core, int32_t cores) {
    const int32_t last = ac_split(K, core + 1, cores);
    for (int32_t k = ac_split(K, core, cores); k < last; k++)
        for (int32_t n = 0; n < N; n++) {
            float sum = b == NULL ? 0.0f : b[k];
            for (int32_t c = 0; c < C; c++)
                sum += x[n * C + c] * w[k * C + c];
            y[n * K + k] = ac_clampf(sum, lo, hi);
        }
}
