/* SPDX-License-Identifier: Apache-2.0 */
#include "../ac_tile.h"
#include "conv2d.h"
#include "conv2d_phase.h"

/* Stores tiles of dx[C/groups,H,W] of one group and sample for the cells of a phase; `panels` are those of
 * its dy. */
static void conv2d_dense_phase(float *restrict dx, const float *restrict panels, const float *restrict w,
                               const float *restrict b, const ac_phase *phase, const ac_conv2d *v, float lo,
                               float hi, int32_t core, int32_t cores) {
    const int32_t c_group = v->C / v->groups, k_group = v->K / v->groups, area = v->R * v->S;
    const int32_t first = ac_split(c_group, core, cores), last = ac_split(c_group, core + 1, cores);
    const int32_t plane = v->H * v->W, cells = phase->H * phase->W;
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS], bias[AC_ROWS];
    for (int32_t j = 0; j < cells; j += AC_COLUMNS)
        for (int32_t c = first; c < last; c += AC_ROWS) {
            ac_tile_rows(row, c, last, area);
            ac_tile_bias(bias, b, c, last);
            ac_tile_product(tile, w, row, phase->panels.tap_w, c_group * area, panels + j, phase->panels.tap,
                            phase->panels.words, phase->panels.taps, k_group);
            ac_tile_clamp(tile, bias, lo, hi);
            if (cells == plane)
                ac_tile_store(dx + c * plane + j, plane, tile, last - c, plane - j);
            else
                for (int32_t i = 0; i < AC_ROWS && i < last - c; i++)
                    ac_scatter_phase(dx + (c + i) * plane, tile[i], phase, v, j,
                                     ac_min_i32(AC_COLUMNS, cells - j));
        }
}

void ac_conv2d_bwd_x_f32_dense(float *restrict dx, const float *restrict dy, const float *restrict w,
                               const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                               int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                               int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                               int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                               int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    const int32_t c_group = C / groups, k_group = K / groups;
    const int32_t rows = (H + stride_h - 1) / stride_h + (R - 1) * dilation_h / stride_h;
    ac_phase phase;
    scratch += core * (k_group * S * rows * ((W + stride_w - 1) / stride_w) + AC_COLUMNS);
    for (int32_t p = 0; p < stride_h * stride_w; p++) {
        ac_gradient_phase(&phase, &v, p / stride_w, p % stride_w);
        for (int32_t i = 0; i < N * groups; i++) {
            const int32_t g = i % groups;
            for (int32_t k = 0; k < k_group; k++) {
                ac_clear_panels(scratch + k * phase.panels.words, &phase.panels);
                ac_fill_panels(scratch + k * phase.panels.words, dy + (i * k_group + k) * P * Q,
                               &phase.panels);
            }
            conv2d_dense_phase(dx + i * c_group * H * W, scratch, w + g * k_group * c_group * R * S,
                               b == NULL ? NULL : b + g * c_group, &phase, &v, lo, hi, core, cores);
        }
    }
}
