/* SPDX-License-Identifier: Apache-2.0 */
/* Puts noise under speech at a chosen signal-to-noise ratio: a new utterance from a stored one.
 *
 *     out[t] = speech[t - shift] + k noise[crop + t],  k = sqrt(Es / (En 10^(snr_db / 10)))
 *
 * Es and En are the energies of the two terms over t = 0 .. T - 1 (k left out). Where the shift leaves no
 * speech there is silence. No gain gives the ratio if one of them is silent: then k is 1. The ratio counts
 * as within +-AC_MIX_DECIBELS_MAX, and k is at most AC_MIX_GAIN_MAX. Time is linear in T. */
#ifndef AC_MIX_H
#define AC_MIX_H

#include "../team/team.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_MIX_DECIBELS_MAX 120
#define AC_MIX_GAIN_MAX 1000000

enum {
    AC_MIX_OK = 0,
    AC_MIX_UNSCALED = 1,   /* speech or noise is silent: k was 1 */
    AC_MIX_BAD_CALL = -1,  /* a size that cannot be, a missing array, a ratio that is NaN; out is as it was */
    AC_MIX_NOT_FINITE = -2 /* a sample is NaN or infinite, or an energy is; out is as it was */
};

/* sqrt(v) for v >= 2^-126, the smallest normal number; 0 below. Relative error at most 2^-22. */
float ac_mix_sqrt(float v);

/* 10^(db / 20), db counting as within +-AC_MIX_DECIBELS_MAX. Relative error at most 2e-6. */
float ac_mix_amplitude(float db);

/* k. 1 if an energy is below 2^-126, which counts as silence. Relative error at most 3e-6. */
float ac_mix_gain(float speech_energy, float noise_energy, float snr_db);

/* Mixes into out[T]; noise[noise_T] with 0 <= crop <= noise_T - T; |shift| may exceed T. `out` may be
 * `speech` itself, else there is no overlap. k is exact to 1e-5 for T up to 16384, and nothing is clipped. */
int ac_mix_f32(float *out, const float *speech, const float *noise, int32_t T, int32_t noise_T, int32_t shift,
               int32_t crop, float snr_db);

/* The same on 16-bit samples: k noise is rounded to the nearest integer (half away from zero) and the sum
 * saturates; *clipped (may be NULL) becomes the number of samples where it does. Energies are exact. */
int ac_mix_s16(int16_t *out, const int16_t *speech, const int16_t *noise, int32_t T, int32_t noise_T,
               int32_t shift, int32_t crop, float snr_db, int32_t *clipped);

/* The same, computed by all cores of a team, which may be NULL. */
int ac_mix_s16_by(const ac_team *team, int16_t *out, const int16_t *speech, const int16_t *noise, int32_t T,
                  int32_t noise_T, int32_t shift, int32_t crop, float snr_db, int32_t *clipped);

#ifdef __cplusplus
}
#endif

#endif
