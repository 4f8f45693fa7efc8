/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layers. All arrays are row-major f32 and do not overlap. Every core calls the function with
 * its number `core` of `cores` and computes its share of the outputs. */
#ifndef AC_LINEAR_H
#define AC_LINEAR_H

#include "../ac.h"

/* y[N,K] = clamp(x[N,C] * w[K,C]^T + b[K], lo, hi); b may be NULL. */
void ac_linear_fwd_f32(float *restrict y, const float *restrict x, const float *restrict w,
                       const float *restrict b, int32_t N, int32_t C, int32_t K, float lo, float hi,
                       int32_t core, int32_t cores);

/* dx[N,C] = dy[N,K] * w[K,C]. */
void ac_linear_bwd_x_f32(float *restrict dx, const float *restrict dy, const float *restrict w, int32_t N,
                         int32_t C, int32_t K, int32_t core, int32_t cores);

/* dw[K,C] = dy[N,K]^T * x[N,C], db[K] = sum of dy over N; db may be NULL; accumulate = 1 adds to dw and db.
 */
void ac_linear_bwd_w_f32(float *restrict dw, float *restrict db, const float *restrict dy,
                         const float *restrict x, int32_t N, int32_t C, int32_t K, int32_t accumulate,
                         int32_t core, int32_t cores);

/* w[K,C] -= lr * (dy[N,K]^T * x[N,C] + weight_decay * w), b[K] likewise with the sum of dy over N; b may be
 * NULL. */
void ac_linear_step_f32(float *restrict w, float *restrict b, const float *restrict dy,
                        const float *restrict x, float lr, int32_t N, int32_t C, int32_t K,
                        float weight_decay, int32_t core, int32_t cores);

/* dx[N,C] = dy[N,K] * w[K,C] with w as it is before; then w and b become what ac_linear_step_f32 makes of
 * them. accumulate = 1 adds to dx. */
void ac_linear_bwd_step_f32(float *restrict w, float *restrict b, float *restrict dx,
                            const float *restrict dy, const float *restrict x, float lr, int32_t N, int32_t C,
                            int32_t K, float weight_decay, int32_t accumulate, int32_t core, int32_t cores);

/* Variants for targets with wide vector registers; those with `scratch` need `cores` times the words of
 * `Kernel.scratch`. */

/* One sample after the other, several rows of w at once. */
void ac_linear_fwd_f32_dots(float *restrict y, const float *restrict x, const float *restrict w,
                            const float *restrict b, int32_t N, int32_t C, int32_t K, float lo, float hi,
                            int32_t core, int32_t cores);

/* Tiles of samples and channels. */
void ac_linear_bwd_x_f32_tile(float *restrict dx, const float *restrict dy, const float *restrict w,
                              float *restrict scratch, int32_t N, int32_t C, int32_t K, int32_t core,
                              int32_t cores);
void ac_linear_bwd_w_f32_tile(float *restrict dw, float *restrict db, const float *restrict dy,
                              const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                              int32_t K, int32_t accumulate, int32_t core, int32_t cores);
void ac_linear_step_f32_tile(float *restrict w, float *restrict b, const float *restrict dy,
                             const float *restrict x, float lr, float *restrict scratch, int32_t N, int32_t C,
                             int32_t K, float weight_decay, int32_t core, int32_t cores);

/* One sample (N is 1), several columns of all rows at once. */
void ac_linear_bwd_step_f32_lanes(float *restrict w, float *restrict b, float *restrict dx,
                                  const float *restrict dy, const float *restrict x, float lr, int32_t N,
                                  int32_t C, int32_t K, float weight_decay, int32_t accumulate, int32_t core,
                                  int32_t cores);

/* Variants for processors that compute one float at a time: several outputs at once, in registers. */
void ac_linear_fwd_f32_block(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, int32_t N, int32_t C, int32_t K, float lo, float hi,
                             int32_t core, int32_t cores);
void ac_linear_bwd_x_f32_block(float *restrict dx, const float *restrict dy, const float *restrict w,
                               int32_t N, int32_t C, int32_t K, int32_t core, int32_t cores);
void ac_linear_bwd_w_f32_block(float *restrict dw, float *restrict db, const float *restrict dy,
                               const float *restrict x, int32_t N, int32_t C, int32_t K, int32_t accumulate,
                               int32_t core, int32_t cores);
void ac_linear_step_f32_block(float *restrict w, float *restrict b, const float *restrict dy,
                              const float *restrict x, float lr, int32_t N, int32_t C, int32_t K,
                              float weight_decay, int32_t core, int32_t cores);
/* One sample: N is 1. */
void ac_linear_bwd_step_f32_block(float *restrict w, float *restrict b, float *restrict dx,
                                  const float *restrict dy, const float *restrict x, float lr, int32_t N,
                                  int32_t C, int32_t K, float weight_decay, int32_t accumulate, int32_t core,
                                  int32_t cores);

#endif
