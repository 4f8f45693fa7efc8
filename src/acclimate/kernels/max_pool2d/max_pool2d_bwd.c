/* SPDX-License-Identifier: Apache-2.0 */
#include "max_pool2d.h"

void ac_max_pool2d_bwd_f32(float *restrict dx, const float *restrict dy, const uint8_t *restrict index,
                           int32_t N, int32_t C, int32_t H, int32_t W, int32_t R, int32_t S, int32_t P,
                           int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                           int32_t dilation_h, int32_t dilation_w, int32_t core, int32_t cores) {
    (void)R;
    const int32_t last = ac_split(N * C, core + 1, cores);
    for (int32_t i = ac_split(N * C, core, cores); i < last; i++) {
        float *plane = dx + i * H * W; /* [H,W] */
        for (int32_t j = 0; j < H * W; j++)
            plane[j] = 0.0f;
        for (int32_t p = 0; p < P; p++)
            for (int32_t q = 0; q < Q; q++) {
                const int32_t r = index[(i * P + p) * Q + q] / S, s = index[(i * P + p) * Q + q] % S;
                const int32_t h = p * stride_h - pad_top + r * dilation_h;
                plane[h * W + q * stride_w - pad_left + s * dilation_w] += dy[(i * P + p) * Q + q];
            }
    }
}
