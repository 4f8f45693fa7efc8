/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts the sound of a microphone into overlapping windows for a classifier, while other work goes on.
 *
 * The microphone writes in an interrupt, the main loop reads: one writer, any number of readers, no lock. The
 * writer never waits. It overwrites the oldest samples, and a window that was overwritten before it was
 * taken, even while it was taken, counts as missed. The counters are words, which all processors load and
 * store at once, and `volatile` keeps their order on the core that has both. Where the writer is another core
 * or a DMA, it needs a memory barrier of its own before and after ac_listen_push.
 *
 *     ac_listen_start(&listen, ring, 24000);
 *     ac_listen_join(&reader, &listen, 16000, 4000);           windows of 1 s every 250 ms, 250 ms to spare
 *     in the interrupt: ac_listen_push(&listen, pcm, 320);
 *     in the loop:      if (ac_listen_due(&reader) != 0) {
 *                           ac_listen_take(&reader, window);
 *                           features and predict, then:
 *                           ac_listen_smooth(posteriors, scores, 12, 0.5f);
 *                       } else
 *                           something else that takes less than ac_listen_spare(&reader) samples */
#ifndef AC_LISTEN_H
#define AC_LISTEN_H

#include "../scores/scores.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AC_LISTEN_OK = 0,
    AC_LISTEN_NONE = 1,       /* no window is due yet */
    AC_LISTEN_MISSED = 2,     /* windows were overwritten; this is the oldest that was not */
    AC_LISTEN_BAD_CALL = -1,  /* an argument that cannot be */
    AC_LISTEN_NOT_FINITE = -2 /* a score is NaN or infinite; the posteriors are as they were */
};

/* Belong to the caller, who only reads them. Counters of samples begin again after 2^32. */
typedef struct {
    int16_t *ring;
    uint32_t capacity;         /* samples */
    volatile uint32_t place;   /* of the writer, in the ring */
    volatile uint32_t claimed; /* samples that the writer has begun to write */
    volatile uint32_t written; /* samples that are there */
} ac_listen;

typedef struct {
    const ac_listen *listen;
    uint32_t window; /* samples */
    uint32_t hop;    /* samples from the start of a window to that of the next */
    uint32_t start;  /* sample with which the next window begins */
    uint32_t place;  /* of that, in the ring */
    uint32_t taken;  /* windows */
    uint32_t missed; /* windows */
} ac_listen_reader;

/* Begins with an empty ring[capacity], at most 2^30. */
int ac_listen_start(ac_listen *listen, int16_t *ring, uint32_t capacity);

/* Takes pcm[count] from the microphone; count is at most the capacity. */
int ac_listen_push(ac_listen *listen, const int16_t *pcm, uint32_t count);

/* Begins to read with the sample that comes next; window and hop fit the ring together, hop is at most a
 * window. OK, or NONE if the writer was at work all the time: then call again. */
int ac_listen_join(ac_listen_reader *reader, const ac_listen *listen, uint32_t window, uint32_t hop);

/* How many windows wait. */
uint32_t ac_listen_due(const ac_listen_reader *reader);

/* Samples of time until the next window to be taken is overwritten: what else is done must take less. */
uint32_t ac_listen_spare(const ac_listen_reader *reader);

/* The oldest window that waits, as x[window]. OK, MISSED or NONE. */
int ac_listen_take(ac_listen_reader *reader, int16_t *x);

/* posteriors[classes] = inertia x posteriors + (1 - inertia) x softmax(scores). Begin with zeros, which count
 * as nothing known: then they become the softmax. Inertia 0 .. below 1. */
int ac_listen_smooth(float *posteriors, const float *scores, int32_t classes, float inertia);

#ifdef __cplusplus
}
#endif

#endif
