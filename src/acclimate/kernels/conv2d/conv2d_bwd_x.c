/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d.h"

void ac_conv2d_bwd_x_f32(float *restrict dx, const float *restrict dy, const float *restrict w,
                         const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                         int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                         int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                         int32_t groups, float lo, float hi, int32_t core, int32_t cores) {
    const int32_t c_group = C / groups, k_group = K / groups;
    const int32_t last = ac_split(N * C * H, core + 1, cores);
    for (int32_t row = ac_split(N * C * H, core, cores); row < last; row++) {
        const int32_t n = row / (C * H), c = row / H % C, h = row % H, k0 = c / c_group * k_group;
        const float *dyg = dy + (n * K + k0) * P * Q;               /* [K/groups,P,Q] */
        const float *wg = w + (k0 * c_group + c % c_group) * R * S; /* [K/groups] steps of [C/groups,R,S] */
        for (int32_t v = 0; v < W; v++) {
            float sum = b == NULL ? 0.0f : b[c];
            for (int32_t r = 0; r < R; r++) {
                const int32_t p = ac_whole(h + pad_top - r * dilation_h, stride_h, P);
                for (int32_t s = 0; p >= 0 && s < S; s++) {
                    const int32_t q = ac_whole(v + pad_left - s * dilation_w, stride_w, Q);
                    for (int32_t k = 0; q >= 0 && k < k_group; k++)
                        sum += dyg[(k * P + p) * Q + q] * wg[(k * c_group * R + r) * S + s];
                }
            }
            dx[row * W + v] = ac_clampf(sum, lo, hi);
        }
    }
}
