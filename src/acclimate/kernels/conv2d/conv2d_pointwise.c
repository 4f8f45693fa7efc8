/* SPDX-License-Identifier: Apache-2.0 */
#include "ac_tile.h"
#include "conv2d.h"

/* y[rows,pixels] = clamp(a * x[length,pixels] + b[rows]), a[i * row_a + k * step_a]; b may be NULL. */
static void multiply(float *restrict y, const float *restrict x, const float *restrict a,
                     const float *restrict b, float *restrict scratch, int32_t rows, int32_t length,
                     int32_t pixels, int32_t row_a, int32_t step_a, float lo, float hi, int32_t core,
                     int32_t cores) {
    const int32_t first = ac_split(rows, core, cores), last = ac_split(rows, core + 1, cores);
    const int32_t whole = pixels - pixels % AC_COLUMNS, tap[1] = {0};
    float *tail = scratch + core * length * AC_COLUMNS; /* [length][AC_COLUMNS]: a tile reads whole rows */
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS], bias[AC_ROWS];
    for (int32_t k = 0; whole < pixels && k < length; k++)
        for (int32_t j = 0; j < AC_COLUMNS; j++)
            tail[k * AC_COLUMNS + j] = whole + j < pixels ? x[k * pixels + whole + j] : 0.0f;
    for (int32_t j = 0; j < pixels; j += AC_COLUMNS)
        for (int32_t i = first; i < last; i += AC_ROWS) {
            ac_tile_rows(row, i, last, row_a);
            ac_tile_bias(bias, b, i, last);
            ac_tile_product(tile, a, row, tap, step_a, j < whole ? x + j : tail, tap,
                            j < whole ? pixels : AC_COLUMNS, 1, length);
            ac_tile_clamp(tile, bias, lo, hi);
            ac_tile_store(y + i * pixels + j, pixels, tile, last - i, pixels - j);
        }
}

void ac_conv2d_fwd_f32_pointwise(float *restrict y, const float *restrict x, const float *restrict w,
                                 const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                                 int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                 int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                 int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                                 int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;

    for (int32_t n = 0; n < N; n++)
        multiply(y + n * K * H * W, x + n * C * H * W, w, b, scratch, K, C, H * W, C, 1, lo, hi, core, cores);
}

void ac_conv2d_bwd_x_f32_pointwise(float *restrict dx, const float *restrict dy, const float *restrict w,
                                   const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                                   int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                   int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                   int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                   float lo, float hi, int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;

    for (int32_t n = 0; n < N; n++)
        multiply(dx + n * C * H * W, dy + n * K * H * W, w, b, scratch, C, K, H * W, 1, C, lo, hi, core,
                 cores);
}
