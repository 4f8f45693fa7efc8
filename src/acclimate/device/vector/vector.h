/* SPDX-License-Identifier: Apache-2.0 */
/* What the modules that learn from feature vectors share. Sums go from the first element to the last and
 * round every product, so C gives bit for bit what NumPy gives in float32. */
#ifndef AC_VECTOR_H
#define AC_VECTOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AC_VECTOR_MAX 65536 /* elements of a vector */

/* How many of x[n] are NaN or infinite. */
uint32_t ac_vector_not_finite(const float *x, uint32_t n);

/* 1 if low <= v <= high; 0 for NaN. */
uint32_t ac_vector_within(float v, float low, float high);

/* 1 if -limit <= x[i] <= limit for every i < n; 0 if one is NaN. */
uint32_t ac_vector_bounded(const float *x, uint32_t n, float limit);

/* Squared Euclidean distance of a[n] and b[n]; infinite if it is beyond the range of numbers. */
float ac_vector_distance(const float *a, const float *b, uint32_t n);

/* a[n] * b[n]. */
float ac_vector_dot(const float *a, const float *b, uint32_t n);

#ifdef __cplusplus
}
#endif

#endif
