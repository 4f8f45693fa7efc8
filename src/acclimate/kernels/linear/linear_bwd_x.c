/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

void ac_linear_bwd_x_f32(float *restrict dx, const float *restrict dy, const float *restrict w, int32_t N,
                         int32_t C, int32_t K, int32_t core, int32_t cores) {
    const int32_t first = ac_split(C, core, cores), last = ac_split(C, core + 1, cores);
    for (int32_t n = 0; n < N; n++) {
        for (int32_t c = first; c < last; c++)
            dx[n * C + c] = 0.0f;
        for (int32_t k = 0; k < K; k++)
            for (int32_t c = first; c < last; c++)
                dx[n * C + c] += dy[n * K + k] * w[k * C + c];
    }
}
