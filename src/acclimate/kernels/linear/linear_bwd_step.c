/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

void ac_linear_bwd_step_f32(float *restrict w, float *restrict b, float *restrict dx,
                            const float *restrict dy, const float *restrict x, float lr, int32_t N, int32_t C,
                            int32_t K, float weight_decay, int32_t accumulate, int32_t core, int32_t cores) {
    const int32_t first = ac_split(C, core, cores), last = ac_split(C, core + 1, cores);
    const int32_t k1 = ac_split(K, core + 1, cores);
    const float keep = 1.0f - lr * weight_decay;
    for (int32_t n = 0; n < N && !accumulate; n++)
        for (int32_t c = first; c < last; c++)
            dx[n * C + c] = 0.0f;
    for (int32_t k = 0; k < K; k++) {
        for (int32_t n = 0; n < N; n++)
            for (int32_t c = first; c < last; c++)
                dx[n * C + c] += dy[n * K + k] * w[k * C + c];
        for (int32_t n = 0; n < N; n++)
            for (int32_t c = first; c < last; c++)
                w[k * C + c] =
                    ac_blend(w[k * C + c], x[n * C + c], n == 0 ? keep : 1.0f, -lr * dy[n * K + k]);
    }
    for (int32_t k = ac_split(K, core, cores); b != NULL && k < k1; k++)
        for (int32_t n = 0; n < N; n++)
            b[k] = ac_blend(b[k], dy[n * K + k], n == 0 ? keep : 1.0f, -lr);
}
