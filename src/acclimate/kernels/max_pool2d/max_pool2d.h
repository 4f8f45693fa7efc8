/* SPDX-License-Identifier: Apache-2.0 */
/* Two-dimensional maximum pooling and its gradient.
 *
 * Output (p, q) looks at the cells (p * stride_h - pad_top + r * dilation_h, q * stride_w - pad_left +
 * s * dilation_w), r < R, s < S, R * S <= 256, as far as they lie in [0,H) x [0,W), which at least one does.
 *
 * All arrays are row-major and do not overlap. Every core calls the function with its number `core` of
 * `cores` and computes its share of the outputs. */
#ifndef AC_MAX_POOL2D_H
#define AC_MAX_POOL2D_H

#include "../ac.h"

/* y[N,C,P,Q] = largest x[N,C,H,W] of each window, NaN if there is one; index[N,C,P,Q] = r * S + s of the
 * first largest one in row-major order, of the last NaN; index may be NULL. */
void ac_max_pool2d_fwd_f32(float *restrict y, uint8_t *restrict index, const float *restrict x, int32_t N,
                           int32_t C, int32_t H, int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q,
                           int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                           int32_t dilation_h, int32_t dilation_w, int32_t core, int32_t cores);

/* dx[N,C,H,W] = sum of the dy[N,C,P,Q] whose index[N,C,P,Q] points to the cell, 0 where there is none. */
void ac_max_pool2d_bwd_f32(float *restrict dx, const float *restrict dy, const uint8_t *restrict index,
                           int32_t N, int32_t C, int32_t H, int32_t W, int32_t R, int32_t S, int32_t P,
                           int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                           int32_t dilation_h, int32_t dilation_w, int32_t core, int32_t cores);

/* A variant for targets with wide vector registers: up to 64 outputs of a row at once. */
void ac_max_pool2d_fwd_f32_lanes(float *restrict y, uint8_t *restrict index, const float *restrict x,
                                 int32_t N, int32_t C, int32_t H, int32_t W, int32_t R, int32_t S, int32_t P,
                                 int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                 int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t core,
                                 int32_t cores);

#endif
