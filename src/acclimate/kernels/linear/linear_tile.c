/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "../ac_tile.h"
#include "linear.h"

void ac_linear_bwd_x_f32_tile(float *restrict dx, const float *restrict dy, const float *restrict w,
                              float *restrict scratch, int32_t N, int32_t C, int32_t K, int32_t core,
                              int32_t cores) {
    ac_multiply(dx, w, dy, NULL, scratch + core * K * AC_COLUMNS, N, K, C, K, 1, -INFINITY, INFINITY, core,
                cores);
}

/* Both outputs become keep * old + scale * gradient. */
static void linear_tile_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                                 const float *restrict x, float *restrict tail, int32_t N, int32_t C,
                                 int32_t K, float keep, float scale, int32_t core, int32_t cores) {
    const int32_t first = ac_split(K, core, cores), last = ac_split(K, core + 1, cores);
    const int32_t whole = C - C % AC_COLUMNS, tap[1] = {0};
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS];
    ac_copy_tail(tail, x, N, C);
    for (int32_t c = 0; c < C; c += AC_COLUMNS)
        for (int32_t k = first; k < last; k += AC_ROWS) {
            ac_tile_rows(row, k, last, 1);
            ac_tile_product(tile, dy, row, tap, K, c < whole ? x + c : tail, tap, c < whole ? C : AC_COLUMNS,
                            1, N);
            ac_tile_blend(w + k * C + c, C, tile, last - k, C - c, keep, scale);
        }
    for (int32_t k = first; b != NULL && k < last; k++) {
        float sum = 0.0f;
        for (int32_t n = 0; n < N; n++)
            sum += dy[n * K + k];
        b[k] = ac_blend(b[k], sum, keep, scale);
    }
}

void ac_linear_bwd_w_f32_tile(float *restrict dw, float *restrict db, const float *restrict dy,
                              const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                              int32_t K, int32_t accumulate, int32_t core, int32_t cores) {
    linear_tile_gradient(dw, db, dy, x, scratch + core * N * AC_COLUMNS, N, C, K, accumulate ? 1.0f : 0.0f,
                         1.0f, core, cores);
}

void ac_linear_step_f32_tile(float *restrict w, float *restrict b, const float *restrict dy,
                             const float *restrict x, float lr, float *restrict scratch, int32_t N, int32_t C,
                             int32_t K, float weight_decay, int32_t core, int32_t cores) {
    linear_tile_gradient(w, b, dy, x, scratch + core * N * AC_COLUMNS, N, C, K, 1.0f - lr * weight_decay, -lr,
                         core, cores);
}
