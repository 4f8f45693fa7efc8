/* SPDX-License-Identifier: Apache-2.0 */
#include "../ac_dots.h"
#include "conv2d.h"

/* Both outputs become keep * old + scale * gradient. */
static void conv2d_pointwise_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                                      const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                                      int32_t K, int32_t pixels, float keep, float scale, int32_t core,
                                      int32_t cores) {
    const int32_t first = ac_split(K, core, cores), last = ac_split(K, core + 1, cores), tap[1] = {0};
    float *turned = scratch + core * pixels * AC_COLUMNS; /* [pixels][AC_COLUMNS] */
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS];
    for (int32_t n = 0; n < N; n++) {
        const float *xn = x + n * C * pixels, *dyn = dy + n * K * pixels;
        const float kept = n == 0 ? keep : 1.0f;
        for (int32_t c = 0; c < C; c += AC_COLUMNS) {
            ac_turn(turned, xn + c * pixels, C - c, pixels);
            for (int32_t k = first; k < last; k += AC_ROWS) {
                ac_tile_rows(row, k, last, pixels);
                ac_tile_product(tile, dyn, row, tap, 1, turned, tap, AC_COLUMNS, 1, pixels);
                ac_tile_blend(w + k * C + c, C, tile, last - k, C - c, kept, scale);
            }
        }
        for (int32_t k = first; b != NULL && k < last; k++)
            b[k] = ac_blend(b[k], ac_sum(dyn + k * pixels, pixels), kept, scale);
    }
}

void ac_conv2d_bwd_w_f32_pointwise(float *restrict dw, float *restrict db, const float *restrict dy,
                                   const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                                   int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                   int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                   int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                   int32_t accumulate, int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;
    conv2d_pointwise_gradient(dw, db, dy, x, scratch, N, C, K, H * W, accumulate ? 1.0f : 0.0f, 1.0f, core,
                              cores);
}

void ac_conv2d_step_f32_pointwise(float *restrict w, float *restrict b, const float *restrict dy,
                                  const float *restrict x, float lr, float *restrict scratch, int32_t N,
                                  int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                  int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                  int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                  float weight_decay, int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;
    conv2d_pointwise_gradient(w, b, dy, x, scratch, N, C, K, H * W, 1.0f - lr * weight_decay, -lr, core,
                              cores);
}
