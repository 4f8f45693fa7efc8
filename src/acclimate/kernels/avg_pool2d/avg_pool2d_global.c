/* SPDX-License-Identifier: Apache-2.0 */
#include "../ac_dots.h"
#include "avg_pool2d.h"

void ac_avg_pool2d_fwd_f32_global(float *restrict y, const float *restrict x, int32_t N, int32_t C, int32_t H,
                                  int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                                  int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t pad_bottom,
                                  int32_t pad_right, int32_t count_include_pad, int32_t divisor, int32_t core,
                                  int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)pad_bottom, (void)pad_right, (void)count_include_pad;
    const int32_t last = ac_split(N * C, core + 1, cores);
    for (int32_t i = ac_split(N * C, core, cores); i < last; i++)
        y[i] = ac_sum(x + i * H * W, H * W) / (float)(divisor != 0 ? divisor : H * W);
}

void ac_avg_pool2d_bwd_f32_global(float *restrict dx, const float *restrict dy, int32_t N, int32_t C,
                                  int32_t H, int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q,
                                  int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                  int32_t pad_bottom, int32_t pad_right, int32_t count_include_pad,
                                  int32_t divisor, int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)pad_bottom, (void)pad_right, (void)count_include_pad;
    const int32_t last = ac_split(N * C, core + 1, cores);
    for (int32_t i = ac_split(N * C, core, cores); i < last; i++) {
        const float share = dy[i] / (float)(divisor != 0 ? divisor : H * W);
        for (int32_t j = 0; j < H * W; j++)
            dx[i * H * W + j] = share;
    }
}
