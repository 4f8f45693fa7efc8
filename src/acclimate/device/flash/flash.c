/* SPDX-License-Identifier: Apache-2.0 */
#include "flash.h"

#include <stddef.h>
#include <string.h>

int ac_flash_usable(const ac_flash *flash) {
    if (flash == NULL || flash->read == NULL || flash->write == NULL || flash->erase == NULL) {
        return 0;
    }
    if (flash->grain == 0 || flash->grain > AC_FLASH_GRAIN_MAX || flash->sector == 0 || flash->size == 0) {
        return 0;
    }
    return flash->sector % flash->grain == 0 && flash->size % flash->sector == 0;
}

uint32_t ac_flash_round(const ac_flash *flash, uint32_t size) {
    if (flash->grain == 0) {
        return 0;
    }
    const uint32_t rest = size % flash->grain;
    const uint32_t missing = rest == 0 ? 0 : flash->grain - rest;
    return size > UINT32_MAX - missing ? 0 : size + missing;
}

#define POLYNOMIAL 0xEDB88320u /* bits in reverse: the lowest one is the highest power */

/* Half a byte at a time, but the four of two bytes at once: a crc is a sum, so each has a table of its own.
 * table[3] is for the last one. They are computed, which is faster than to fetch them from where constants
 * lie. */
static void fill_last(uint32_t table[16]) {
    uint32_t power = POLYNOMIAL;
    table[0] = 0;
    for (uint32_t at = 8; at > 0; at >>= 1, power >>= 1) {
        table[at] = power;
    }
    for (uint32_t at = 2; at < 16; at *= 2) {
        for (uint32_t i = 1; i < at; i++) {
            table[at + i] = table[at] ^ table[i];
        }
    }
}

static void fill_tables(uint32_t table[4][16]) {
    fill_last(table[3]);
    for (uint32_t i = 0; i < 16; i++) {
        for (uint32_t half = 3; half > 0; half--) {
            const uint32_t crc = table[half][i];
            table[half - 1][i] = (crc >> 4) ^ table[3][crc & 15u];
        }
    }
}

/* For a few bytes one table is enough. */
static uint32_t sum_few(uint32_t crc, const uint8_t *byte, uint32_t size) {
    uint32_t table[16];
    fill_last(table);
    for (uint32_t i = 0; i < size; i++) {
        crc ^= byte[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return crc;
}

uint32_t ac_crc32(uint32_t crc, const void *data, uint32_t size) {
    union {
        uint8_t bytes[64];
        uint32_t whole_words;
    } near; /* a word of a far memory takes as long as a byte of it */
    uint32_t table[4][16];
    const uint8_t *from = data;
    if (size <= sizeof near.bytes) {
        return sum_few(crc, from, size);
    }
    fill_tables(table);
    for (uint32_t done = 0; done < size; done += (uint32_t)sizeof near.bytes) {
        const uint32_t left = size - done;
        const uint32_t now = left < sizeof near.bytes ? left : (uint32_t)sizeof near.bytes;
        memcpy(near.bytes, from + done, now);
        for (uint32_t i = 0; i + 1 < now; i += 2) {
            crc ^= near.bytes[i] | (uint32_t)near.bytes[i + 1] << 8;
            crc = (crc >> 16) ^ table[0][crc & 15u] ^ table[1][crc >> 4 & 15u] ^ table[2][crc >> 8 & 15u] ^
                  table[3][crc >> 12 & 15u];
        }
        if (now % 2 != 0) {
            crc ^= near.bytes[now - 1];
            crc = (crc >> 8) ^ table[2][crc & 15u] ^ table[3][crc >> 4 & 15u];
        }
    }
    return crc;
}

/* a b modulo the polynomial. */
static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (; a != 0; a <<= 1) {
        product ^= (a >> 31) != 0 ? b : 0u;
        b = (b >> 1) ^ ((b & 1u) != 0 ? POLYNOMIAL : 0u);
    }
    return product;
}

uint32_t ac_crc32_power(uint32_t size) {
    uint32_t power = 0x80000000u, square = 0x00800000u; /* 1, and x^8 */
    for (; size != 0; size >>= 1) {
        power = (size & 1u) != 0 ? multiply(square, power) : power;
        square = multiply(square, square);
    }
    return power;
}

uint32_t ac_crc32_join(uint32_t first, uint32_t second, uint32_t power) {
    return multiply(first, power) ^ second;
}

int ac_flash_crc32(const ac_flash *flash, uint32_t at, uint32_t size, uint32_t *crc) {
    uint8_t piece[AC_FLASH_GRAIN_MAX];
    for (uint32_t done = 0; done < size;) {
        const uint32_t left = size - done;
        const uint32_t now = left < sizeof piece ? left : (uint32_t)sizeof piece;
        const int error = flash->read(flash->user, at + done, piece, now);
        if (error != 0) {
            return error;
        }
        *crc = ac_crc32(*crc, piece, now);
        done += now;
    }
    return 0;
}

int ac_flash_ram_read(void *user, uint32_t at, void *data, uint32_t size) {
    memcpy(data, (const uint8_t *)user + at, size);
    return 0;
}

int ac_flash_ram_write(void *user, uint32_t at, const void *data, uint32_t size) {
    memcpy((uint8_t *)user + at, data, size);
    return 0;
}

int ac_flash_ram_erase(void *user, uint32_t at, uint32_t size) {
    memset((uint8_t *)user + at, 0xFF, size);
    return 0;
}

const uint8_t *ac_flash_mapped(const ac_flash *flash) {
    return flash != NULL && flash->read == ac_flash_ram_read ? flash->user : NULL;
}
