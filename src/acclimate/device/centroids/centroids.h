/* SPDX-License-Identifier: Apache-2.0 */
/* Nearest class mean: a class is the mean of its samples, and the nearest mean answers.
 *
 *     static float means[5 * 24];
 *     static uint32_t counts[5];
 *     ac_centroids centroids;
 *     ac_centroids_start(&centroids, 24, means, counts, 5, 0.0f);
 *     ac_centroids_learn(&centroids, x, label);
 *     ac_centroids_classify(&centroids, x, &result); */
#ifndef AC_CENTROIDS_H
#define AC_CENTROIDS_H

#include <stdint.h>

#include "../vector/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_CENTROIDS_NONE (-1)
#define AC_CENTROIDS_CLASSES 65536

enum {
    AC_CENTROIDS_OK = 0,
    AC_CENTROIDS_EMPTY = 1,      /* no class has a sample: the label is NONE */
    AC_CENTROIDS_BAD_CALL = -1,  /* an argument that cannot be; nothing has changed */
    AC_CENTROIDS_NOT_FINITE = -2 /* a feature is NaN or infinite, or a mean would be; nothing has changed */
};

/* Belongs to the caller, who only reads it. */
typedef struct {
    float *means;     /* [classes,n] */
    uint32_t *counts; /* [classes]: samples seen */
    uint32_t n;
    uint32_t classes;
    float least_step;
} ac_centroids;

typedef struct {
    int32_t label;
    float distance; /* squared, to its mean */
    float second;   /* to the nearest mean of another class; FLT_MAX if there is none */
} ac_centroids_result;

/* Begins without samples. The k-th sample of a class moves its mean by max(1 / k, least_step) of the way to
 * it: 0 gives the mean of all, more lets old samples fade. 0 <= least_step <= 1. */
int ac_centroids_start(ac_centroids *centroids, uint32_t n, float *means, uint32_t *counts, uint32_t classes,
                       float least_step);

/* Learns x[n] of a class below `classes`. */
int ac_centroids_learn(ac_centroids *centroids, const float *x, int32_t label);

/* The class of x[n], of equally near ones the first. */
int ac_centroids_classify(const ac_centroids *centroids, const float *x, ac_centroids_result *result);

#ifdef __cplusplus
}
#endif

#endif
