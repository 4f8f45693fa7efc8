/* SPDX-License-Identifier: Apache-2.0 */
/* Records the noise of a place: frames with a voice in them are left out, and a recording that is too short,
 * silent or clipped is refused.
 *
 * Rumble is taken off first: y = x minus its running mean, a high-pass of one pole (320 Hz at a rate of 16
 * kHz). A frame has a voice if the power of y is above `ratio_q4` / 16 times the running floor (which counts
 * as at least `silence`), and y changes its sign at least `crossings_low` and at most `crossings_high` times:
 * hiss and clatter do so more often. The floor falls by a sixteenth of the way to a quieter frame, and rises
 * by 1 / 2^rise of itself in a louder one. `back` frames before a voice and `hang` frames after it are left
 * out too, since words begin and end softly. All is in integers.
 *
 *     ac_noise_settings settings;
 *     ac_noise_defaults(&settings, 320);
 *     static int16_t ring[250 * 320];
 *     ac_noise noise;
 *     ac_noise_start(&noise, &settings, ring, 250);
 *     for 20 ms each: ac_noise_push(&noise, frame);
 *     if (ac_noise_finish(&noise) == AC_NOISE_OK)
 *         ac_mix_s16(out, speech, ring, 16000, (int32_t)noise.samples, ...); */
#ifndef AC_NOISE_H
#define AC_NOISE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AC_NOISE_FRAME_MIN 16
#define AC_NOISE_FRAME_MAX 4096

enum {
    AC_NOISE_OK = 0,        /* the frame was kept; the recording is good */
    AC_NOISE_VOICE = 1,     /* the frame has a voice, or is close after one */
    AC_NOISE_WARMING = 2,   /* the frame only set the floor */
    AC_NOISE_TOO_SHORT = 3, /* fewer than `shortest` frames were kept */
    AC_NOISE_SILENT = 4,    /* the variance of what was kept is below `silence`: a dead microphone */
    AC_NOISE_CLIPPED = 5,   /* more than `clipped_permille` of the kept samples are at full scale */
    AC_NOISE_BAD_CALL = -1  /* an argument or setting that cannot be, or functions out of order */
};

typedef struct {
    uint32_t frame;            /* samples */
    uint32_t ratio_q4;         /* at least 16, which is 1.0; at most 65536 */
    uint32_t crossings_low;    /* per frame */
    uint32_t crossings_high;   /* per frame */
    uint32_t rise;             /* 1 .. 15 */
    uint32_t warm_up;          /* frames, at least 1 */
    uint32_t hang;             /* frames */
    uint32_t back;             /* frames */
    uint32_t shortest;         /* frames */
    uint32_t silence;          /* variance in squares of the smallest step */
    uint32_t clipped_permille; /* of samples */
} ac_noise_settings;

/* Belongs to the caller, who only reads it. */
typedef struct {
    ac_noise_settings settings;
    int16_t *ring;
    uint32_t capacity; /* frames */
    uint32_t next;     /* frame of the ring that is written next */
    uint32_t kept;     /* frames in the ring */
    uint32_t fresh;    /* frames kept in a row up to now, which a voice may take back */
    uint32_t seen;     /* frames pushed */
    uint32_t voiced;   /* of them with a voice */
    uint32_t quiet;    /* frames until the hang is over */
    uint32_t floor;    /* power of the noise without its rumble */
    int32_t mean_q8;   /* running mean of the samples, times 256 */
    uint32_t samples;  /* after finish: ring[samples], the oldest first */
    int recording;
} ac_noise;

/* For frames of 20 ms at 16 kHz, `frame` = 320: ratio 4 (6 dB), crossings from frame / 64 to frame 3 / 8,
 * rise 7 (doubles in 1.8 s), warm-up 10, hang 10, back 3, shortest 50, silence 4, clipped 1 permille. */
void ac_noise_defaults(ac_noise_settings *settings, uint32_t frame);

/* Begins a recording into ring[capacity * frame], which keeps the newest frames. */
int ac_noise_start(ac_noise *noise, const ac_noise_settings *settings, int16_t *ring, uint32_t capacity);

/* Takes x[frame]: OK if it was kept, VOICE or WARMING if not. */
int ac_noise_push(ac_noise *noise, const int16_t *x);

/* Ends the recording and puts ring[samples] in the order of time. OK, or why it is not to be used. */
int ac_noise_finish(ac_noise *noise);

/* Variance of x[count], rounded down; 0 if count is 0 or above AC_NOISE_FRAME_MAX. */
uint32_t ac_noise_variance(const int16_t *x, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif
