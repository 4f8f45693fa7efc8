/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <stddef.h>
#include <string.h>

#define CAPACITY_MAX 1073741824u
#define TURNS 8

int ac_listen_start(ac_listen *listen, int16_t *ring, uint32_t capacity) {
    if (listen == NULL) {
        return AC_LISTEN_BAD_CALL;
    }
    memset(listen, 0, sizeof *listen);
    if (ring == NULL || capacity == 0 || capacity > CAPACITY_MAX) {
        return AC_LISTEN_BAD_CALL;
    }
    listen->ring = ring;
    listen->capacity = capacity;
    return AC_LISTEN_OK;
}

int ac_listen_push(ac_listen *listen, const int16_t *pcm, uint32_t count) {
    if (listen == NULL || pcm == NULL || listen->ring == NULL || count > listen->capacity) {
        return AC_LISTEN_BAD_CALL;
    }
    volatile int16_t *ring = listen->ring; /* keeps its order to the counters */
    uint32_t place = listen->place;
    listen->claimed += count;
    for (uint32_t i = 0; i < count; i++) {
        ring[place] = pcm[i];
        place = place + 1 == listen->capacity ? 0 : place + 1;
    }
    listen->place = place;
    listen->written += count;
    return AC_LISTEN_OK;
}

int ac_listen_join(ac_listen_reader *reader, const ac_listen *listen, uint32_t window, uint32_t hop) {
    if (reader == NULL) {
        return AC_LISTEN_BAD_CALL;
    }
    memset(reader, 0, sizeof *reader);
    if (listen == NULL || listen->ring == NULL || hop == 0 || hop > window || window > listen->capacity ||
        hop > listen->capacity - window) {
        return AC_LISTEN_BAD_CALL;
    }
    reader->window = window;
    reader->hop = hop;
    /* The writer may come between its counter and its place: then once more. */
    for (int turn = 0; turn < TURNS; turn++) {
        reader->start = listen->written;
        reader->place = listen->place;
        if (listen->claimed == reader->start) {
            reader->listen = listen;
            return AC_LISTEN_OK;
        }
    }
    return AC_LISTEN_NONE;
}

uint32_t ac_listen_due(const ac_listen_reader *reader) {
    if (reader == NULL || reader->listen == NULL) {
        return 0;
    }
    const uint32_t there = reader->listen->written - reader->start;
    return there < reader->window ? 0 : (there - reader->window) / reader->hop + 1;
}

/* Samples since the start of the next window that the writer has begun to write. */
static uint32_t used(const ac_listen_reader *reader) {
    return reader->listen->claimed - reader->start;
}

uint32_t ac_listen_spare(const ac_listen_reader *reader) {
    if (reader == NULL || reader->listen == NULL) {
        return 0;
    }
    const uint32_t capacity = reader->listen->capacity, now = used(reader);
    return now < capacity ? capacity - now : 0;
}

/* On by this many windows. */
static void move_on(ac_listen_reader *reader, uint32_t windows) {
    const uint64_t samples = (uint64_t)windows * reader->hop;
    reader->start += (uint32_t)samples;
    reader->place = (uint32_t)((reader->place + samples) % reader->listen->capacity);
}

static int is_overwritten(const ac_listen_reader *reader) {
    return used(reader) > reader->listen->capacity;
}

/* The reader may be so late that the writer has gone round more than once: all at one go. */
static void pass_over(ac_listen_reader *reader) {
    const uint32_t late = used(reader) - reader->listen->capacity;
    const uint32_t windows = (late - 1) / reader->hop + 1;
    reader->missed += windows;
    move_on(reader, windows);
}

static void copy(const ac_listen_reader *reader, int16_t *x) {
    const volatile int16_t *ring = reader->listen->ring;
    uint32_t place = reader->place;
    for (uint32_t i = 0; i < reader->window; i++) {
        x[i] = ring[place];
        place = place + 1 == reader->listen->capacity ? 0 : place + 1;
    }
}

int ac_listen_take(ac_listen_reader *reader, int16_t *x) {
    int status = AC_LISTEN_OK;
    if (reader == NULL || reader->listen == NULL || x == NULL) {
        return AC_LISTEN_BAD_CALL;
    }
    /* Once more for a window that was overwritten while it was copied; a writer that is faster than two
     * copies leaves nothing to classify. */
    for (int turn = 0; turn < 2; turn++) {
        if (is_overwritten(reader)) {
            pass_over(reader);
            status = AC_LISTEN_MISSED;
        }
        if (ac_listen_due(reader) == 0) {
            return AC_LISTEN_NONE;
        }
        copy(reader, x);
        if (!is_overwritten(reader)) {
            move_on(reader, 1);
            reader->taken++;
            return status;
        }
    }
    return AC_LISTEN_NONE;
}

int ac_listen_smooth(float *posteriors, const float *scores, int32_t classes, float inertia) {
    if (posteriors == NULL || scores == NULL || classes <= 0 || !(inertia >= 0.0f && inertia < 1.0f)) {
        return AC_LISTEN_BAD_CALL;
    }
    float best, sum, known = 0.0f;
    if (ac_scores_normalizer(&best, &sum, scores, classes) != AC_SCORES_OK) {
        return AC_LISTEN_NOT_FINITE;
    }
    for (int32_t k = 0; k < classes; k++) {
        known += posteriors[k];
    }
    const float kept = known > 0.0f ? inertia : 0.0f;
    for (int32_t k = 0; k < classes; k++) {
        posteriors[k] = kept * posteriors[k] + (1.0f - kept) * ac_scores_exp(scores[k] - best) / sum;
    }
    return AC_LISTEN_OK;
}
