/* SPDX-License-Identifier: Apache-2.0 */
#include "noise.h"

#include <stddef.h>
#include <string.h>

static int32_t sum_of(const int16_t *x, uint32_t count) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += x[i];
    }
    return sum;
}

static uint64_t squares_of(const int16_t *x, uint32_t count) {
    uint64_t squares = 0;
    for (uint32_t i = 0; i < count; i++) {
        squares += (uint64_t)((int32_t)x[i] * x[i]);
    }
    return squares;
}

uint32_t ac_noise_variance(const int16_t *x, uint32_t count) {
    if (count == 0 || count > AC_NOISE_FRAME_MAX) {
        return 0;
    }
    const int64_t sum = sum_of(x, count);
    const uint64_t square_of_sum = (uint64_t)(sum * sum);
    return (uint32_t)((count * squares_of(x, count) - square_of_sum) / ((uint64_t)count * count));
}

/* Mean square of a frame without its rumble, and how often that changes its sign. */
static uint32_t power_of(ac_noise *noise, const int16_t *x, uint32_t *crossings) {
    const uint32_t frame = noise->settings.frame;
    uint64_t squares = 0;
    int positive = 1;
    *crossings = 0;
    for (uint32_t i = 0; i < frame; i++) {
        const int32_t sample_q8 = x[i] * 256;
        noise->mean_q8 =
            noise->seen == 0 && i == 0 ? sample_q8 : noise->mean_q8 + (sample_q8 - noise->mean_q8) / 8;
        const int32_t y = (sample_q8 - noise->mean_q8) / 256;
        squares += (uint64_t)((int64_t)y * y);
        *crossings += i > 0 && (y >= 0) != positive;
        positive = y >= 0;
    }
    return (uint32_t)(squares / frame);
}

void ac_noise_defaults(ac_noise_settings *settings, uint32_t frame) {
    const ac_noise_settings usual = {frame, 64, frame / 64, frame / 8 * 3, 7, 10, 10, 3, 50, 4, 1};
    *settings = usual;
}

static int are_possible(const ac_noise_settings *settings) {
    return settings->frame >= AC_NOISE_FRAME_MIN && settings->frame <= AC_NOISE_FRAME_MAX &&
           settings->ratio_q4 >= 16 && settings->ratio_q4 <= 65536 && settings->rise >= 1 &&
           settings->rise <= 15 && settings->warm_up >= 1;
}

int ac_noise_start(ac_noise *noise, const ac_noise_settings *settings, int16_t *ring, uint32_t capacity) {
    if (noise == NULL) {
        return AC_NOISE_BAD_CALL;
    }
    memset(noise, 0, sizeof *noise);
    if (settings == NULL || ring == NULL || !are_possible(settings) || capacity == 0 ||
        capacity > INT32_MAX / settings->frame) {
        return AC_NOISE_BAD_CALL;
    }
    noise->settings = *settings;
    noise->ring = ring;
    noise->capacity = capacity;
    noise->floor = UINT32_MAX;
    noise->recording = 1;
    return AC_NOISE_OK;
}

static int has_voice(const ac_noise *noise, uint32_t power, uint32_t crossings) {
    const ac_noise_settings *settings = &noise->settings;
    const uint32_t floor = noise->floor > settings->silence ? noise->floor : settings->silence;
    const int loud = (uint64_t)power * 16 > (uint64_t)floor * settings->ratio_q4;
    return loud && crossings >= settings->crossings_low && crossings <= settings->crossings_high;
}

/* Falls faster than it rises: speech has pauses, noise has none. */
static void move_floor(ac_noise *noise, uint32_t power) {
    if (power < noise->floor) {
        noise->floor -= (noise->floor - power + 15) / 16;
        return;
    }
    const uint32_t risen = noise->floor + (noise->floor >> noise->settings.rise) + 1;
    noise->floor = risen < power ? risen : power;
}

/* The frames just before a voice leave the ring again. */
static void take_back(ac_noise *noise) {
    const uint32_t wanted = noise->settings.back;
    const uint32_t count = noise->fresh < wanted ? noise->fresh : wanted;
    noise->next = (noise->next + noise->capacity - count) % noise->capacity;
    noise->kept -= count;
    noise->fresh = 0;
    noise->quiet = noise->settings.hang;
    noise->voiced++;
}

static void keep(ac_noise *noise, const int16_t *x) {
    const uint32_t frame = noise->settings.frame;
    memcpy(noise->ring + (size_t)noise->next * frame, x, frame * sizeof *x);
    noise->next = (noise->next + 1) % noise->capacity;
    noise->kept += noise->kept < noise->capacity ? 1u : 0u;
    noise->fresh += noise->fresh < noise->capacity ? 1u : 0u;
}

int ac_noise_push(ac_noise *noise, const int16_t *x) {
    if (noise == NULL || x == NULL || !noise->recording) {
        return AC_NOISE_BAD_CALL;
    }
    uint32_t crossings;
    const uint32_t power = power_of(noise, x, &crossings);
    noise->seen += noise->seen < UINT32_MAX ? 1u : 0u;
    if (noise->seen <= noise->settings.warm_up) {
        noise->floor = power < noise->floor ? power : noise->floor;
        return AC_NOISE_WARMING;
    }
    const int voice = has_voice(noise, power, crossings);
    move_floor(noise, power);
    if (voice) {
        take_back(noise);
        return AC_NOISE_VOICE;
    }
    if (noise->quiet > 0) {
        noise->quiet--;
        return AC_NOISE_VOICE;
    }
    keep(noise, x);
    return AC_NOISE_OK;
}

static void reverse(int16_t *x, uint32_t count) {
    for (uint32_t i = 0; i < count / 2; i++) {
        const int16_t first = x[i];
        x[i] = x[count - 1 - i];
        x[count - 1 - i] = first;
    }
}

/* Turns the ring until its oldest frame comes first: three times backwards is forwards, without a copy. */
static void straighten(ac_noise *noise) {
    const uint32_t frame = noise->settings.frame;
    const uint32_t all = noise->capacity * frame;
    const uint32_t oldest = (noise->next + noise->capacity - noise->kept) % noise->capacity * frame;
    if (oldest == 0) {
        return;
    }
    reverse(noise->ring, oldest);
    reverse(noise->ring + oldest, all - oldest);
    reverse(noise->ring, all);
}

static int is_clipped(const ac_noise *noise) {
    uint64_t clipped = 0;
    for (uint32_t i = 0; i < noise->samples; i++) {
        clipped += noise->ring[i] == INT16_MAX || noise->ring[i] == INT16_MIN;
    }
    return clipped * 1000 > (uint64_t)noise->samples * noise->settings.clipped_permille;
}

/* By frames, so that a constant offset, or one that drifts, is no sound. */
static int is_silent(const ac_noise *noise) {
    const uint32_t frame = noise->settings.frame;
    uint64_t variances = 0;
    for (uint32_t i = 0; i < noise->kept; i++) {
        variances += ac_noise_variance(noise->ring + (size_t)i * frame, frame);
    }
    return variances < (uint64_t)noise->kept * noise->settings.silence;
}

int ac_noise_finish(ac_noise *noise) {
    if (noise == NULL || !noise->recording) {
        return AC_NOISE_BAD_CALL;
    }
    noise->recording = 0;
    noise->samples = noise->kept * noise->settings.frame;
    straighten(noise);
    if (noise->kept == 0 || noise->kept < noise->settings.shortest) {
        return AC_NOISE_TOO_SHORT;
    }
    if (is_silent(noise)) {
        return AC_NOISE_SILENT;
    }
    return is_clipped(noise) ? AC_NOISE_CLIPPED : AC_NOISE_OK;
}
