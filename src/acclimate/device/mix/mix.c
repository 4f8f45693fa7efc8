/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <stddef.h>
#include <string.h>

#include "parts.h"

#define BLOCK 64 /* partial sums: an error grows with BLOCK + T / BLOCK instead of T */

float ac_mix_sqrt(float v) {
    uint32_t bits;
    float inverse;
    if (!(v >= FLT_MIN)) {
        return 0.0f;
    }
    /* 1 / sqrt(v): half the exponent, negated, is right to 3.5 %; each step of Newton squares the error. */
    memcpy(&bits, &v, sizeof bits);
    bits = 0x5F3759DFu - (bits >> 1);
    memcpy(&inverse, &bits, sizeof inverse);
    for (int step = 0; step < 3; step++) {
        inverse *= 1.5f - 0.5f * v * inverse * inverse;
    }
    return v * inverse;
}

float ac_mix_amplitude(float db) {
    const float limit = (float)AC_MIX_DECIBELS_MAX;
    const float bounded = db > limit ? limit : db > -limit ? db : -limit; /* NaN is the lower end */
    const float power = bounded * 0.16609640474f;                         /* log2(10) / 20 */
    const int32_t whole = (int32_t)(power + (power < 0.0f ? -0.5f : 0.5f));
    const float x = (power - (float)whole) * 0.69314718056f; /* ln 2 times a rest within +-0.5 */
    const uint32_t bits = (uint32_t)(whole + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    /* e^x to its seventh power: what is left out is at most 0.35^8 / 8! = 5e-9. */
    const float upper = 1.0f / 24.0f + x * (1.0f / 120.0f + x * (1.0f / 720.0f + x * (1.0f / 5040.0f)));
    return scale * (1.0f + x * (1.0f + x * (0.5f + x * (1.0f / 6.0f + x * upper))));
}

static int is_number(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (bits & 0x7F800000u) != 0x7F800000u;
}

static int is_silent(float energy) {
    return !(energy >= FLT_MIN);
}

float ac_mix_gain(float speech_energy, float noise_energy, float snr_db) {
    if (is_silent(speech_energy) || is_silent(noise_energy)) {
        return 1.0f;
    }
    /* Two roots: the quotient of the energies may leave the range of numbers, theirs does not. */
    const float ratio = ac_mix_sqrt(speech_energy) / ac_mix_sqrt(noise_energy);
    const float gain = ratio * ac_mix_amplitude(-snr_db);
    return gain < (float)AC_MIX_GAIN_MAX ? gain : (float)AC_MIX_GAIN_MAX;
}

/* The i-th sample to be computed: out may be speech itself, so none is written before it was moved. */
static int32_t in_turn(int32_t i, int32_t T, int32_t shift) {
    return shift > 0 ? T - 1 - i : i;
}

void ac_mix_reach(int32_t T, int32_t shift, int32_t *from, int32_t *to) {
    *from = shift > T ? T : shift > 0 ? shift : 0;
    *to = shift < -T ? 0 : shift < 0 ? T + shift : T;
}

int ac_mix_is_possible(const void *out, const void *speech, const void *noise, int32_t T, int32_t noise_T,
                       int32_t crop, float snr_db) {
    const int arrays = out != NULL && speech != NULL && noise != NULL;
    return arrays && T > 0 && noise_T >= T && crop >= 0 && crop <= noise_T - T && snr_db == snr_db;
}

static float energy_f32(const float *x, int32_t count) {
    float sum = 0.0f;
    for (int32_t at = 0; at < count; at += BLOCK) {
        const int32_t end = count - at < BLOCK ? count : at + BLOCK;
        float part = 0.0f;
        for (int32_t t = at; t < end; t++) {
            part += x[t] * x[t];
        }
        sum += part;
    }
    return sum;
}

int ac_mix_f32(float *out, const float *speech, const float *noise, int32_t T, int32_t noise_T, int32_t shift,
               int32_t crop, float snr_db) {
    int32_t from, to;
    if (!ac_mix_is_possible(out, speech, noise, T, noise_T, crop, snr_db)) {
        return AC_MIX_BAD_CALL;
    }
    ac_mix_reach(T, shift, &from, &to);
    noise += crop;
    const float speech_energy = from < to ? energy_f32(speech + (from - shift), to - from) : 0.0f;
    const float noise_energy = energy_f32(noise, T);
    if (!is_number(speech_energy) || !is_number(noise_energy)) {
        return AC_MIX_NOT_FINITE;
    }
    const float gain = ac_mix_gain(speech_energy, noise_energy, snr_db);
    for (int32_t i = 0; i < T; i++) {
        const int32_t t = in_turn(i, T, shift);
        const float clean = t >= from && t < to ? speech[t - shift] : 0.0f;
        out[t] = clean + gain * noise[t];
    }
    return is_silent(speech_energy) || is_silent(noise_energy) ? AC_MIX_UNSCALED : AC_MIX_OK;
}
