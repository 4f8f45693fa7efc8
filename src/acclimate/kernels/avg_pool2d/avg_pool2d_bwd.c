/* SPDX-License-Identifier: Apache-2.0 */
#include "avg_pool2d.h"

void ac_avg_pool2d_bwd_f32(float *restrict dx, const float *restrict dy, int32_t N, int32_t C, int32_t H,
                           int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                           int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t pad_bottom,
                           int32_t pad_right, int32_t count_include_pad, int32_t divisor, int32_t core,
                           int32_t cores) {
    const int32_t bottom = H + (count_include_pad ? pad_bottom : 0);
    const int32_t right = W + (count_include_pad ? pad_right : 0);
    const int32_t last = ac_split(N * C, core + 1, cores);
    for (int32_t i = ac_split(N * C, core, cores); i < last; i++) {
        float *plane = dx + i * H * W; /* [H,W] */
        for (int32_t j = 0; j < H * W; j++)
            plane[j] = 0.0f;
        for (int32_t p = 0; p < P; p++) {
            const int32_t h0 = p * stride_h - pad_top;
            const int32_t r0 = ac_max_i32(0, -h0), r1 = ac_min_i32(R, H - h0);
            const int32_t high = ac_min_i32(R, bottom - h0) - (count_include_pad ? 0 : r0);
            for (int32_t q = 0; q < Q; q++) {
                const int32_t w0 = q * stride_w - pad_left;
                const int32_t s0 = ac_max_i32(0, -w0), s1 = ac_min_i32(S, W - w0);
                const int32_t wide = ac_min_i32(S, right - w0) - (count_include_pad ? 0 : s0);
                const float share = dy[(i * P + p) * Q + q] / (float)(divisor != 0 ? divisor : high * wide);
                for (int32_t r = r0; r < r1; r++)
                    for (int32_t s = s0; s < s1; s++)
                        plane[(h0 + r) * W + w0 + s] += share;
            }
        }
    }
}
