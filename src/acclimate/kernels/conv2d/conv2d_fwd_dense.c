/* SPDX-License-Identifier: Apache-2.0 */
#include "../ac_tile.h"
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
    const int32_t c_group = C / groups, k_group = K / groups, pixels = P * Q;
    const int32_t first = ac_split(k_group, core, cores), last = ac_split(k_group, core + 1, cores);
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS], bias[AC_ROWS];
    ac_panels panels;
    ac_input_panels(&panels, &v);
    scratch += core * (c_group * panels.words + AC_COLUMNS);
    for (int32_t i = 0; i < N * groups; i++) {
        const int32_t k0 = i % groups * k_group;
        const float *xg = x + i * c_group * H * W, *wg = w + k0 * c_group * R * S;
        for (int32_t c = 0; c < c_group; c++) {
            ac_clear_panels(scratch + c * panels.words, &panels);
            ac_fill_panels(scratch + c * panels.words, xg + c * H * W, &panels);
        }
        for (int32_t j = 0; j < pixels; j += AC_COLUMNS)
            for (int32_t k = first; k < last; k += AC_ROWS) {
                ac_tile_rows(row, k, last, c_group * R * S);
                ac_tile_bias(bias, b, k0 + k, k0 + last);
                ac_tile_product(tile, wg, row, panels.tap_w, R * S, scratch + j, panels.tap, panels.words,
                                panels.taps, c_group);
                ac_tile_clamp(tile, bias, lo, hi);
                ac_tile_store(y + (i * k_group + k) * pixels + j, pixels, tile, last - k, pixels - j);
            }
    }
}
