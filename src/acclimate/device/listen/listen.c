/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <stddef.h>
#include <string.h>

#define CAPACITY_MAX 1073741824u

int ac_listen_start(ac_listen *listen, int16_t *ring, uint32_t capacity, uint32_t window, uint32_t hop) {
    if (listen == NULL) {
        return AC_LISTEN_BAD_CALL;
    }
    memset(listen, 0, sizeof *listen);
    if (ring == NULL || hop == 0 || hop > window || capacity > CAPACITY_MAX || window > capacity ||
        hop > capacity - window) {
        return AC_LISTEN_BAD_CALL;
    }
    listen->ring = ring;
    listen->capacity = capacity;
    listen->window = window;
    listen->hop = hop;
    return AC_LISTEN_OK;
}

int ac_listen_push(ac_listen *listen, const int16_t *pcm, uint32_t count) {
    if (listen == NULL || pcm == NULL || listen->ring == NULL || count > listen->capacity - listen->window) {
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

uint32_t ac_listen_due(const ac_listen *listen) {
    if (listen == NULL || listen->ring == NULL) {
        return 0;
    }
    const uint32_t there = listen->written - listen->start;
    return there < listen->window ? 0 : (there - listen->window) / listen->hop + 1;
}

uint32_t ac_listen_spare(const ac_listen *listen) {
    if (listen == NULL || listen->ring == NULL) {
        return 0;
    }
    const uint32_t used = listen->claimed - listen->start;
    return used < listen->capacity ? listen->capacity - used : 0;
}

/* On to the next window. */
static void move_on(ac_listen *listen) {
    const uint32_t left = listen->capacity - listen->start_place;
    listen->start += listen->hop;
    listen->start_place = listen->hop < left ? listen->start_place + listen->hop : listen->hop - left;
}

static int is_overwritten(const ac_listen *listen) {
    return listen->claimed - listen->start > listen->capacity;
}

/* The reader may be so late that the writer has gone round more than once: hops are passed over at once. */
static void pass_over(ac_listen *listen) {
    const uint32_t late = listen->claimed - listen->start - listen->capacity;
    const uint32_t hops = (late - 1) / listen->hop + 1;
    listen->missed += hops;
    listen->start += hops * listen->hop;
    listen->start_place = (uint32_t)((listen->start_place + (uint64_t)hops * listen->hop) % listen->capacity);
}

static void copy(const ac_listen *listen, int16_t *x) {
    const volatile int16_t *ring = listen->ring;
    uint32_t place = listen->start_place;
    for (uint32_t i = 0; i < listen->window; i++) {
        x[i] = ring[place];
        place = place + 1 == listen->capacity ? 0 : place + 1;
    }
}

int ac_listen_take(ac_listen *listen, int16_t *x) {
    int status = AC_LISTEN_OK;
    if (listen == NULL || listen->ring == NULL || x == NULL) {
        return AC_LISTEN_BAD_CALL;
    }
    /* Once more for a window that was overwritten while it was copied; a writer that is faster than two
     * copies leaves nothing to classify. */
    for (int turn = 0; turn < 2; turn++) {
        if (is_overwritten(listen)) {
            pass_over(listen);
            status = AC_LISTEN_MISSED;
        }
        if (ac_listen_due(listen) == 0) {
            return AC_LISTEN_NONE;
        }
        copy(listen, x);
        if (!is_overwritten(listen)) {
            move_on(listen);
            listen->taken++;
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
