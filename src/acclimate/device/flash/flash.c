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

/* Half a byte at a time: sixteen words of table, a quarter of the steps of the bitwise form. */
uint32_t ac_crc32(uint32_t crc, const void *data, uint32_t size) {
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    const uint8_t *byte = data;
    for (uint32_t i = 0; i < size; i++) {
        crc ^= byte[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return crc;
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
