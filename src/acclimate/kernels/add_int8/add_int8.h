/* SPDX-License-Identifier: Apache-2.0 */
/* The sum of two activations of eight-bit integers, each with a scale of its own; see int8.h. */
#ifndef AC_ADD_INT8_H
#define AC_ADD_INT8_H

#include "../int8.h"

/* P x Q pixels of y from (top, left) on: clip((x * x_factor + z * z_factor + half) >> shift), half of what
 * the shift drops, of x[N,H,W,C] from (x_top, x_left) and z[N,I,J,C] from (z_top, z_left) on. What else there
 * is of y becomes zero: pixels [N,U,V,C] or planes [N,C,U,V], by the bytes from pixel to pixel and from
 * channel to channel. Factors are below 2^15. The lowest values are 0 for u8 and -128 for s8. */
void ac_add_fwd_int8(void *restrict y, const void *restrict x, const void *restrict z, int32_t N, int32_t C,
                     int32_t H, int32_t W, int32_t I, int32_t J, int32_t U, int32_t V, int32_t P, int32_t Q,
                     int32_t x_factor, int32_t z_factor, int32_t shift, int32_t x_top, int32_t x_left,
                     int32_t z_top, int32_t z_left, int32_t top, int32_t left, int32_t y_pixel,
                     int32_t y_channel, int32_t x_lo, int32_t z_lo, int32_t y_lo, int32_t core,
                     int32_t cores);

#endif
