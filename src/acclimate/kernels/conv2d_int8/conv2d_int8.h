/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions of eight-bit integers with sums of 32 bits. x and y may have zeros around them, so that no
 * window leaves x: that of output (p, q) begins at row first_h + p * stride_h and column first_w + q *
 * stride_w. Output (p, q) is y at row top + p and column left + q; what else there is of y becomes zero. From
 * pixel to pixel of y there are y_pixel bytes and from channel to channel y_channel: it is pixels [N,U,V,K]
 * or planes [N,K,U,V]. scale[K,2] is the bias and the shift of a channel, see int8.h; x_lo and y_lo are 0 for
 * u8 and -128 for s8. Every core calls the function with its number `core` of `cores`. */
#ifndef AC_CONV2D_INT8_H
#define AC_CONV2D_INT8_H

#include "../int8.h"

/* y of pixels x[N,H,W,C] and kernels w[K,R,T]: S * C weights in a row, and zeros up to T. */
void ac_conv2d_fwd_int8(void *restrict y, const void *restrict x, const int8_t *restrict w,
                        const int32_t *restrict scale, int32_t N, int32_t H, int32_t W, int32_t C, int32_t K,
                        int32_t R, int32_t T, int32_t U, int32_t V, int32_t S, int32_t P, int32_t Q,
                        int32_t stride_h, int32_t stride_w, int32_t dilation_h, int32_t dilation_w,
                        int32_t first_h, int32_t first_w, int32_t top, int32_t left, int32_t y_pixel,
                        int32_t y_channel, int32_t x_lo, int32_t y_lo, int32_t core, int32_t cores);

/* Depthwise: y of planes x[N,C,H,W] and kernels w[C,R,T]: S weights in a row, and zeros up to T. */
void ac_depthwise_fwd_int8(void *restrict y, const void *restrict x, const int8_t *restrict w,
                           const int32_t *restrict scale, int32_t N, int32_t H, int32_t W, int32_t C,
                           int32_t R, int32_t T, int32_t U, int32_t V, int32_t S, int32_t P, int32_t Q,
                           int32_t stride_h, int32_t stride_w, int32_t dilation_h, int32_t dilation_w,
                           int32_t first_h, int32_t first_w, int32_t top, int32_t left, int32_t y_pixel,
                           int32_t y_channel, int32_t x_lo, int32_t y_lo, int32_t core, int32_t cores);

#endif
