/* SPDX-License-Identifier: Apache-2.0 */
#include "codec.h"

#include <string.h>

#define LAST_STEP 88
#define PIECE 64 /* samples; divides a block */
#define MULAW_BIAS 132
#define MULAW_CLIP 32635

typedef union {
    int16_t at[LAST_STEP + 2];
    uint32_t words[(LAST_STEP + 2) / 2];
} steps_table;

/* Each step is 1.1 times the one before. Source: IMA, Recommended Practices for Enhancing Digital Audio
 * Compatibility in Multimedia Systems, revision 3.00, 1992. */
static const steps_table steps = {{
    7,    8,     9,     10,    11,    12,    13,    14,    16,    17,    19,    21,    23,    25,    28,
    31,   34,    37,    41,    45,    50,    55,    60,    66,    73,    80,    88,    97,    107,   118,
    130,  143,   157,   173,   190,   209,   230,   253,   279,   307,   337,   371,   408,   449,   494,
    544,  598,   658,   724,   796,   876,   963,   1060,  1166,  1282,  1411,  1552,  1707,  1878,  2066,
    2272, 2499,  2749,  3024,  3327,  3660,  4026,  4428,  4871,  5358,  5894,  6484,  7132,  7845,  8630,
    9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
}};

static int32_t limited(int32_t v, int32_t low, int32_t high) {
    return v < low ? low : v > high ? high : v;
}

/* What a code adds to the sample before; `step` belongs to *index, which moves. */
static inline int32_t change_of(int32_t *index, int32_t step, uint32_t code) {
    int32_t change = step >> 3;
    if ((code & 4) != 0) {
        change += step;
        *index += (int32_t)(2 * (code & 3)) + 2;
        *index = *index > LAST_STEP ? LAST_STEP : *index;
    } else {
        *index -= *index > 0;
    }
    change += (code & 2) != 0 ? step >> 1 : 0;
    change += (code & 1) != 0 ? step >> 2 : 0;
    return (code & 8) != 0 ? -change : change;
}

static int32_t as_sample(int32_t v) {
    return limited(v, INT16_MIN, INT16_MAX);
}

int16_t ac_codec_adpcm_decode(ac_codec_adpcm *state, uint8_t code) {
    int32_t index = limited(state->index, 0, LAST_STEP);
    state->predicted = (int16_t)as_sample(state->predicted + change_of(&index, steps.at[index], code));
    state->index = (uint8_t)index;
    return state->predicted;
}

/* Codes and samples pass through the stack: constants and arrays may lie in a memory that is far from the
 * core, where an access to a word takes as long as one to a byte. */
typedef union {
    int16_t samples[PIECE];
    uint32_t whole_words;
} samples_piece;

typedef union {
    uint8_t codes[PIECE / 2];
    uint32_t whole_words;
} codes_piece;

/* x[count], at most a piece, from the codes. Two samples share the question whether they saturate. */
static void unpack_piece(ac_codec_adpcm *state, int16_t *x, const uint8_t *codes, uint32_t count,
                         const int16_t *step_of) {
    int32_t predicted = state->predicted, index = state->index;
    for (uint32_t i = 0; i < count / 2; i++) {
        const uint32_t pair = codes[i];
        int32_t first = predicted + change_of(&index, step_of[index], pair);
        const int32_t change = change_of(&index, step_of[index], pair >> 4);
        predicted = first + change;
        if ((((uint32_t)first + 32768u) | ((uint32_t)predicted + 32768u)) > 65535u) {
            first = as_sample(first);
            predicted = as_sample(first + change);
        }
        x[2 * i] = (int16_t)first;
        x[2 * i + 1] = (int16_t)predicted;
    }
    if (count % 2 != 0) {
        predicted = as_sample(predicted + change_of(&index, step_of[index], codes[count / 2]));
        x[count - 1] = (int16_t)predicted;
    }
    state->predicted = (int16_t)predicted;
    state->index = (uint8_t)index;
}

/* NOTE: volatile, or a compiler that sees a copy of constants reads the constants instead. */
static void fetch_steps(steps_table *near) {
    const volatile steps_table *far = &steps;
    for (uint32_t i = 0; i < sizeof near->words / sizeof *near->words; i++) {
        near->words[i] = far->words[i];
    }
}

void ac_codec_adpcm_unpack(int16_t *x, const uint8_t *bytes, uint32_t count) {
    steps_table near;
    ac_codec_adpcm state = {0, 0};
    codes_piece in;
    samples_piece out;
    fetch_steps(&near);
    for (uint32_t done = 0; done < count; done += PIECE) {
        const uint32_t left = count - done, now = left < PIECE ? left : PIECE;
        if (done % AC_CODEC_BLOCK == 0) {
            state.predicted = (int16_t)(uint16_t)(bytes[0] | bytes[1] << 8);
            state.index = (uint8_t)limited(bytes[2], 0, LAST_STEP);
            bytes += AC_CODEC_STATE_BYTES;
        }
        memcpy(in.codes, bytes, (now + 1) / 2);
        unpack_piece(&state, out.samples, in.codes, now, near.at);
        memcpy(x + done, out.samples, now * sizeof *x);
        bytes += PIECE / 2;
    }
}

uint8_t ac_codec_adpcm_encode(ac_codec_adpcm *state, int16_t sample) {
    int32_t step = steps.at[limited(state->index, 0, LAST_STEP)];
    int32_t left = sample - state->predicted;
    uint8_t code = 0;
    if (left < 0) {
        left = -left;
        code = 8;
    }
    for (int bit = 4; bit > 0; bit >>= 1) {
        if (left >= step) {
            left -= step;
            code = (uint8_t)(code | bit);
        }
        step >>= 1;
    }
    ac_codec_adpcm_decode(state, code); /* the state of the decoder, or errors would add up */
    return code;
}

uint8_t ac_codec_mulaw_encode(int16_t sample) {
    const int negative = sample < 0;
    const int32_t size = limited(negative ? -(int32_t)sample : sample, 0, MULAW_CLIP) + MULAW_BIAS;
    int segment = 0;
    while (segment < 7 && size >> (segment + 8) != 0) {
        segment++;
    }
    const int32_t code = (negative ? 0x80 : 0) | segment << 4 | ((size >> (segment + 3)) & 15);
    return (uint8_t)~code;
}

int16_t ac_codec_mulaw_decode(uint8_t code) {
    const int32_t bits = ~code & 0xFF;
    const int32_t size = ((((bits & 15) << 3) + MULAW_BIAS) << ((bits >> 4) & 7)) - MULAW_BIAS;
    return (int16_t)((bits & 0x80) != 0 ? -size : size);
}
