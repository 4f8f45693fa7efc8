/* SPDX-License-Identifier: Apache-2.0 */
/* Power spectrum of real numbers: a complex FFT in place, radix 4, decimation in frequency.
 *
 * z[points] holds complex numbers as re, im. A stage turns a block of n points into four of n / 4, of which
 * number d holds the frequencies d modulo 4. Blocks of R = 4 or 8 are transformed at once, in order, so that
 * frequency s + S q ends in point q of the block whose digits to the base 4 are those of s, reversed. */
#ifndef AC_LOG_MEL_FFT_H
#define AC_LOG_MEL_FFT_H

#include "../ac.h"

/* z[2 at] = (re, im) * w. */
static inline void ac_fft_put(float *z, int32_t at, float re, float im, const float *w) {
    z[2 * at] = re * w[0] - im * w[1];
    z[2 * at + 1] = re * w[1] + im * w[0];
}

/* Points n from `from` to `to` of the first stage, where only the first `present` of four quarters hold
 * numbers; those behind are zero, whatever is in memory. */
static inline void ac_fft_quarters(float *restrict z, const float *restrict twiddle, int32_t quarter,
                                   int32_t from, int32_t to, int32_t present) {
    for (int32_t n = from; n < to; n++) {
        float *const at = z + 2 * n;
        const float *const w = twiddle + 6 * n;
        const float ar = at[0], ai = at[1];
        const float br = present > 1 ? at[2 * quarter] : 0.0f;
        const float bi = present > 1 ? at[2 * quarter + 1] : 0.0f;
        float sr = ar, si = ai, dr = ar, di = ai; /* a + c, a - c */
        float tr = br, ti = bi, er = br, ei = bi; /* b + d, b - d */
        if (present > 2) {
            const float cr = at[4 * quarter], ci = at[4 * quarter + 1];
            sr = ar + cr, si = ai + ci, dr = ar - cr, di = ai - ci;
        }
        if (present > 3) {
            const float r = at[6 * quarter], i = at[6 * quarter + 1];
            tr = br + r, ti = bi + i, er = br - r, ei = bi - i;
        }
        at[0] = sr + tr;
        at[1] = si + ti;
        ac_fft_put(at, quarter, dr + ei, di - er, w);
        ac_fft_put(at, 2 * quarter, sr - tr, si - ti, w + 2);
        ac_fft_put(at, 3 * quarter, dr - ei, di + er, w + 4);
    }
}

/* The first stage, of numbers in the first `filled` points alone. */
static inline void ac_fft_first(float *restrict z, const float *restrict twiddle, int32_t points,
                                int32_t filled) {
    const int32_t quarter = points / 4;
    int32_t from = 0;
    for (int32_t present = ac_min_i32(filled / quarter + 1, 4); present > 0 && from < quarter; present--) {
        const int32_t to = ac_min_i32(filled - (present - 1) * quarter, quarter);
        /* Constants, so that each becomes a loop of its own without the products of zeros. */
        switch (present) {
        case 4:
            ac_fft_quarters(z, twiddle, quarter, from, to, 4);
            break;
        case 3:
            ac_fft_quarters(z, twiddle, quarter, from, to, 3);
            break;
        case 2:
            ac_fft_quarters(z, twiddle, quarter, from, to, 2);
            break;
        default:
            ac_fft_quarters(z, twiddle, quarter, from, quarter, 1);
        }
        from = to;
    }
}

/* A later stage: blocks of 4 * quarter points. The twiddles of a point n serve all blocks. */
static inline void ac_fft_stage(float *restrict z, const float *restrict twiddle, int32_t points,
                                int32_t quarter) {
    const int32_t stride = 6 * (points / 4 / quarter), blocks = points / 4 / quarter;
    for (int32_t n = 0; n < quarter; n++) {
        const float w[6] = {twiddle[n * stride],     twiddle[n * stride + 1], twiddle[n * stride + 2],
                            twiddle[n * stride + 3], twiddle[n * stride + 4], twiddle[n * stride + 5]};
        float *at = z + 2 * n;
        for (int32_t block = 0; block < blocks; block++) {
            float *const b = at + 2 * quarter, *const c = b + 2 * quarter, *const d = c + 2 * quarter;
            const float sr = at[0] + c[0], si = at[1] + c[1], dr = at[0] - c[0], di = at[1] - c[1];
            const float tr = b[0] + d[0], ti = b[1] + d[1], er = b[0] - d[0], ei = b[1] - d[1];
            at[0] = sr + tr;
            at[1] = si + ti;
            ac_fft_put(b, 0, dr + ei, di - er, w);
            ac_fft_put(c, 0, sr - tr, si - ti, w + 2);
            ac_fft_put(d, 0, dr - ei, di + er, w + 4);
            at = d + 2 * quarter;
        }
    }
}

/* Transforms of four points v[0], v[step], ... to z[0], z[2 out], ... */
static inline void ac_fft_four(float *restrict z, const float *restrict v, int32_t out) {
    const float sr = v[0] + v[4], si = v[1] + v[5], dr = v[0] - v[4], di = v[1] - v[5];
    const float tr = v[2] + v[6], ti = v[3] + v[7], er = v[2] - v[6], ei = v[3] - v[7];
    z[0] = sr + tr, z[1] = si + ti;
    z[2 * out] = dr + ei, z[2 * out + 1] = di - er;
    z[4 * out] = sr - tr, z[4 * out + 1] = si - ti;
    z[6 * out] = dr - ei, z[6 * out + 1] = di + er;
}

static inline void ac_fft_last_4(float *restrict z, int32_t points) {
    for (int32_t at = 0; at < 2 * points; at += 8) {
        float v[8];
        for (int32_t i = 0; i < 8; i++)
            v[i] = z[at + i];
        ac_fft_four(z + at, v, 1);
    }
}

static inline void ac_fft_last_8(float *restrict z, int32_t points) {
    const float half = 0.70710678f; /* sqrt(1 / 2) */
    for (int32_t at = 0; at < 2 * points; at += 16) {
        float *const a = z + at;
        float even[8], odd[8];
        for (int32_t i = 0; i < 8; i++) {
            even[i] = a[i] + a[i + 8];
            odd[i] = a[i] - a[i + 8];
        }
        const float turned[8] = {odd[0],
                                 odd[1],
                                 half * (odd[3] + odd[2]), /* times exp(-j pi / 4) */
                                 half * (odd[3] - odd[2]),
                                 odd[5],
                                 -odd[4],
                                 half * (odd[7] - odd[6]),
                                 -half * (odd[7] + odd[6])};
        ac_fft_four(a, even, 2);
        ac_fft_four(a + 2, turned, 2);
    }
}

/* R: points = 4^a * R. */
static inline int32_t ac_fft_radix(int32_t points) {
    while (points > 8)
        points /= 4;
    return points;
}

/* Transforms z in place, with numbers in its first `filled` points alone; a quarter of them at least. */
static inline void ac_fft(float *restrict z, const float *restrict twiddle, int32_t points, int32_t filled) {
    ac_fft_first(z, twiddle, points, filled);
    for (int32_t size = points / 4; size > 8; size /= 4)
        ac_fft_stage(z, twiddle, points, size / 4);
    if (ac_fft_radix(points) == 8)
        ac_fft_last_8(z, points);
    else
        ac_fft_last_4(z, points);
}

/* power[stride * q] = 4 |X|^2 of bins q from `from` to `to`; `own` are their points, `mirror` those of the
 * negative frequency of q = 0, from where on they go backwards.
 *
 * Of pairs of real numbers that were transformed as z, 2 X = (Z + Z'*) + split * (Z - Z'*) / j: the even
 * numbers, then the odd ones. */
static inline void ac_fft_power(float *restrict power, const float *own, const float *mirror,
                                const float *restrict split, int32_t from, int32_t to, int32_t stride) {
    for (int32_t q = from; q < to; q++) {
        const float ar = own[2 * q], ai = own[2 * q + 1], br = mirror[-2 * q], bi = mirror[1 - 2 * q];
        const float c = split[2 * q], s = split[2 * q + 1];
        const float oddr = ai + bi, oddi = br - ar;
        const float re = ar + br + oddr * c - oddi * s;
        const float im = ai - bi + oddr * s + oddi * c;
        power[stride * q] = re * re + im * im;
    }
}

/* power[S * rows] = 4 |X|^2 of the bins below S * rows. */
static inline void ac_fft_powers(float *restrict power, const float *z, const float *restrict split,
                                 const int16_t *restrict order, int32_t S, int32_t radix, int32_t rows) {
    const float zero = 2.0f * (z[0] + z[1]); /* bin 0 is its own mirror image */
    power[0] = zero * zero;
    ac_fft_power(power, z, z + 2 * radix, split, 1, rows, S);
    for (int32_t s = 1; s < S; s++) {
        const float *const mirror = z + 2 * radix * order[2 * s + 1] + 2 * (radix - 1);
        ac_fft_power(power + s, z + 2 * radix * order[2 * s], mirror, split + 2 * rows * s, 0, rows, S);
    }
}

#endif
