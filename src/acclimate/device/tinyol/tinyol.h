/* SPDX-License-Identifier: Apache-2.0 */
/* One trainable layer behind a frozen network, after TinyOL: every sample is standardised with the running
 * mean and variance of its features, moves the layer by one step of gradient descent on the cross-entropy,
 * and is gone. A label that was never seen gets a row of its own, as long as the reserved memory has one.
 *
 *     static float memory[AC_TINYOL_FLOATS(24, 8)];
 *     static uint16_t labels[8];
 *     ac_tinyol head;
 *     ac_tinyol_start(&head, 24, 8, 0.0f, memory, labels);
 *     ac_tinyol_learn(&head, x, label, 0.05f);
 *     ac_tinyol_classify(&head, x, probabilities, &label); */
#ifndef AC_TINYOL_H
#define AC_TINYOL_H

#include <stdint.h>

#include "../mix/mix.h"
#include "../vector/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_TINYOL_NONE (-1)
#define AC_TINYOL_CLASSES 4096
#define AC_TINYOL_LABELS 65536

/* n and classes as in the struct. */
#define AC_TINYOL_FLOATS(n, classes) ((classes) * ((n) + 2) + 3 * (n))

enum {
    AC_TINYOL_OK = 0,
    AC_TINYOL_GREW = 1,       /* the label is new: it has a row now, and was learned */
    AC_TINYOL_FULL = 2,       /* the label is new, and there is no row for it: nothing has changed */
    AC_TINYOL_EMPTY = 3,      /* no label was seen: the label is NONE */
    AC_TINYOL_BAD_CALL = -1,  /* an argument that cannot be; nothing has changed */
    AC_TINYOL_NOT_FINITE = -2 /* a feature is NaN, infinite or above 1e15, or a score is no number, as after
                                 steps that were too large: no weight has changed */
};

/* Belongs to the caller, who only reads it; w and b may be set before the first sample. */
typedef struct {
    float *w;         /* [capacity,n] */
    float *b;         /* [capacity] */
    float *scores;    /* [capacity]: of the last sample */
    float *mean;      /* [n] */
    float *deviation; /* [n]: sums of squared deviations */
    float *z;         /* [n]: the last sample, standardised */
    uint16_t *labels; /* [capacity]: of the rows */
    uint32_t n;
    uint32_t capacity;
    uint32_t classes; /* rows in use */
    uint32_t samples; /* that mean and deviation know */
    uint32_t frozen;  /* 1: learn leaves mean and deviation as they are */
    float decay;
} ac_tinyol;

/* Numbers that `memory` must have; 0 if n or capacity cannot be. */
uint32_t ac_tinyol_floats(uint32_t n, uint32_t capacity);

/* Begins without classes, all weights 0. A step with rate lr multiplies the weights by 1 - lr * decay first;
 * 0 <= decay <= 1. */
int ac_tinyol_start(ac_tinyol *head, uint32_t n, uint32_t capacity, float decay, float *memory,
                    uint16_t *labels);

/* Gives mean[n] and variance[n] from elsewhere, and freezes them. Negative variances are a bad call. */
int ac_tinyol_standardise(ac_tinyol *head, const float *mean, const float *variance);

/* Learns x[n] with rate 0 <= lr <= 1. OK, GREW or FULL. */
int ac_tinyol_learn(ac_tinyol *head, const float *x, int32_t label, float lr);

/* The label of x[n] with the highest score, of several the first; probabilities[capacity], may be NULL, are 0
 * for rows not in use. Right to 1e-5, below 1e-6 they are 0. */
int ac_tinyol_classify(ac_tinyol *head, const float *x, float *probabilities, int32_t *label);

#ifdef __cplusplus
}
#endif

#endif
