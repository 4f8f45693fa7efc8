/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products whose terms are added in AC_COLUMNS lanes, so that compilers vectorise them without
 * -ffast-math; see the note in ac_tile.h. */
#ifndef AC_DOTS_H
#define AC_DOTS_H

#include "ac_tile.h"

/* sum[i] = sum of x[k] * w[row[i] + k], k < length. */
static inline void ac_dots(float sum[AC_ROWS], const float *restrict x, const float *restrict w,
                           const int32_t row[AC_ROWS], int32_t length) {
    float lane[AC_ROWS][AC_COLUMNS], turned[AC_ROWS * AC_COLUMNS];
    int32_t k = 0;
    for (int32_t j = 0; j < AC_COLUMNS; j++)
        for (int32_t i = 0; i < AC_ROWS; i++)
            lane[i][j] = 0.0f;
    for (; k + AC_COLUMNS <= length; k += AC_COLUMNS) {
        const float *xk = x + k, *wk = w + k;
        for (int32_t j = 0; j < AC_COLUMNS; j++)
            for (int32_t i = 0; i < AC_ROWS; i++) {
                const float *wi = wk + row[i];
                lane[i][j] += xk[j] * wi[j];
            }
    }
    for (int32_t i = 0; i < AC_ROWS; i++)
        for (int32_t j = 0; j < AC_COLUMNS; j++)
            turned[i * AC_COLUMNS + j] = lane[i][j];
    ac_riffle(turned, AC_ROWS * AC_COLUMNS / 2, AC_ROWS_LOG2);
    for (int32_t i = 0; i < AC_ROWS; i++)
        sum[i] = 0.0f;
    for (int32_t j = 0; j < AC_COLUMNS; j++)
        for (int32_t i = 0; i < AC_ROWS; i++)
            sum[i] += turned[j * AC_ROWS + i];
    for (; k < length; k++)
        for (int32_t i = 0; i < AC_ROWS; i++)
            sum[i] += x[k] * w[row[i] + k];
}

/* Sum of x[k] * w[k], k < length. */
static inline float ac_dot(const float *restrict x, const float *restrict w, int32_t length) {
    float lane[AC_COLUMNS] = {0.0f}, sum = 0.0f;
    int32_t k = 0;
    for (; k + AC_COLUMNS <= length; k += AC_COLUMNS)
        for (int32_t j = 0; j < AC_COLUMNS; j++)
            lane[j] += x[k + j] * w[k + j];
    for (; k < length; k++)
        sum += x[k] * w[k];
    for (int32_t half = AC_COLUMNS / 2; half > 0; half /= 2)
        for (int32_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return sum + lane[0];
}

/* Sum of x[k], k < length. */
static inline float ac_sum(const float *restrict x, int32_t length) {
    float lane[AC_COLUMNS] = {0.0f}, sum = 0.0f;
    int32_t k = 0;
    for (; k + AC_COLUMNS <= length; k += AC_COLUMNS)
        for (int32_t j = 0; j < AC_COLUMNS; j++)
            lane[j] += x[k + j];
    for (; k < length; k++)
        sum += x[k];
    for (int32_t half = AC_COLUMNS / 2; half > 0; half /= 2)
        for (int32_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return sum + lane[0];
}

#endif
