/* SPDX-License-Identifier: Apache-2.0 */
/* Mixing 16-bit samples, by all cores of a team. */
#include <stddef.h>
#include <string.h>

#include "parts.h"

#define BLOCK 48 /* samples that are near the core */

/* From this gain on two steps of noise saturate whatever the speech is. Below it the product with any sample,
 * plus any speech, is within 32 bits. */
#define LOUD 65000.0f

typedef struct {
    int16_t *out;
    const int16_t *speech;
    const int16_t *noise;
    int32_t T;
    int32_t shift;
    int32_t from; /* speech reaches out[from .. to - 1] */
    int32_t to;
    int32_t begin; /* out[begin .. end - 1] is computed */
    int32_t end;
    float gain;
    uint32_t parts;
    union {
        uint64_t energies[2]; /* of speech and noise */
        int32_t saturated;
    } of[AC_TEAM_MOST];
} mixing;

typedef union {
    int16_t at[BLOCK + 1];
    uint32_t whole_words;
} block;

/* A place on the stack for samples of `far`: in a far memory an access to a word takes as long as one to a
 * sample, and memcpy moves words where both sides begin with one. */
static int16_t *beside(block *near, const int16_t *far) {
    return near->at + (uintptr_t)far / sizeof *far % 2;
}

/* Copies x[count], count > 0, from or to such a place. */
static void copy(int16_t *to, const int16_t *x, int32_t count) {
    const size_t odd = (uintptr_t)x / sizeof *x % 2;
    to[0] = x[0];
    memcpy(to + odd, x + odd, ((size_t)count - odd) * sizeof *x);
}

static int16_t *fetch(block *near, const int16_t *x, int32_t count) {
    int16_t *to = beside(near, x);
    copy(to, x, count);
    return to;
}

static uint64_t energy(const int16_t *x, int32_t count) {
    uint64_t sum = 0;
    for (int32_t t = 0; t + 1 < count; t += 2) {
        sum += (uint32_t)(x[t] * x[t]) + (uint32_t)(x[t + 1] * x[t + 1]); /* at most 2^31 */
    }
    return count % 2 != 0 ? sum + (uint32_t)(x[count - 1] * x[count - 1]) : sum;
}

static void sum_part(void *work, int32_t part) {
    mixing *m = work;
    const int32_t begin = (int32_t)ac_team_begin((uint32_t)m->T, (uint32_t)part, m->parts);
    const int32_t end = (int32_t)ac_team_begin((uint32_t)m->T, (uint32_t)part + 1, m->parts);
    const int32_t from = begin > m->from ? begin : m->from, to = end < m->to ? end : m->to;
    uint64_t speech = 0, noise = 0;
    for (int32_t t = begin; t < end; t += BLOCK) {
        block near;
        const int32_t count = end - t < BLOCK ? end - t : BLOCK;
        noise += energy(fetch(&near, m->noise + t, count), count);
    }
    for (int32_t t = from; t < to; t += BLOCK) {
        block near;
        const int32_t count = to - t < BLOCK ? to - t : BLOCK;
        speech += energy(fetch(&near, m->speech + (t - m->shift), count), count);
    }
    m->of[part].energies[0] = speech;
    m->of[part].energies[1] = noise;
}

/* Speech plus noise at a gain below LOUD, which is rounded half away from zero. */
static int32_t sum_of(int32_t speech, int32_t noise, float gain) {
    const uint32_t bits = 0x3F000000u | ((uint32_t)noise & 0x80000000u); /* one half with the sign of noise */
    float half;
    memcpy(&half, &bits, sizeof half);
    const float scaled = gain * (float)noise;
    const float moved = scaled + half;
    return speech + (int32_t)moved;
}

static int16_t kept(int32_t sum, int32_t *saturated) {
    if (sum >= INT16_MIN && sum <= INT16_MAX) {
        return (int16_t)sum;
    }
    (*saturated)++;
    return sum < 0 ? INT16_MIN : INT16_MAX;
}

/* Sums out[count]. Whether any saturates is asked once: then all are summed again. */
static int32_t put(int16_t *out, const int16_t *speech, const int16_t *noise, int32_t count, float gain) {
    uint32_t beyond = 0;
    int32_t saturated = 0;
    for (int32_t t = 0; t < count; t++) {
        const int32_t sum = sum_of(speech[t], noise[t], gain);
        beyond |= (uint32_t)sum + 32768u;
        out[t] = (int16_t)sum;
    }
    for (int32_t t = 0; t < count && beyond > 65535u; t++) {
        out[t] = kept(sum_of(speech[t], noise[t], gain), &saturated);
    }
    return saturated;
}

/* Does what LOUD says. */
static void bound(int16_t *noise, int32_t count) {
    for (int32_t t = 0; t < count; t++) {
        noise[t] = (int16_t)(noise[t] > 2 ? 2 : noise[t] < -2 ? -2 : noise[t]);
    }
}

/* out[begin .. end - 1], all of it with speech or without; from the end if out may be speech that moves
 * there. */
static int32_t mix_range(const mixing *m, int32_t begin, int32_t end, int spoken) {
    int32_t saturated = 0;
    for (int32_t done = 0; done < end - begin; done += BLOCK) {
        block a, b, c;
        const int32_t left = end - begin - done, now = left < BLOCK ? left : BLOCK;
        const int32_t first = m->shift > 0 ? end - done - now : begin + done;
        int16_t *const noise = fetch(&a, m->noise + first, now), *const sum = beside(&c, m->out + first);
        const int16_t *speech = b.at;
        if (spoken) {
            speech = fetch(&b, m->speech + (first - m->shift), now);
        } else {
            memset(&b, 0, sizeof b);
        }
        if (m->gain > LOUD) {
            bound(noise, now);
        }
        saturated += put(sum, speech, noise, now, m->gain);
        copy(m->out + first, sum, now);
    }
    return saturated;
}

static int32_t inside(int32_t t, int32_t low, int32_t high) {
    return t < low ? low : t > high ? high : t;
}

static void mix_part(void *work, int32_t part) {
    mixing *m = work;
    const uint32_t count = (uint32_t)(m->end - m->begin);
    const int32_t begin = m->begin + (int32_t)ac_team_begin(count, (uint32_t)part, m->parts);
    const int32_t end = m->begin + (int32_t)ac_team_begin(count, (uint32_t)part + 1, m->parts);
    const int32_t from = inside(m->from, begin, end), to = inside(m->to, from, end);
    /* First where speech is: what has none may lie over speech that is still to be moved. */
    const int32_t saturated = mix_range(m, from, to, 1);
    m->of[part].saturated = saturated + mix_range(m, begin, from, 0) + mix_range(m, to, end, 0);
}

/* All of out. If it is speech itself, moved by a shift, then in rounds no longer than the shift: what a round
 * writes no part of it reads. */
static int32_t mix_all(const ac_team *team, mixing *m) {
    const int32_t distance = m->shift < 0 ? -m->shift : m->shift;
    int32_t length = m->out == m->speech && distance != 0 ? distance : m->T;
    int32_t saturated = 0;
    if (length < (int32_t)ac_team_parts(team)) {
        team = NULL;
        length = m->T;
    }
    m->parts = ac_team_parts(team);
    for (int32_t done = 0; done < m->T; done += length) {
        const int32_t now = m->T - done < length ? m->T - done : length;
        m->begin = m->shift > 0 ? m->T - done - now : done;
        m->end = m->begin + now;
        ac_team_do(team, mix_part, m);
        for (uint32_t i = 0; i < m->parts; i++) {
            saturated += m->of[i].saturated;
        }
        if (length >= m->T) {
            break; /* done + length may not be a number */
        }
    }
    return saturated;
}

int ac_mix_s16_by(const ac_team *team, int16_t *out, const int16_t *speech, const int16_t *noise, int32_t T,
                  int32_t noise_T, int32_t shift, int32_t crop, float snr_db, int32_t *clipped) {
    mixing m = {0};
    uint64_t speech_sum = 0, noise_sum = 0;
    if (!ac_mix_is_possible(out, speech, noise, T, noise_T, crop, snr_db)) {
        return AC_MIX_BAD_CALL;
    }
    m.out = out;
    m.speech = speech;
    m.noise = noise + crop;
    m.T = T;
    ac_mix_reach(T, shift, &m.from, &m.to);
    m.shift = m.from < m.to ? shift : 0; /* no speech is left to be moved */
    m.parts = ac_team_parts(team);
    ac_team_do(team, sum_part, &m);
    for (uint32_t i = 0; i < m.parts; i++) {
        speech_sum += m.of[i].energies[0];
        noise_sum += m.of[i].energies[1];
    }
    m.gain = ac_mix_gain((float)speech_sum, (float)noise_sum, snr_db);
    const int32_t saturated = mix_all(team, &m);
    if (clipped != NULL) {
        *clipped = saturated;
    }
    return speech_sum == 0 || noise_sum == 0 ? AC_MIX_UNSCALED : AC_MIX_OK;
}

int ac_mix_s16(int16_t *out, const int16_t *speech, const int16_t *noise, int32_t T, int32_t noise_T,
               int32_t shift, int32_t crop, float snr_db, int32_t *clipped) {
    return ac_mix_s16_by(NULL, out, speech, noise, T, noise_T, shift, crop, snr_db, clipped);
}
