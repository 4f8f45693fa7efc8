/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming linear discriminant analysis: a mean per class and one covariance within classes for all, both
 * exact after every sample. The classifier is w[k] = A^-1 mean[k], b[k] = -w[k] mean[k] / 2, where A is the
 * covariance shrunk towards the identity: A = (1 - shrink) S / samples + shrink I. Classes are equally
 * probable.
 *
 *     static float memory[AC_SLDA_FLOATS(24, 5)];   or as many as ac_slda_floats says
 *     ac_slda slda;
 *     ac_slda_start(&slda, 24, 5, 0.01f, memory);
 *     for every sample: ac_slda_learn(&slda, x, label);
 *     ac_slda_solve(&slda);
 *     ac_slda_classify(&slda, x, scores, &label); */
#ifndef AC_SLDA_H
#define AC_SLDA_H

#include <stdint.h>

#include "../vector/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_SLDA_NONE (-1)
#define AC_SLDA_FEATURES 1024
#define AC_SLDA_CLASSES 4096

/* n and classes as in the struct. */
#define AC_SLDA_FLOATS(n, classes) ((n) * ((n) + 1) + 2 * (classes) * (n) + 2 * (classes) + (n))

enum {
    AC_SLDA_OK = 0,
    AC_SLDA_EMPTY = 1,     /* nothing was learned and solved for: the label is NONE */
    AC_SLDA_SINGULAR = 2,  /* A cannot be inverted in this precision: the old classifier stays; shrink more */
    AC_SLDA_BAD_CALL = -1, /* an argument that cannot be; nothing has changed */
    AC_SLDA_NOT_FINITE = -2 /* a feature is NaN or infinite, or above 1e15; nothing has changed */
};

/* Belongs to the caller, who only reads it. */
typedef struct {
    float *means;   /* [classes,n] */
    float *scatter; /* S: sum of products within classes, [n (n + 1) / 2], row i has i + 1 numbers */
    float *factor;  /* of A, as large, for `solve` */
    float *w;       /* [classes,n] */
    float *b;       /* [classes] */
    float *counts;  /* [classes]; whole numbers */
    float *way;     /* [n], for `learn` and `solve` */
    uint32_t n;
    uint32_t classes;
    uint32_t samples;
    uint32_t solved; /* samples that the classifier knows */
    float shrink;
} ac_slda;

/* Numbers that `memory` must have; 0 if n or classes cannot be. */
uint32_t ac_slda_floats(uint32_t n, uint32_t classes);

/* Begins without samples. 1e-6 <= shrink <= 1. */
int ac_slda_start(ac_slda *slda, uint32_t n, uint32_t classes, float shrink, float *memory);

/* Learns x[n] of a class below `classes`: n (n + 1) / 2 products. */
int ac_slda_learn(ac_slda *slda, const float *x, int32_t label);

/* Makes the classifier of what was learned: n^3 / 6 products and n^2 for each class. */
int ac_slda_solve(ac_slda *slda);

/* The class of x[n] with the highest score, of several the first; scores[classes], may be NULL, are -FLT_MAX
 * for classes that were not seen. */
int ac_slda_classify(const ac_slda *slda, const float *x, float *scores, int32_t *label);

#ifdef __cplusplus
}
#endif

#endif
