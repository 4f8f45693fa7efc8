/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul.h"

void ac_matmul_nt_f32(float *restrict y, const float *restrict a, const float *restrict b, int32_t B,
                      int32_t M, int32_t K, int32_t N, int32_t core, int32_t cores) {
    const int32_t last = ac_split(B * M, core + 1, cores);
    for (int32_t row = ac_split(B * M, core, cores); row < last; row++) {
        const int32_t i = row / M, m = row % M;
        for (int32_t n = 0; n < N; n++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < K; k++)
                sum += a[(i * M + m) * K + k] * b[(i * N + n) * K + k];
            y[row * N + n] = sum;
        }
    }
}
