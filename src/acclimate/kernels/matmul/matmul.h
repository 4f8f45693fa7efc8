/* SPDX-License-Identifier: Apache-2.0 */
/* Batched matrix products. All arrays are row-major f32 and do not overlap. Every core calls the function
 * with its number `core` of `cores` and computes its share of the rows of y. */
#ifndef AC_MATMUL_H
#define AC_MATMUL_H

#include "../ac.h"

/* y[B,M,N] = a[B,M,K] * b[B,K,N]. */
void ac_matmul_nn_f32(float *restrict y, const float *restrict a, const float *restrict b, int32_t B,
                      int32_t M, int32_t K, int32_t N, int32_t core, int32_t cores);

/* y[B,M,N] = a[B,M,K] * b[B,N,K]^T. */
void ac_matmul_nt_f32(float *restrict y, const float *restrict a, const float *restrict b, int32_t B,
                      int32_t M, int32_t K, int32_t N, int32_t core, int32_t cores);

/* y[B,M,N] = a[B,K,M]^T * b[B,K,N]. */
void ac_matmul_tn_f32(float *restrict y, const float *restrict a, const float *restrict b, int32_t B,
                      int32_t M, int32_t K, int32_t N, int32_t core, int32_t cores);

/* Variants for targets with wide vector registers, in tiles. `scratch` holds `cores` times the words of
 * `Kernel.scratch`. */
void ac_matmul_nn_f32_tile(float *restrict y, const float *restrict a, const float *restrict b,
                           float *restrict scratch, int32_t B, int32_t M, int32_t K, int32_t N, int32_t core,
                           int32_t cores);
void ac_matmul_nt_f32_tile(float *restrict y, const float *restrict a, const float *restrict b,
                           float *restrict scratch, int32_t B, int32_t M, int32_t K, int32_t N, int32_t core,
                           int32_t cores);
void ac_matmul_tn_f32_tile(float *restrict y, const float *restrict a, const float *restrict b,
                           float *restrict scratch, int32_t B, int32_t M, int32_t K, int32_t N, int32_t core,
                           int32_t cores);

#endif
