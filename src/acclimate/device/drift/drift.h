/* SPDX-License-Identifier: Apache-2.0 */
/* Notices that a stream has changed, and says when to learn: Page's cumulative sums on standardised values.
 *
 * Each of S values, such as the confidence of the classifier and some features, is measured while the warm-up
 * lasts (mean and deviation). Then z = (v - mean) / deviation, within +-clip, moves two sums: up <- max(0, up
 * + z - slack) and down <- max(0, down - z - slack). A sum above `threshold` is a drift: a phase of learning
 * of `learn` samples begins, and after it a new warm-up. Five numbers per value and no window: an adaptive
 * window (ADWIN) would keep several hundred bytes per value and take logarithms.
 *
 *     static float memory[5 * 2];
 *     ac_drift drift;
 *     ac_drift_settings settings;
 *     ac_drift_defaults(&settings);
 *     ac_drift_start(&drift, &settings, 2, memory);
 *     switch (ac_drift_push(&drift, values)) {
 *     case AC_DRIFT_BEGIN: case AC_DRIFT_LEARNING: learn this sample } */
#ifndef AC_DRIFT_H
#define AC_DRIFT_H

#include <stdint.h>

#include "../mix/mix.h"
#include "../vector/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_DRIFT_VALUES 1024
#define AC_DRIFT_FLOATS 5 /* per value */

enum {
    AC_DRIFT_STABLE = 0,
    AC_DRIFT_WARMING = 1,
    AC_DRIFT_BEGIN = 2, /* a drift was noticed: the phase of learning begins with this sample */
    AC_DRIFT_LEARNING = 3,
    AC_DRIFT_ENDED = 4,      /* this is the last sample of the phase */
    AC_DRIFT_BAD_CALL = -1,  /* an argument or setting that cannot be; nothing has changed */
    AC_DRIFT_NOT_FINITE = -2 /* a value is NaN or infinite or beyond +-1e6; nothing has changed */
};

typedef struct {
    uint32_t warm_up; /* samples, 2 .. 1e6 */
    uint32_t learn;   /* samples, 1 .. 1e6 */
    float slack;      /* changes of the mean below this many deviations pass; 0 .. 1e3 */
    float threshold;  /* 0.1 .. 1e6 */
    float clip;       /* one sample counts at most this many deviations; 0.1 .. 1e3 */
} ac_drift_settings;

/* Belongs to the caller, who only reads it. */
typedef struct {
    ac_drift_settings settings;
    float *mean;      /* [S] */
    float *squares;   /* [S]: sums of squared deviations */
    float *deviation; /* [S] */
    float *up;        /* [S] */
    float *down;      /* [S] */
    uint32_t S;
    uint32_t samples; /* of the warm-up */
    uint32_t left;    /* samples of the phase of learning */
    uint32_t drifts;  /* since the start */
    int32_t value;    /* which value gave the last drift; -1: none yet, or the caller began the phase */
} ac_drift;

/* Warm-up 100, learn 100, slack 0.5, threshold 15, clip 4. */
void ac_drift_defaults(ac_drift_settings *settings);

/* Begins with a warm-up: WARMING; memory[5 S]. */
int ac_drift_start(ac_drift *drift, const ac_drift_settings *settings, uint32_t S, float *memory);

/* Takes values[S] of one sample. */
int ac_drift_push(ac_drift *drift, const float *values);

/* Begins a phase of learning with the next sample, as when the user asks for it: BEGIN. */
int ac_drift_begin(ac_drift *drift);

#ifdef __cplusplus
}
#endif

#endif
