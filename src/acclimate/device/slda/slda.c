/* SPDX-License-Identifier: Apache-2.0 */
#include "slda.h"

#include <float.h>
#include <stddef.h>
#include <string.h>

#define FEATURE_MAX 1e15f    /* products of two are still far from the end of the numbers */
#define SAMPLES_MAX 8388608u /* a sum of squares in float32 hardly changes after so many */

uint32_t ac_slda_floats(uint32_t n, uint32_t classes) {
    if (n == 0 || n > AC_SLDA_FEATURES || classes == 0 || classes > AC_SLDA_CLASSES) {
        return 0;
    }
    return AC_SLDA_FLOATS(n, classes);
}

int ac_slda_start(ac_slda *slda, uint32_t n, uint32_t classes, float shrink, float *memory) {
    const uint32_t floats = ac_slda_floats(n, classes);
    if (slda == NULL || memory == NULL || floats == 0 || !ac_vector_within(shrink, 1e-6f, 1.0f)) {
        return AC_SLDA_BAD_CALL;
    }
    const uint32_t triangle = n * (n + 1) / 2;
    memset(memory, 0, (size_t)floats * sizeof *memory);
    memset(slda, 0, sizeof *slda);
    slda->scatter = memory;
    slda->factor = slda->scatter + triangle;
    slda->means = slda->factor + triangle;
    slda->w = slda->means + (size_t)classes * n;
    slda->b = slda->w + (size_t)classes * n;
    slda->counts = slda->b + classes;
    slda->way = slda->counts + classes;
    slda->n = n;
    slda->classes = classes;
    slda->shrink = shrink;
    return AC_SLDA_OK;
}

int ac_slda_learn(ac_slda *slda, const float *x, int32_t label) {
    if (slda == NULL || slda->means == NULL || x == NULL || label < 0 || (uint32_t)label >= slda->classes ||
        slda->samples == SAMPLES_MAX) {
        return AC_SLDA_BAD_CALL;
    }
    if (!ac_vector_bounded(x, slda->n, FEATURE_MAX)) {
        return AC_SLDA_NOT_FINITE;
    }
    float *mean = slda->means + (size_t)label * slda->n, *way = slda->way, *row = slda->scatter;
    const float count = slda->counts[label] + 1.0f;
    const float weight = (count - 1.0f) / count; /* 0 for the first of a class: it has no deviation */
    for (uint32_t i = 0; i < slda->n; i++) {
        way[i] = x[i] - mean[i];
        mean[i] += way[i] / count;
    }
    for (uint32_t i = 0; i < slda->n; i++) {
        const float weighted = weight * way[i];
        for (uint32_t j = 0; j <= i; j++) {
            row[j] += weighted * way[j];
        }
        row += i + 1;
    }
    slda->counts[label] = count;
    slda->samples++;
    return AC_SLDA_OK;
}

/* Row i of a triangle. */
static float *row_of(float *triangle, uint32_t i) {
    return triangle + i * (i + 1) / 2;
}

/* A = L D L^T in place: L below the diagonal, D on it. No root is needed. 0 if a pivot is not positive. */
static int factorise(float *a, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        float *row = row_of(a, i);
        for (uint32_t j = 0; j < i; j++) {
            const float *other = row_of(a, j);
            for (uint32_t k = 0; k < j; k++) {
                row[j] -= row[k] * other[k]; /* row[k] is still L D */
            }
        }
        float pivot = row[i];
        for (uint32_t j = 0; j < i; j++) {
            const float scaled = row[j] / row_of(a, j)[j];
            pivot -= row[j] * scaled;
            row[j] = scaled;
        }
        if (!ac_vector_within(pivot, FLT_MIN, FLT_MAX)) {
            return 0;
        }
        row[i] = pivot;
    }
    return 1;
}

/* v <- A^-1 v. */
static void substitute(float *a, float *v, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        v[i] -= ac_vector_dot(row_of(a, i), v, i);
    }
    for (uint32_t i = 0; i < n; i++) {
        v[i] /= row_of(a, i)[i];
    }
    for (uint32_t i = n; i-- > 1;) {
        const float *row = row_of(a, i);
        for (uint32_t j = 0; j < i; j++) {
            v[j] -= row[j] * v[i];
        }
    }
}

int ac_slda_solve(ac_slda *slda) {
    if (slda == NULL || slda->means == NULL) {
        return AC_SLDA_BAD_CALL;
    }
    if (slda->samples == 0) {
        return AC_SLDA_EMPTY;
    }
    const uint32_t n = slda->n;
    const float part = (1.0f - slda->shrink) / (float)slda->samples;
    for (uint32_t i = 0; i < n * (n + 1) / 2; i++) {
        slda->factor[i] = part * slda->scatter[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        row_of(slda->factor, i)[i] += slda->shrink;
    }
    if (!factorise(slda->factor, n)) {
        return AC_SLDA_SINGULAR;
    }
    for (uint32_t k = 0; k < slda->classes; k++) {
        const float *mean = slda->means + (size_t)k * n;
        memcpy(slda->way, mean, n * sizeof *mean);
        substitute(slda->factor, slda->way, n);
        memcpy(slda->w + (size_t)k * n, slda->way, n * sizeof *mean);
        slda->b[k] = -0.5f * ac_vector_dot(slda->way, mean, n);
    }
    slda->solved = slda->samples;
    return AC_SLDA_OK;
}

int ac_slda_classify(const ac_slda *slda, const float *x, float *scores, int32_t *label) {
    if (slda == NULL || slda->means == NULL || x == NULL || label == NULL) {
        return AC_SLDA_BAD_CALL;
    }
    if (!ac_vector_bounded(x, slda->n, FEATURE_MAX)) {
        return AC_SLDA_NOT_FINITE;
    }
    float best = -FLT_MAX;
    int32_t found = AC_SLDA_NONE;
    for (uint32_t k = 0; k < slda->classes; k++) {
        const int known = slda->counts[k] > 0.0f && slda->solved != 0;
        float score = -FLT_MAX;
        if (known) {
            score = ac_vector_dot(x, slda->w + (size_t)k * slda->n, slda->n) + slda->b[k];
        }
        if (scores != NULL) {
            scores[k] = score;
        }
        if (known && (found == AC_SLDA_NONE || score > best)) {
            best = score;
            found = (int32_t)k;
        }
    }
    *label = found;
    return found == AC_SLDA_NONE ? AC_SLDA_EMPTY : AC_SLDA_OK;
}
