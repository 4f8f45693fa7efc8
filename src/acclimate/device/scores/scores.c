/* SPDX-License-Identifier: Apache-2.0 */
#include "scores.h"

#include <float.h>
#include <stddef.h>
#include <string.h>

static int is_finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (bits & 0x7F800000u) != 0x7F800000u;
}

float ac_scores_exp(float v) {
    const float bounded = v > 88.0f ? 88.0f : v > -87.0f ? v : -87.0f; /* NaN is the lower end */
    const float turns = bounded * 1.44269504f;                         /* log2(e) */
    const int32_t whole = (int32_t)(turns + (turns < 0.0f ? -0.5f : 0.5f));
    /* ln 2 in two parts: the first has few digits, so its product is exact. */
    const float x = bounded - (float)whole * 0.693359375f + (float)whole * 2.12194440e-4f;
    const uint32_t bits = (uint32_t)(whole + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    /* e^x to its seventh power: what is left out is at most 0.35^8 / 8! = 5e-9. */
    const float upper = 1.0f / 24.0f + x * (1.0f / 120.0f + x * (1.0f / 720.0f + x * (1.0f / 5040.0f)));
    return scale * (1.0f + x * (1.0f + x * (0.5f + x * (1.0f / 6.0f + x * upper))));
}

float ac_scores_log(float v) {
    const float bounded = v >= FLT_MIN && is_finite(v) ? v : v > FLT_MIN ? FLT_MAX : FLT_MIN;
    uint32_t bits;
    float m;
    memcpy(&bits, &bounded, sizeof bits);
    /* bounded = m 2^whole with m from sqrt(1/2) to sqrt(2). */
    const int32_t whole = (int32_t)((bits + (0x3F800000u - 0x3F3504F3u)) >> 23) - 127;
    bits -= (uint32_t)whole << 23;
    memcpy(&m, &bits, sizeof m);
    /* log m = 2 artanh(s); what is left out is at most 2 x 0.172^11 / 11 = 7e-10. */
    const float s = (m - 1.0f) / (m + 1.0f), q = s * s;
    const float artanh = s * (1.0f + q * (1.0f / 3.0f + q * (0.2f + q * (1.0f / 7.0f + q * (1.0f / 9.0f)))));
    return 2.0f * artanh + (float)whole * 0.69314718056f;
}

int ac_scores_normalizer(float *best, float *sum, const float *scores, int32_t classes) {
    if (best == NULL || sum == NULL || scores == NULL || classes <= 0) {
        return AC_SCORES_BAD_CALL;
    }
    float greatest = scores[0], total = 0.0f;
    for (int32_t k = 0; k < classes; k++) {
        if (!is_finite(scores[k])) {
            return AC_SCORES_NOT_FINITE;
        }
        greatest = scores[k] > greatest ? scores[k] : greatest;
    }
    for (int32_t k = 0; k < classes; k++) {
        total += ac_scores_exp(scores[k] - greatest);
    }
    *best = greatest;
    *sum = total;
    return AC_SCORES_OK;
}

int ac_scores_softmax(float *p, const float *scores, int32_t classes) {
    float best, sum;
    const int status = p == NULL ? AC_SCORES_BAD_CALL : ac_scores_normalizer(&best, &sum, scores, classes);
    for (int32_t k = 0; status == AC_SCORES_OK && k < classes; k++) {
        p[k] = ac_scores_exp(scores[k] - best) / sum;
    }
    return status;
}

int ac_scores_cross_entropy(float *loss, const float *scores, int32_t classes, int32_t label) {
    float best, sum;
    if (loss == NULL || label < 0 || label >= classes) {
        return AC_SCORES_BAD_CALL;
    }
    const int status = ac_scores_normalizer(&best, &sum, scores, classes);
    if (status == AC_SCORES_OK) {
        *loss = ac_scores_log(sum) + (best - scores[label]);
    }
    return status;
}
