/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize.h"

void ac_mean_fwd_int8(float *restrict y, const void *restrict x, int32_t N, int32_t C, int32_t U, int32_t V,
                      float factor, int32_t pixel, int32_t channel, int32_t lo, int32_t core, int32_t cores) {
    const uint8_t *const in = x;
    const int32_t last = ac_split(N * C, core + 1, cores);
    for (int32_t i = ac_split(N * C, core, cores); i < last; i++) {
        const uint8_t *const plane = in + i / C * U * V * C + i % C * channel;
        int32_t sum = 0;
        for (int32_t v = 0; v < U * V; v++)
            sum += ac_value_int8(plane[v * pixel], lo);
        y[i] = factor * (float)sum;
    }
}
