/* SPDX-License-Identifier: Apache-2.0 */
/* Random features of a window of samples, for a head that learns: the hidden layer of an extreme learning
 * machine. Nobody trains its weights, so nobody stores them: they are drawn from a seed whenever they are
 * needed, one filter at a time.
 *
 *     y[f] = mean over t = 0 .. length - width of max(0, b[f] + sum over c, k of w[f,c,k] x[c,t+k])
 *
 * With width = length that is the usual layer max(0, W x + b). Weights are uniform in -weight .. weight,
 * biases in -bias .. bias; weight = sqrt(3 / (channels width)) and bias = sqrt(3) give sums the variance of
 * the inputs and biases a variance of 1, if inputs are about 1.
 *
 * Heads want features that are about 1 too: fit takes mean and standard deviation, the unit, from windows.
 *
 *     static float filter[6 * 9], mean[64], unit[64], y[64];
 *     const ac_elm_settings settings = {1u, 6, 100, 9, 64, 0.2357f, 1.7321f};
 *     ac_elm elm;
 *     ac_elm_start(&elm, &settings, filter, mean, unit);
 *     for (uint32_t i = 0; i < N; i++)
 *         ac_elm_features(&elm, shown + i * 64, windows + i * 600);
 *     ac_elm_fit(&elm, shown, N);
 *     ac_rce_fit(&rce, shown, labels, N, 4);
 *     ac_elm_features(&elm, y, window);
 *     ac_rce_classify(&rce, y, &result); */
#ifndef AC_ELM_H
#define AC_ELM_H

#include <stdint.h>

#include "../random/random.h"
#include "../vector/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_ELM_VECTORS 65535 /* most that fit takes: their numbers are counted with 32 bits */

enum {
    AC_ELM_OK = 0,
    AC_ELM_BAD_CALL = -1, /* an argument or setting that cannot be; nothing has changed */
    AC_ELM_NOT_FINITE =
        -2 /* a sample is NaN, infinite or above 1e6, a feature above 1e14; nothing has changed */
};

typedef struct {
    uint64_t seed;
    uint32_t channels;
    uint32_t length;   /* of a window; channels * length <= AC_VECTOR_MAX */
    uint32_t width;    /* of a filter, 1 .. length */
    uint32_t features; /* 1 .. AC_VECTOR_MAX */
    float weight;      /* 0 .. 1000, like bias */
    float bias;
} ac_elm_settings;

/* Belongs to the caller, who only reads it. */
typedef struct {
    ac_elm_settings settings;
    float *filter;   /* [channels,width]: the one that was drawn last */
    float *mean;     /* [features]; 0 until fit */
    float *unit;     /* [features]; 1 until fit */
    uint32_t fitted; /* 1 after fit */
} ac_elm;

/* Begins with mean 0 and unit 1; filter[channels,width], mean[features], unit[features]. */
int ac_elm_start(ac_elm *elm, const ac_elm_settings *settings, float *filter, float *mean, float *unit);

/* y[features] of a window x[channels,length], less the mean, in units. No overlap. Draws
 * features * (channels * width + 1) numbers. */
int ac_elm_features(ac_elm *elm, float *y, const float *x);

/* Takes mean and unit from y[N,features], as features wrote them before any fit, and writes them to y too.
 * A unit is about 1e-3 at least. A second time is a bad call: start again. */
int ac_elm_fit(ac_elm *elm, float *y, uint32_t N);

#ifdef __cplusplus
}
#endif

#endif
