/* SPDX-License-Identifier: Apache-2.0 */
/* Two-dimensional average pooling and its gradient.
 *
 * Output (p, q) adds the cells of [0,H) x [0,W) that lie in the rows p * stride_h - pad_top + [0,R) and the
 * columns q * stride_w - pad_left + [0,S), and divides by `divisor`, or if that is 0 by the number of cells
 * of the window that lie in the input, with count_include_pad = 1 in the padded input.
 *
 * All arrays are row-major f32 and do not overlap. Every core calls the function with its number `core` of
 * `cores` and computes its share of the outputs. */
#ifndef AC_AVG_POOL2D_H
#define AC_AVG_POOL2D_H

#include "../ac.h"

/* y[N,C,P,Q] = mean of x[N,C,H,W] over each window. */
void ac_avg_pool2d_fwd_f32(float *restrict y, const float *restrict x, int32_t N, int32_t C, int32_t H,
                           int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                           int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t pad_bottom,
                           int32_t pad_right, int32_t count_include_pad, int32_t divisor, int32_t core,
                           int32_t cores);

/* dx[N,C,H,W] = sum of dy[N,C,P,Q] / divisor over the windows that contain the cell. */
void ac_avg_pool2d_bwd_f32(float *restrict dx, const float *restrict dy, int32_t N, int32_t C, int32_t H,
                           int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                           int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t pad_bottom,
                           int32_t pad_right, int32_t count_include_pad, int32_t divisor, int32_t core,
                           int32_t cores);

/* Variants for targets with wide vector registers: one window, which is the input. */
void ac_avg_pool2d_fwd_f32_global(float *restrict y, const float *restrict x, int32_t N, int32_t C, int32_t H,
                                  int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                                  int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t pad_bottom,
                                  int32_t pad_right, int32_t count_include_pad, int32_t divisor, int32_t core,
                                  int32_t cores);
void ac_avg_pool2d_bwd_f32_global(float *restrict dx, const float *restrict dy, int32_t N, int32_t C,
                                  int32_t H, int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q,
                                  int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                  int32_t pad_bottom, int32_t pad_right, int32_t count_include_pad,
                                  int32_t divisor, int32_t core, int32_t cores);

#endif
