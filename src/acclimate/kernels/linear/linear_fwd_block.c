/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

typedef struct {
    float a, b, c, d;
} linear_sums;

/* Adds the products of x with four rows of w. */
static inline linear_sums linear_dots(linear_sums sum, const float *restrict x, const float *restrict wa,
                                      const float *restrict wb, const float *restrict wc,
                                      const float *restrict wd, int32_t count) {
    int32_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int32_t j = i; j < i + 4; j++) {
            sum.a += x[j] * wa[j];
            sum.b += x[j] * wb[j];
            sum.c += x[j] * wc[j];
            sum.d += x[j] * wd[j];
        }
    for (; i < count; i++) {
        sum.a += x[i] * wa[i];
        sum.b += x[i] * wb[i];
        sum.c += x[i] * wc[i];
        sum.d += x[i] * wd[i];
    }
    return sum;
}

void ac_linear_fwd_f32_block(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, int32_t N, int32_t C, int32_t K, float lo, float hi,
                             int32_t core, int32_t cores) {
    const int32_t last = ac_split(K, core + 1, cores), turn = ac_min_i32(2 * core, C);
    for (int32_t k0 = ac_split(K, core, cores); k0 < last; k0 += 4) {
        const int32_t k1 = ac_min_i32(k0 + 1, last - 1), k2 = ac_min_i32(k0 + 2, last - 1),
                      k3 = ac_min_i32(k0 + 3, last - 1);
        const float *w0 = w + k0 * C, *w1 = w + k1 * C, *w2 = w + k2 * C, *w3 = w + k3 * C;
        for (int32_t n = 0; n < N; n++) {
            const float *xn = x + n * C;
            linear_sums sum = {0.0f, 0.0f, 0.0f, 0.0f};
            sum = linear_dots(sum, xn + turn, w0 + turn, w1 + turn, w2 + turn, w3 + turn, C - turn);
            sum = linear_dots(sum, xn, w0, w1, w2, w3, turn);
            y[n * K + k0] = ac_clampf(b == NULL ? sum.a : sum.a + b[k0], lo, hi);
            y[n * K + k1] = ac_clampf(b == NULL ? sum.b : sum.b + b[k1], lo, hi);
            y[n * K + k2] = ac_clampf(b == NULL ? sum.c : sum.c + b[k2], lo, hi);
            y[n * K + k3] = ac_clampf(b == NULL ? sum.d : sum.d + b[k3], lo, hi);
        }
    }
}
