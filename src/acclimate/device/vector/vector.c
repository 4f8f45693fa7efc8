/* SPDX-License-Identifier: Apache-2.0 */
#include "vector.h"

#include <string.h>

uint32_t ac_vector_not_finite(const float *x, uint32_t n) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits;
        /* By its bits: `v - v == 0` is what a compiler with -ffast-math removes. */
        memcpy(&bits, x + i, sizeof bits);
        found += (bits & 0x7F800000u) == 0x7F800000u ? 1u : 0u;
    }
    return found;
}

uint32_t ac_vector_within(float v, float low, float high) {
    return ac_vector_not_finite(&v, 1) == 0 && v >= low && v <= high ? 1u : 0u;
}

uint32_t ac_vector_bounded(const float *x, uint32_t n, float limit) {
    uint32_t inside = 0;
    while (inside < n && ac_vector_within(x[inside], -limit, limit)) {
        inside++;
    }
    return inside == n ? 1u : 0u;
}

/* NOTE: a product has a statement of its own, so no compiler that keeps to C joins it with the sum. */
float ac_vector_distance(const float *a, const float *b, uint32_t n) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        const float difference = a[i] - b[i];
        const float square = difference * difference;
        sum += square;
    }
    return sum;
}

float ac_vector_dot(const float *a, const float *b, uint32_t n) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        const float product = a[i] * b[i];
        sum += product;
    }
    return sum;
}
