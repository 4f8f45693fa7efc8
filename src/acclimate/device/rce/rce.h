/* SPDX-License-Identifier: Apache-2.0 */
/* A classifier of feature vectors that learns without gradients: Restricted Coulomb Energy, with the
 * additions of TinyRCE.
 *
 * A neuron is a ball: centre, radius, label. It fires on x if x lies strictly inside. To learn (x, label):
 *   1. every neuron of another label that fires shrinks until x lies on its surface;
 *   2. if no neuron of this label fires, x becomes the centre of a new one. Its radius is R_max, at most the
 *      distance to the nearest centre of another label if `bounded`.
 * Repeated over samples of which no two with different labels are at one place, this ends with every sample
 * inside balls of its own label only.
 *
 * With a cap on the number of neurons each has an age, which moves with every sample of its label that it is
 * shown and every one of another label it fires on (rho = distance / radius):
 *   fired on its own label     age <- max(0, age - relief (1 - rho^2))
 *   own label, not fired       age <- age + idle
 *   fired on another label     age <- age + blame (1 - rho^2), before it shrinks
 * A new neuron that finds the table full takes the place of the one of highest age (of several the smallest,
 * then the first). At the end of an epoch neurons below R_min are removed. The laws of age are ours.
 *
 * All radii are in units of sqrt(n): features that are standardised are about sqrt(2 n) apart.
 *
 *     static float centres[64 * 24];
 *     static ac_rce_neuron neurons[64];
 *     ac_rce rce;
 *     ac_rce_settings settings;
 *     ac_rce_defaults(&settings);
 *     ac_rce_start(&rce, &settings, 24, centres, neurons, 64);
 *     ac_rce_fit(&rce, features, labels, F, 8);
 *     ac_rce_serve(&rce, x, ask_user, NULL, &result); */
#ifndef AC_RCE_H
#define AC_RCE_H

#include <stdint.h>

#include "../vector/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_RCE_NONE (-1)    /* no label, no neuron */
#define AC_RCE_LABELS 65536 /* labels are below */
#define AC_RCE_NEURONS 1000000

/* What classify found; serve too, if it did not learn. */
enum {
    AC_RCE_KNOWN = 0,     /* all that fired have one label; learn: nothing had to change */
    AC_RCE_AMBIGUOUS = 1, /* labels differ: the nearest centre of those that fired wins */
    AC_RCE_UNKNOWN = 2,   /* nothing fired: the label is that of the nearest centre, NONE without neurons */
    /* What learn did; a change of several kinds is the last of them. */
    AC_RCE_SHRUNK = 3, /* neurons of other labels became smaller */
    AC_RCE_ADDED = 4,
    AC_RCE_REPLACED = 5, /* added in the place of the oldest */
    AC_RCE_REFUSED = 6,  /* full, and `refuse` is set: no neuron was added */
    AC_RCE_CONFLICT = 7, /* a centre of another label lies exactly at x: it stays, and none is added */
    /* How an epoch ended. */
    AC_RCE_CONVERGED = 8, /* nothing was added, shrunk or removed */
    AC_RCE_CHANGED = 9,
    AC_RCE_BAD_CALL = -1,  /* an argument or setting that cannot be; nothing has changed */
    AC_RCE_NOT_FINITE = -2 /* a feature is NaN or infinite; nothing has changed */
};

typedef struct {
    float reach;  /* R_max / sqrt(n), 1e-6 .. 1e6 */
    float least;  /* R_min / sqrt(n), 0 .. reach; 0: none is removed */
    float relief; /* 0 .. 1e6, like the two below */
    float idle;
    float blame;
    uint32_t bounded; /* 1: a new ball reaches no centre of another label; 0: its radius is R_max */
    uint32_t refuse;  /* 1: a full table stays as it is */
} ac_rce_settings;

typedef struct {
    float radius; /* squared; > 0 */
    float age;
    uint16_t label;
} ac_rce_neuron;

/* Belongs to the caller, who only reads it. */
typedef struct {
    ac_rce_settings settings;
    float *centres;         /* [capacity,n] */
    ac_rce_neuron *neurons; /* [capacity] */
    uint32_t n;
    uint32_t capacity;
    uint32_t count;     /* neurons now */
    uint32_t changes;   /* samples that changed something since the epoch began */
    uint32_t removed;   /* neurons replaced or removed since the start */
    uint32_t conflicts; /* since the start */
    uint64_t
        distances; /* of vectors computed since the start: the cost, whatever a distance is said to cost */
} ac_rce;

typedef struct {
    int32_t label;
    int32_t neuron; /* whose label it is */
    float distance; /* squared, to its centre; 0 without neurons */
    uint32_t fired;
} ac_rce_result;

/* The label of x[n] as its user says, or a negative number if there is no answer. `guess` is the label of the
 * nearest centre, or NONE. */
typedef int32_t (*ac_rce_ask)(void *user, const float *x, int32_t guess);

/* TinyRCE: reach 0.75, least 0.05, relief 1, idle 0.1, blame 1, bounded, a full table replaces. */
void ac_rce_defaults(ac_rce_settings *settings);

/* RCE without additions: reach 0.75, bounded, no ages, none removed, a full table refuses. */
void ac_rce_baseline(ac_rce_settings *settings);

/* Begins without neurons, for vectors of n <= AC_VECTOR_MAX; centres[capacity,n], neurons[capacity]. */
int ac_rce_start(ac_rce *rce, const ac_rce_settings *settings, uint32_t n, float *centres,
                 ac_rce_neuron *neurons, uint32_t capacity);

/* Learns x[n]. KNOWN, or what changed. */
int ac_rce_learn(ac_rce *rce, const float *x, int32_t label);

/* Ends an epoch: removes neurons below R_min. CONVERGED or CHANGED. */
int ac_rce_end_epoch(ac_rce *rce);

/* Learns x[F,n] epoch by epoch until one changes nothing, at most `epochs` times. CONVERGED or CHANGED, or
 * the code of a sample that cannot be: those before it are learned. */
int ac_rce_fit(ac_rce *rce, const float *x, const uint16_t *labels, uint32_t F, uint32_t epochs);

/* The label of x[n]: KNOWN, AMBIGUOUS or UNKNOWN. */
int ac_rce_classify(ac_rce *rce, const float *x, ac_rce_result *result);

/* Classifies x[n]; what is unknown is asked for and learned at once. What classify says if there was no need
 * to ask or no answer, else what learn says; then *result has the user's label. */
int ac_rce_serve(ac_rce *rce, const float *x, ac_rce_ask ask, void *user, ac_rce_result *result);

#ifdef __cplusplus
}
#endif

#endif
