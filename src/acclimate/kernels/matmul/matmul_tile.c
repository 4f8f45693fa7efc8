/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "../ac_tile.h"
#include "matmul.h"

void ac_matmul_nn_f32_tile(float *restrict y, const float *restrict a, const float *restrict b,
                           float *restrict scratch, int32_t B, int32_t M, int32_t K, int32_t N, int32_t core,
                           int32_t cores) {
    for (int32_t i = 0; i < B; i++)
        ac_multiply(y + i * M * N, b + i * K * N, a + i * M * K, NULL, scratch + core * K * AC_COLUMNS, M, K,
                    N, K, 1, -INFINITY, INFINITY, core, cores);
}

void ac_matmul_nt_f32_tile(float *restrict y, const float *restrict a, const float *restrict b,
                           float *restrict scratch, int32_t B, int32_t M, int32_t K, int32_t N, int32_t core,
                           int32_t cores) {
    const int32_t first = ac_split(M, core, cores), last = ac_split(M, core + 1, cores), tap[1] = {0};
    float *turned = scratch + core * K * AC_COLUMNS; /* [K][AC_COLUMNS] */
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS];
    for (int32_t i = 0; i < B; i++)
        for (int32_t n = 0; n < N; n += AC_COLUMNS) {
            ac_turn(turned, b + (i * N + n) * K, N - n, K);
            for (int32_t m = first; m < last; m += AC_ROWS) {
                ac_tile_rows(row, m, last, K);
                ac_tile_product(tile, a + i * M * K, row, tap, 1, turned, tap, AC_COLUMNS, 1, K);
                ac_tile_store(y + (i * M + m) * N + n, N, tile, last - m, N - n);
            }
        }
}

void ac_matmul_tn_f32_tile(float *restrict y, const float *restrict a, const float *restrict b,
                           float *restrict scratch, int32_t B, int32_t M, int32_t K, int32_t N, int32_t core,
                           int32_t cores) {
    for (int32_t i = 0; i < B; i++)
        ac_multiply(y + i * M * N, b + i * K * N, a + i * M * K, NULL, scratch + core * K * AC_COLUMNS, M, K,
                    N, 1, M, -INFINITY, INFINITY, core, cores);
}
