/* SPDX-License-Identifier: Apache-2.0 */
#include "codec.h"

#define LAST_STEP 88
#define MULAW_BIAS 132
#define MULAW_CLIP 32635

/* Each step is 1.1 times the one before. Source: IMA, Recommended Practices for Enhancing Digital Audio
 * Compatibility in Multimedia Systems, revision 3.00, 1992. */
static const int16_t steps[LAST_STEP + 1] = {
    7,    8,     9,     10,    11,    12,    13,    14,    16,    17,    19,    21,    23,    25,    28,
    31,   34,    37,    41,    45,    50,    55,    60,    66,    73,    80,    88,    97,    107,   118,
    130,  143,   157,   173,   190,   209,   230,   253,   279,   307,   337,   371,   408,   449,   494,
    544,  598,   658,   724,   796,   876,   963,   1060,  1166,  1282,  1411,  1552,  1707,  1878,  2066,
    2272, 2499,  2749,  3024,  3327,  3660,  4026,  4428,  4871,  5358,  5894,  6484,  7132,  7845,  8630,
    9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
};
static const int8_t moves[8] = {-1, -1, -1, -1, 2, 4, 6, 8};

static int32_t limited(int32_t v, int32_t low, int32_t high) {
    return v < low ? low : v > high ? high : v;
}

int16_t ac_codec_adpcm_decode(ac_codec_adpcm *state, uint8_t code) {
    const int32_t index = limited(state->index, 0, LAST_STEP);
    const int32_t step = steps[index];
    int32_t change = step >> 3;
    change += (code & 4) != 0 ? step : 0;
    change += (code & 2) != 0 ? step >> 1 : 0;
    change += (code & 1) != 0 ? step >> 2 : 0;
    const int32_t sample = state->predicted + ((code & 8) != 0 ? -change : change);
    state->predicted = (int16_t)limited(sample, INT16_MIN, INT16_MAX);
    state->index = (uint8_t)limited(index + moves[code & 7], 0, LAST_STEP);
    return state->predicted;
}

uint8_t ac_codec_adpcm_encode(ac_codec_adpcm *state, int16_t sample) {
    int32_t step = steps[limited(state->index, 0, LAST_STEP)];
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
