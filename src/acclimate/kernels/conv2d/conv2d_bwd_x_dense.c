/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d.h"
#include "conv2d_phase.h"

void ac_conv2d_bwd_x_f32_dense(float *restrict dx, const float *restrict dy, const float *restrict w,
                               const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                               int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                               int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                               int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                               int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    const int32_t first = ac_split(C, core, cores), last = ac_split(C, core + 1, cores);
    const int32_t rows = (H + stride_h - 1) / stride_h + (R - 1) * dilation_h / stride_h;
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS], bias[AC_ROWS];
    ac_phase phase;
    scratch += core * (K * S * rows * ((W + stride_w - 1) / stride_w) + AC_COLUMNS);
    for (int32_t p = 0; p < stride_h * stride_w; p++) {
        ac_gradient_phase(&phase, &v, p / stride_w, p % stride_w);
        for (int32_t n = 0; n < N; n++) {
            for (int32_t k = 0; k < K; k++)
                ac_fill_phase(scratch + k * phase.channel, dy + (n * K + k) * P * Q, &phase);
            for (int32_t j = 0; j < phase.H * phase.W; j += AC_COLUMNS)
                for (int32_t c = first; c < last; c += AC_ROWS) {
                    float *dxc = dx + (n * C + c) * H * W;
                    ac_tile_rows(row, c, last, R * S);
                    ac_tile_bias(bias, b, c, last);
                    ac_tile_product(tile, w, row, phase.tap_w, C * R * S, scratch + j, phase.tap,
                                    phase.channel, phase.taps, K);
                    ac_tile_clamp(tile, bias, lo, hi);
                    if (stride_h * stride_w == 1)
                        ac_tile_store(dxc + j, H * W, tile, last - c, H * W - j);
                    else
                        for (int32_t i = 0; i < AC_ROWS && i < last - c; i++)
                            ac_scatter_phase(dxc + i * H * W, tile[i], &phase, &v, j,
                                             ac_min_i32(AC_COLUMNS, phase.H * phase.W - j));
                }
        }
    }
}
