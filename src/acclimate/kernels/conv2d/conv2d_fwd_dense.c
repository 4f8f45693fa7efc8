/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d.h"
#include "conv2d_panel.h"

void ac_conv2d_fwd_f32_dense(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                             int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                             int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                             int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                             int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    const int32_t pixels = P * Q, first = ac_split(K, core, cores), last = ac_split(K, core + 1, cores);
    int32_t tap_w[AC_TAPS], row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS], bias[AC_ROWS];
    ac_panels panels;
    ac_input_panels(&panels, &v);
    for (int32_t t = 0; t < R * S; t++)
        tap_w[t] = t;
    scratch += core * (C * panels.channel + AC_COLUMNS);
    for (int32_t n = 0; n < N; n++) {
        for (int32_t c = 0; c < C; c++)
            ac_fill_panels(scratch + c * panels.channel, x + (n * C + c) * H * W, &panels);
        for (int32_t j = 0; j < pixels; j += AC_COLUMNS)
            for (int32_t k = first; k < last; k += AC_ROWS) {
                ac_tile_rows(row, k, last, C * R * S);
                ac_tile_bias(bias, b, k, last);
                ac_tile_product(tile, w, row, tap_w, R * S, scratch + j, panels.tap, panels.channel, R * S,
                                C);
                ac_tile_clamp(tile, bias, lo, hi);
                ac_tile_store(y + (n * K + k) * pixels + j, pixels, tile, last - k, pixels - j);
            }
    }
}
