/* SPDX-License-Identifier: Apache-2.0 */
#include "tinyol.h"

#include <stddef.h>
#include <string.h>

#define FEATURE_MAX 1e15f
#define LEAST_VARIANCE 1e-6f   /* a feature that never changes is divided by 1e-3 */
#define DECIBELS 8.6858896381f /* 20 / ln 10: e^v is an amplitude of that many times v decibels */

uint32_t ac_tinyol_floats(uint32_t n, uint32_t capacity) {
    if (n == 0 || n > AC_VECTOR_MAX || capacity == 0 || capacity > AC_TINYOL_CLASSES) {
        return 0;
    }
    return AC_TINYOL_FLOATS(n, capacity);
}

int ac_tinyol_start(ac_tinyol *head, uint32_t n, uint32_t capacity, float decay, float *memory,
                    uint16_t *labels) {
    const uint32_t floats = ac_tinyol_floats(n, capacity);
    if (head == NULL || memory == NULL || labels == NULL || floats == 0 ||
        !ac_vector_within(decay, 0.0f, 1.0f)) {
        return AC_TINYOL_BAD_CALL;
    }
    memset(memory, 0, (size_t)floats * sizeof *memory);
    memset(head, 0, sizeof *head);
    head->w = memory;
    head->b = head->w + (size_t)capacity * n;
    head->scores = head->b + capacity;
    head->mean = head->scores + capacity;
    head->deviation = head->mean + n;
    head->z = head->deviation + n;
    head->labels = labels;
    head->n = n;
    head->capacity = capacity;
    head->decay = decay;
    return AC_TINYOL_OK;
}

static int are_usable(const ac_tinyol *head, const float *x) {
    return head != NULL && head->w != NULL && x != NULL;
}

int ac_tinyol_standardise(ac_tinyol *head, const float *mean, const float *variance) {
    if (!are_usable(head, mean) || variance == NULL || !ac_vector_bounded(mean, head->n, FEATURE_MAX)) {
        return AC_TINYOL_BAD_CALL;
    }
    for (uint32_t i = 0; i < head->n; i++) {
        if (!ac_vector_within(variance[i], 0.0f, FEATURE_MAX)) {
            return AC_TINYOL_BAD_CALL;
        }
    }
    memcpy(head->mean, mean, head->n * sizeof *mean);
    memcpy(head->deviation, variance, head->n * sizeof *variance);
    head->samples = 1; /* so that the sum of squares is the variance */
    head->frozen = 1;
    return AC_TINYOL_OK;
}

static void watch(ac_tinyol *head, const float *x) {
    head->samples += head->samples < UINT32_MAX ? 1u : 0u;
    for (uint32_t i = 0; i < head->n; i++) {
        const float way = x[i] - head->mean[i];
        head->mean[i] += way / (float)head->samples;
        head->deviation[i] += way * (x[i] - head->mean[i]);
    }
}

/* z[n] and the scores of all rows; 0 if one of these is no number. */
static int forward(ac_tinyol *head, const float *x) {
    const float samples = head->samples > 0 ? (float)head->samples : 1.0f;
    for (uint32_t i = 0; i < head->n; i++) {
        const float variance = head->deviation[i] / samples;
        const float unit = ac_mix_sqrt(variance > LEAST_VARIANCE ? variance : LEAST_VARIANCE);
        head->z[i] = (x[i] - head->mean[i]) / unit;
    }
    for (uint32_t k = 0; k < head->classes; k++) {
        head->scores[k] = ac_vector_dot(head->w + (size_t)k * head->n, head->z, head->n) + head->b[k];
    }
    return ac_vector_not_finite(head->scores, head->classes) == 0;
}

/* scores <- probabilities, and the row of the highest one. */
static uint32_t softmax(float *scores, uint32_t classes) {
    uint32_t best = 0;
    for (uint32_t k = 1; k < classes; k++) {
        best = scores[k] > scores[best] ? k : best;
    }
    const float highest = scores[best];
    float sum = 0.0f;
    for (uint32_t k = 0; k < classes; k++) {
        const float db = (scores[k] - highest) * DECIBELS;
        scores[k] = db > -(float)AC_MIX_DECIBELS_MAX ? ac_mix_amplitude(db) : 0.0f;
        sum += scores[k];
    }
    for (uint32_t k = 0; k < classes; k++) {
        scores[k] /= sum;
    }
    return best;
}

static uint32_t row_of(const ac_tinyol *head, int32_t label) {
    uint32_t k = 0;
    while (k < head->classes && head->labels[k] != label) {
        k++;
    }
    return k;
}

int ac_tinyol_learn(ac_tinyol *head, const float *x, int32_t label, float lr) {
    if (!are_usable(head, x) || label < 0 || label >= AC_TINYOL_LABELS || !ac_vector_within(lr, 0.0f, 1.0f)) {
        return AC_TINYOL_BAD_CALL;
    }
    if (!ac_vector_bounded(x, head->n, FEATURE_MAX)) {
        return AC_TINYOL_NOT_FINITE;
    }
    const uint32_t row = row_of(head, label);
    const int grows = row == head->classes;
    if (grows && row == head->capacity) {
        return AC_TINYOL_FULL;
    }
    if (!head->frozen) {
        watch(head, x);
    }
    if (!forward(head, x)) {
        return AC_TINYOL_NOT_FINITE;
    }
    if (grows) {
        head->labels[row] = (uint16_t)label;
        head->scores[row] = 0.0f; /* its weights are 0 */
        head->classes++;
    }
    (void)softmax(head->scores, head->classes);
    const float kept = 1.0f - lr * head->decay;
    for (uint32_t k = 0; k < head->classes; k++) {
        const float step = lr * (head->scores[k] - (k == row ? 1.0f : 0.0f));
        float *w = head->w + (size_t)k * head->n;
        for (uint32_t i = 0; i < head->n; i++) {
            w[i] = kept * w[i] - step * head->z[i];
        }
        head->b[k] -= step;
    }
    return grows ? AC_TINYOL_GREW : AC_TINYOL_OK;
}

int ac_tinyol_classify(ac_tinyol *head, const float *x, float *probabilities, int32_t *label) {
    if (!are_usable(head, x) || label == NULL) {
        return AC_TINYOL_BAD_CALL;
    }
    if (!ac_vector_bounded(x, head->n, FEATURE_MAX) || !forward(head, x)) {
        return AC_TINYOL_NOT_FINITE;
    }
    *label = AC_TINYOL_NONE;
    if (head->classes == 0) {
        return AC_TINYOL_EMPTY;
    }
    *label = head->labels[softmax(head->scores, head->classes)];
    for (uint32_t k = 0; probabilities != NULL && k < head->capacity; k++) {
        probabilities[k] = k < head->classes ? head->scores[k] : 0.0f;
    }
    return AC_TINYOL_OK;
}
