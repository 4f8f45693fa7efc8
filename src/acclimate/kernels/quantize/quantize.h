/* SPDX-License-Identifier: Apache-2.0 */
/* Between floats and eight-bit integers: u8 with lo = 0, s8 with lo = -128, see int8.h. Pixels of integers
 * are [N,U,V,C] or planes [N,C,U,V]: from pixel to pixel there are `pixel` bytes and from channel to channel
 * `channel`. Every core calls the function with its number `core` of `cores`. */
#ifndef AC_QUANTIZE_H
#define AC_QUANTIZE_H

#include "../int8.h"

/* Pixels y[N,U,V,C]: x[N,C,H,W] * factor, rounded half away from zero and clipped, with x(0, 0) at (top,
 * left) and zeros around it. NaN becomes lo. */
void ac_quantize_fwd_int8(void *restrict y, const float *restrict x, int32_t N, int32_t C, int32_t H,
                          int32_t W, int32_t U, int32_t V, float factor, int32_t top, int32_t left,
                          int32_t lo, int32_t core, int32_t cores);

/* y[N,C,P,Q] = x * factor, of the pixels of x from (top, left) on. */
void ac_dequantize_fwd_int8(float *restrict y, const void *restrict x, int32_t N, int32_t C, int32_t U,
                            int32_t V, int32_t P, int32_t Q, float factor, int32_t top, int32_t left,
                            int32_t pixel, int32_t channel, int32_t lo, int32_t core, int32_t cores);

/* y[N,C] = factor * sum of all pixels of x; factor has the number of those that are not zeros around x. */
void ac_mean_fwd_int8(float *restrict y, const void *restrict x, int32_t N, int32_t C, int32_t U, int32_t V,
                      float factor, int32_t pixel, int32_t channel, int32_t lo, int32_t core, int32_t cores);

#endif
