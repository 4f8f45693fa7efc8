/* SPDX-License-Identifier: Apache-2.0 */
#include "centroids.h"

#include <float.h>
#include <stddef.h>
#include <string.h>

int ac_centroids_start(ac_centroids *centroids, uint32_t n, float *means, uint32_t *counts, uint32_t classes,
                       float least_step) {
    if (centroids == NULL || means == NULL || counts == NULL || n == 0 || n > AC_VECTOR_MAX || classes == 0 ||
        classes > AC_CENTROIDS_CLASSES || !ac_vector_within(least_step, 0.0f, 1.0f)) {
        return AC_CENTROIDS_BAD_CALL;
    }
    centroids->means = means;
    centroids->counts = counts;
    centroids->n = n;
    centroids->classes = classes;
    centroids->least_step = least_step;
    memset(means, 0, (size_t)classes * n * sizeof *means);
    memset(counts, 0, classes * sizeof *counts);
    return AC_CENTROIDS_OK;
}

static int are_usable(const ac_centroids *centroids, const float *x) {
    return centroids != NULL && centroids->means != NULL && x != NULL;
}

int ac_centroids_learn(ac_centroids *centroids, const float *x, int32_t label) {
    if (!are_usable(centroids, x) || label < 0 || (uint32_t)label >= centroids->classes) {
        return AC_CENTROIDS_BAD_CALL;
    }
    if (ac_vector_not_finite(x, centroids->n) != 0) {
        return AC_CENTROIDS_NOT_FINITE;
    }
    float *mean = centroids->means + (size_t)label * centroids->n;
    for (uint32_t i = 0; i < centroids->n; i++) {
        const float way = x[i] - mean[i];
        if (ac_vector_not_finite(&way, 1) != 0) {
            return AC_CENTROIDS_NOT_FINITE;
        }
    }
    uint32_t *count = centroids->counts + label;
    *count += *count < UINT32_MAX ? 1u : 0u;
    const float share = 1.0f / (float)*count;
    const float step = share > centroids->least_step ? share : centroids->least_step;
    for (uint32_t i = 0; i < centroids->n; i++) {
        const float way = x[i] - mean[i];
        const float move = way * step;
        mean[i] += move;
    }
    return AC_CENTROIDS_OK;
}

int ac_centroids_classify(const ac_centroids *centroids, const float *x, ac_centroids_result *result) {
    if (!are_usable(centroids, x) || result == NULL) {
        return AC_CENTROIDS_BAD_CALL;
    }
    if (ac_vector_not_finite(x, centroids->n) != 0) {
        return AC_CENTROIDS_NOT_FINITE;
    }
    ac_centroids_result found = {AC_CENTROIDS_NONE, FLT_MAX, FLT_MAX};
    for (uint32_t k = 0; k < centroids->classes; k++) {
        if (centroids->counts[k] == 0) {
            continue;
        }
        const float computed =
            ac_vector_distance(x, centroids->means + (size_t)k * centroids->n, centroids->n);
        const float distance =
            computed < FLT_MAX ? computed : FLT_MAX; /* beyond numbers counts as far away */
        if (found.label == AC_CENTROIDS_NONE || distance < found.distance) {
            found.second = found.distance;
            found.distance = distance;
            found.label = (int32_t)k;
        } else if (distance < found.second) {
            found.second = distance;
        }
    }
    *result = found;
    return found.label == AC_CENTROIDS_NONE ? AC_CENTROIDS_EMPTY : AC_CENTROIDS_OK;
}
