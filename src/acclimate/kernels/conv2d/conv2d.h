/* SPDX-License-Identifier: Apache-2.0 */
/* Two-dimensional convolution and its gradients, exact for every stride, padding, dilation and group; a
 * one-dimensional one has H = R = P = 1.
 *
 * Output (p, q) meets tap (r, s) at the input row p * stride_h - pad_top + r * dilation_h and the column
 * q * stride_w - pad_left + s * dilation_w; outside of [0,H) x [0,W) the input is zero, so that padding at
 * the bottom and on the right only shows in P and Q. Output channel k reads the C/groups input channels of
 * its group.
 *
 * All arrays are row-major f32 and do not overlap. Every core calls the function with its number `core` of
 * `cores` and computes its share of the outputs. `scratch` holds `cores` times the words of `Kernel.scratch`.
 */
#ifndef AC_CONV2D_H
#define AC_CONV2D_H

#include "../ac.h"

/* y[N,K,P,Q] = clamp(conv(x[N,C,H,W], w[K,C/groups,R,S]) + b[K], lo, hi); b may be NULL. */
void ac_conv2d_fwd_f32(float *restrict y, const float *restrict x, const float *restrict w,
                       const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                       int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                       int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                       int32_t groups, float lo, float hi, int32_t core, int32_t cores);

/* dx[N,C,H,W] = clamp(transposed conv(dy[N,K,P,Q], w[K,C/groups,R,S]) + b[C], lo, hi); b may be NULL.
 * With b = NULL, lo = -inf, hi = inf this is the input gradient; otherwise a transposed convolution layer. */
void ac_conv2d_bwd_x_f32(float *restrict dx, const float *restrict dy, const float *restrict w,
                         const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                         int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                         int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                         int32_t groups, float lo, float hi, int32_t core, int32_t cores);

/* dw[K,C/groups,R,S] = sum over n, p, q of dy[n,k,p,q] * (the x[N,C,H,W] it meets); db[K] = sum of dy;
 * db may be NULL; accumulate = 1 adds to dw and db. */
void ac_conv2d_bwd_w_f32(float *restrict dw, float *restrict db, const float *restrict dy,
                         const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                         int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                         int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                         int32_t groups, int32_t accumulate, int32_t core, int32_t cores);

/* w[K,C/groups,R,S] -= lr * (dw + weight_decay * w) with the dw of ac_conv2d_bwd_w_f32, b[K] likewise with
 * db; b may be NULL. No gradient is stored. */
void ac_conv2d_step_f32(float *restrict w, float *restrict b, const float *restrict dy,
                        const float *restrict x, float lr, int32_t N, int32_t C, int32_t H, int32_t W,
                        int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                        int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t dilation_h,
                        int32_t dilation_w, int32_t groups, float weight_decay, int32_t core, int32_t cores);

/* Variants for targets with wide vector registers: the same functions under a condition on the sizes. */

/* R = S = stride = groups = 1, no padding: the pixels of the input are the columns of a matrix. */
void ac_conv2d_fwd_f32_pointwise(float *restrict y, const float *restrict x, const float *restrict w,
                                 const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                                 int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                 int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                 int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                                 int32_t core, int32_t cores);
void ac_conv2d_bwd_x_f32_pointwise(float *restrict dx, const float *restrict dy, const float *restrict w,
                                   const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                                   int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                   int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                   int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                   float lo, float hi, int32_t core, int32_t cores);
void ac_conv2d_bwd_w_f32_pointwise(float *restrict dw, float *restrict db, const float *restrict dy,
                                   const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                                   int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                   int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                   int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                   int32_t accumulate, int32_t core, int32_t cores);
void ac_conv2d_step_f32_pointwise(float *restrict w, float *restrict b, const float *restrict dy,
                                  const float *restrict x, float lr, float *restrict scratch, int32_t N,
                                  int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                  int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                  int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                  float weight_decay, int32_t core, int32_t cores);

/* R * S <= AC_TAPS: panels of the input, for bwd_x of dy, times weights in tiles. */
void ac_conv2d_fwd_f32_dense(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                             int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                             int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                             int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                             int32_t core, int32_t cores);
void ac_conv2d_bwd_x_f32_dense(float *restrict dx, const float *restrict dy, const float *restrict w,
                               const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                               int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                               int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                               int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                               int32_t core, int32_t cores);
void ac_conv2d_bwd_w_f32_dense(float *restrict dw, float *restrict db, const float *restrict dy,
                               const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                               int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                               int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                               int32_t dilation_h, int32_t dilation_w, int32_t groups, int32_t accumulate,
                               int32_t core, int32_t cores);
void ac_conv2d_step_f32_dense(float *restrict w, float *restrict b, const float *restrict dy,
                              const float *restrict x, float lr, float *restrict scratch, int32_t N,
                              int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                              int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                              int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                              float weight_decay, int32_t core, int32_t cores);

/* groups = C = K, R * S <= AC_TAPS: one channel after the other, vectors along the pixels. */
void ac_conv2d_fwd_f32_depthwise(float *restrict y, const float *restrict x, const float *restrict w,
                                 const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                                 int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                 int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                 int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                                 int32_t core, int32_t cores);
void ac_conv2d_bwd_x_f32_depthwise(float *restrict dx, const float *restrict dy, const float *restrict w,
                                   const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                                   int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                   int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                   int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                   float lo, float hi, int32_t core, int32_t cores);
void ac_conv2d_bwd_w_f32_depthwise(float *restrict dw, float *restrict db, const float *restrict dy,
                                   const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                                   int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                   int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                   int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                   int32_t accumulate, int32_t core, int32_t cores);
void ac_conv2d_step_f32_depthwise(float *restrict w, float *restrict b, const float *restrict dy,
                                  const float *restrict x, float lr, float *restrict scratch, int32_t N,
                                  int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                  int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                  int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                  float weight_decay, int32_t core, int32_t cores);

/* Variants for processors that compute one float at a time: blocks of outputs in registers, no scratch. */

/* R = S = stride = groups = 1, no padding. */
void ac_conv2d_fwd_f32_pointwise_block(float *restrict y, const float *restrict x, const float *restrict w,
                                       const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W,
                                       int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                       int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                       int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo,
                                       float hi, int32_t core, int32_t cores);
void ac_conv2d_bwd_x_f32_pointwise_block(float *restrict dx, const float *restrict dy,
                                         const float *restrict w, const float *restrict b, int32_t N,
                                         int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S,
                                         int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                                         int32_t pad_top, int32_t pad_left, int32_t dilation_h,
                                         int32_t dilation_w, int32_t groups, float lo, float hi, int32_t core,
                                         int32_t cores);
void ac_conv2d_bwd_w_f32_pointwise_block(float *restrict dw, float *restrict db, const float *restrict dy,
                                         const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W,
                                         int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                         int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                         int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                                         int32_t groups, int32_t accumulate, int32_t core, int32_t cores);
void ac_conv2d_step_f32_pointwise_block(float *restrict w, float *restrict b, const float *restrict dy,
                                        const float *restrict x, float lr, int32_t N, int32_t C, int32_t H,
                                        int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                        int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                        int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                        float weight_decay, int32_t core, int32_t cores);

/* groups = C = K. */
void ac_conv2d_fwd_f32_depthwise_block(float *restrict y, const float *restrict x, const float *restrict w,
                                       const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W,
                                       int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                       int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                       int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo,
                                       float hi, int32_t core, int32_t cores);
void ac_conv2d_bwd_x_f32_depthwise_block(float *restrict dx, const float *restrict dy,
                                         const float *restrict w, const float *restrict b, int32_t N,
                                         int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S,
                                         int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                                         int32_t pad_top, int32_t pad_left, int32_t dilation_h,
                                         int32_t dilation_w, int32_t groups, float lo, float hi, int32_t core,
                                         int32_t cores);
void ac_conv2d_bwd_w_f32_depthwise_block(float *restrict dw, float *restrict db, const float *restrict dy,
                                         const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W,
                                         int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                         int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                         int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                                         int32_t groups, int32_t accumulate, int32_t core, int32_t cores);
void ac_conv2d_step_f32_depthwise_block(float *restrict w, float *restrict b, const float *restrict dy,
                                        const float *restrict x, float lr, int32_t N, int32_t C, int32_t H,
                                        int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                        int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                        int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                        float weight_decay, int32_t core, int32_t cores);

/* Every convolution. */
void ac_conv2d_fwd_f32_block(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                             int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                             int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                             int32_t groups, float lo, float hi, int32_t core, int32_t cores);
void ac_conv2d_bwd_x_f32_block(float *restrict dx, const float *restrict dy, const float *restrict w,
                               const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                               int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                               int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                               int32_t groups, float lo, float hi, int32_t core, int32_t cores);
void ac_conv2d_bwd_w_f32_block(float *restrict dw, float *restrict db, const float *restrict dy,
                               const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                               int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                               int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                               int32_t groups, int32_t accumulate, int32_t core, int32_t cores);
void ac_conv2d_step_f32_block(float *restrict w, float *restrict b, const float *restrict dy,
                              const float *restrict x, float lr, int32_t N, int32_t C, int32_t H, int32_t W,
                              int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                              int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t dilation_h,
                              int32_t dilation_w, int32_t groups, float weight_decay, int32_t core,
                              int32_t cores);

#endif
