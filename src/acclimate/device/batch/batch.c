/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <stddef.h>
#include <string.h>

#define ROUNDS 6

/* What a key is for: no two purposes may share one. */
enum { FOR_ORDER = 1, FOR_CLEAN = 2, FOR_CLASSES = 3, FOR_MEMBERS = 4 };

/* The finalizer of MurmurHash3: every bit of the result depends on every bit of the number. */
static uint32_t scrambled(uint32_t v) {
    v = (v ^ v >> 16) * 0x85EBCA6Bu;
    v = (v ^ v >> 13) * 0xC2B2AE35u;
    return v ^ v >> 16;
}

static uint32_t key_of(const ac_batch *batch, uint32_t purpose, uint32_t a, uint32_t b) {
    return scrambled(scrambled(scrambled(batch->seed ^ purpose * 0x9E3779B9u) + a) + b);
}

/* A Feistel network of 2 x half bits: a permutation whatever the round function is. */
static uint32_t shuffled(uint32_t v, uint32_t half, uint32_t key) {
    const uint32_t mask = (1u << half) - 1;
    uint32_t left = v >> half, right = v & mask;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t next = left ^ (scrambled(right + scrambled(key + round)) & mask);
        left = right;
        right = next;
    }
    return left << half | right;
}

uint32_t ac_batch_permuted(uint32_t i, uint32_t N, uint32_t key) {
    uint32_t half = 2;
    if (i >= N || N > AC_BATCH_MAX) {
        return 0;
    }
    while (1u << (2 * half) < N) {
        half++;
    }
    /* Walks along the cycle until it is back below N: i itself is, so it ends. */
    do {
        i = shuffled(i, half, key);
    } while (i >= N);
    return i;
}

int ac_batch_start(ac_batch *batch, uint32_t N, float clean_share, uint32_t seed) {
    if (batch == NULL || N == 0 || N > AC_BATCH_MAX || !(clean_share >= 0.0f && clean_share <= 1.0f)) {
        return AC_BATCH_BAD_CALL;
    }
    memset(batch, 0, sizeof *batch);
    batch->N = N;
    /* Two steps: as one number, the sum would be rounded for large N. */
    const float clean = clean_share * (float)N;
    const uint32_t whole = (uint32_t)clean;
    batch->clean = whole + (clean - (float)whole >= 0.5f ? 1u : 0u);
    batch->seed = seed;
    return AC_BATCH_OK;
}

int ac_batch_start_balanced(ac_batch *batch, uint32_t N, float clean_share, uint32_t seed,
                            const uint8_t *labels) {
    const int status = labels == NULL ? AC_BATCH_BAD_CALL : ac_batch_start(batch, N, clean_share, seed);
    if (status != AC_BATCH_OK) {
        return status;
    }
    batch->labels = labels;
    for (uint32_t i = 0; i < N; i++) {
        const uint8_t bit = (uint8_t)(1u << (labels[i] & 7));
        batch->classes += (batch->present[labels[i] >> 3] & bit) == 0;
        batch->present[labels[i] >> 3] |= bit;
    }
    return AC_BATCH_OK;
}

/* The present class number `rank`. */
static uint8_t class_of_rank(const ac_batch *batch, uint32_t rank) {
    uint32_t label = 0;
    for (; label < 255; label++) {
        const uint32_t there = (uint32_t)batch->present[label >> 3] >> (label & 7) & 1u;
        if (there != 0 && rank-- == 0) {
            break;
        }
    }
    return (uint8_t)label;
}

static uint32_t balanced(const ac_batch *batch) {
    const uint32_t round = batch->draws / batch->classes;
    const uint32_t turn = batch->draws % batch->classes;
    const uint32_t rank = ac_batch_permuted(turn, batch->classes, key_of(batch, FOR_CLASSES, round, 0));
    const uint8_t label = class_of_rank(batch, rank);
    uint32_t members = 0, at = 0;
    for (uint32_t i = 0; i < batch->N; i++) {
        members += batch->labels[i] == label;
    }
    if (members == 0) {
        return 0; /* the caller has changed the labels */
    }
    const uint32_t key = key_of(batch, FOR_MEMBERS, label, round / members);
    uint32_t wanted = ac_batch_permuted(round % members, members, key);
    for (; at + 1 < batch->N; at++) {
        if (batch->labels[at] == label && wanted-- == 0) {
            break;
        }
    }
    return at;
}

int ac_batch_next(ac_batch *batch, ac_batch_draw *draw) {
    if (batch == NULL || draw == NULL || batch->N == 0) {
        return AC_BATCH_BAD_CALL;
    }
    const uint32_t position = batch->position, epoch = batch->epoch;
    if (batch->classes != 0) {
        draw->utterance = balanced(batch);
    } else {
        draw->utterance = ac_batch_permuted(position, batch->N, key_of(batch, FOR_ORDER, epoch, 0));
    }
    const uint32_t place = ac_batch_permuted(position, batch->N, key_of(batch, FOR_CLEAN, epoch, 0));
    draw->clean = place < batch->clean;
    batch->draws++;
    batch->position = position + 1 == batch->N ? 0 : position + 1;
    batch->epoch += batch->position == 0;
    return position == 0 ? AC_BATCH_NEW_EPOCH : AC_BATCH_OK;
}
