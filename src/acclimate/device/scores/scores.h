/* SPDX-License-Identifier: Apache-2.0 */
/* What the scores of a classifier say: probabilities, and the loss of an answer. Without libm. */
#ifndef AC_SCORES_H
#define AC_SCORES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AC_SCORES_OK = 0,
    AC_SCORES_BAD_CALL = -1,  /* no classes, or a missing array */
    AC_SCORES_NOT_FINITE = -2 /* a score is NaN or infinite; the result is as it was */
};

/* e^v, v counting as within -87 .. 88. Relative error at most 1e-6. */
float ac_scores_exp(float v);

/* Natural logarithm of v >= 2^-126, the smallest normal number, which anything below counts as, and NaN too.
 * Error at most 1e-6 of its size, or 1e-7 where it is below 0.1. */
float ac_scores_log(float v);

/* The greatest of scores[classes], and the sum of e^(scores - greatest): what the next two are made of. */
int ac_scores_normalizer(float *best, float *sum, const float *scores, int32_t classes);

/* p[classes] = e^scores / sum of e^scores; p may be scores itself. */
int ac_scores_softmax(float *p, const float *scores, int32_t classes);

/* Loss of scores[classes] for the right answer `label`: log(sum of e^scores) - scores[label]. */
int ac_scores_cross_entropy(float *loss, const float *scores, int32_t classes, int32_t label);

#ifdef __cplusplus
}
#endif

#endif
