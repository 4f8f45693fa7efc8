/* SPDX-License-Identifier: Apache-2.0 */
#include "../ac_dots.h"
#include "linear.h"

void ac_linear_fwd_f32_dots(float *restrict y, const float *restrict x, const float *restrict w,
                            const float *restrict b, int32_t N, int32_t C, int32_t K, float lo, float hi,
                            int32_t core, int32_t cores) {
    const int32_t last = ac_split(K, core + 1, cores);
    int32_t row[AC_ROWS];
    float sum[AC_ROWS];
    for (int32_t k = ac_split(K, core, cores); k < last; k += AC_ROWS) {
        ac_tile_rows(row, k, last, C);
        for (int32_t n = 0; n < N; n++) {
            ac_dots(sum, x + n * C, w, row, C);
            for (int32_t i = 0; i < AC_ROWS && k + i < last; i++)
                y[n * K + k + i] = ac_clampf(b == NULL ? sum[i] : sum[i] + b[k + i], lo, hi);
        }
    }
}
