/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

/* Both outputs become keep * old + scale * gradient. */
static void linear_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                            const float *restrict x, int32_t N, int32_t C, int32_t K, float keep, float scale,
                            int32_t core, int32_t cores) {
    const int32_t last = ac_split(K, core + 1, cores);
    for (int32_t k = ac_split(K, core, cores); k < last; k++)
        for (int32_t n = 0; n < N; n++) {
            const float kept = n == 0 ? keep : 1.0f, slope = scale * dy[n * K + k];
            for (int32_t c = 0; c < C; c++)
                w[k * C + c] = ac_blend(w[k * C + c], x[n * C + c], kept, slope);
            if (b != NULL)
                b[k] = ac_blend(b[k], 1.0f, kept, slope);
        }
}

void ac_linear_bwd_w_f32(float *restrict dw, float *restrict db, const float *restrict dy,
                         const float *restrict x, int32_t N, int32_t C, int32_t K, int32_t accumulate,
                         int32_t core, int32_t cores) {
    linear_gradient(dw, db, dy, x, N, C, K, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_linear_step_f32(float *restrict w, float *restrict b, const float *restrict dy,
                        const float *restrict x, float lr, int32_t N, int32_t C, int32_t K,
                        float weight_decay, int32_t core, int32_t cores) {
    linear_gradient(w, b, dy, x, N, C, K, 1.0f - lr * weight_decay, -lr, core, cores);
}
