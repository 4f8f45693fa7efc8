/* SPDX-License-Identifier: Apache-2.0 */
/* Says which stored utterance is learned next: every one once per epoch in random order, or every class as
 * often as every other; and which of them stay clean, against forgetting. No list of N numbers is kept: a
 * permutation of 0 .. N - 1 is computed where it is needed.
 *
 *     ac_batch batch;
 *     ac_batch_start(&batch, 120, 0.25f, SEED);
 *     for (;;) {
 *         ac_batch_draw draw = {0, 0};
 *         ac_batch_next(&batch, &draw);
 *         ac_utterances_read_s16(&log, draw.utterance, pcm, 16000);
 *         if (!draw.clean)
 *             ac_mix_s16(...) */
#ifndef AC_BATCH_H
#define AC_BATCH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AC_BATCH_MAX 16777216

enum {
    AC_BATCH_OK = 0,
    AC_BATCH_NEW_EPOCH = 1, /* and this draw is its first one */
    AC_BATCH_BAD_CALL = -1
};

typedef struct {
    uint32_t utterance; /* 0 .. N - 1 */
    int clean;          /* 1: without noise */
} ac_batch_draw;

/* Belongs to the caller, who only reads it. */
typedef struct {
    uint32_t N;
    uint32_t clean; /* draws of an epoch that stay clean */
    uint32_t seed;
    uint32_t position; /* within the epoch */
    uint32_t epoch;
    uint32_t classes; /* that have an utterance; 0: any order */
    uint32_t draws;   /* since the start */
    const uint8_t *labels;
    uint8_t present[32]; /* a bit per class */
} ac_batch;

/* Where a random permutation of 0 .. N - 1 puts i < N <= AC_BATCH_MAX; `key` chooses the permutation. On
 * average at most 4 turns of a loop (16 / N for N below 4), never more than 4 N + 16. */
uint32_t ac_batch_permuted(uint32_t i, uint32_t N, uint32_t key);

/* N utterances, 1 .. AC_BATCH_MAX, in random order; round(N * clean_share) draws of every epoch are clean. */
int ac_batch_start(ac_batch *batch, uint32_t N, float clean_share, uint32_t seed);

/* The same for labels[N], which stay the caller's: classes take turns, in a new order each round, and within
 * a class every utterance comes once before one comes again. An epoch is N draws. A draw takes time
 * proportional to N. */
int ac_batch_start_balanced(ac_batch *batch, uint32_t N, float clean_share, uint32_t seed,
                            const uint8_t *labels);

/* The next utterance. OK or NEW_EPOCH. */
int ac_batch_next(ac_batch *batch, ac_batch_draw *draw);

#ifdef __cplusplus
}
#endif

#endif
