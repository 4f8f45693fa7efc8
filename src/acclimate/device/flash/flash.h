/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a non-volatile memory as device modules see it, and the checksum of what they put there.
 *
 * Any memory whose bits go from 1 to 0 when written, and back to 1 only when a whole sector is erased; one
 * that can overwrite (FRAM, EEPROM, RAM) is such a memory with an erase that fills with 0xFF. A piece that
 * was written is never written again before an erase, as memories with error correction want it. */
#ifndef AC_FLASH_H
#define AC_FLASH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AC_FLASH_GRAIN_MAX 64

/* Access to `size` bytes at offset `at` of the part; 0, or an error that the module passes on as its own. */
typedef int (*ac_flash_read)(void *user, uint32_t at, void *data, uint32_t size);
typedef int (*ac_flash_write)(void *user, uint32_t at, const void *data, uint32_t size);
typedef int (*ac_flash_erase)(void *user, uint32_t at, uint32_t size);

/* Every write begins at a multiple of `grain` and has a multiple of it in bytes; every erase is one sector.
 */
typedef struct {
    ac_flash_read read;
    ac_flash_write write;
    ac_flash_erase erase;
    void *user;
    uint32_t size;   /* [B], a multiple of sector */
    uint32_t sector; /* [B], a multiple of grain */
    uint32_t grain;  /* [B], at most AC_FLASH_GRAIN_MAX */
} ac_flash;

/* 1 if all callbacks are there and the sizes are as they say above, else 0. */
int ac_flash_usable(const ac_flash *flash);

/* The next multiple of the grain, from `size`; 0 if there is none within 32 bits. */
uint32_t ac_flash_round(const ac_flash *flash, uint32_t size);

/* Goes on with a CRC-32 of IEEE 802.3; begin with ~0, the checksum is the complement of the last result. */
uint32_t ac_crc32(uint32_t crc, const void *data, uint32_t size);

/* The CRC of two pieces from theirs, so that pieces may be summed at the same time: `first` as above,
 * `second` begun with 0, and the power that belongs to the size of the second [B]. */
uint32_t ac_crc32_power(uint32_t size);
uint32_t ac_crc32_join(uint32_t first, uint32_t second, uint32_t power);

/* Goes on with the CRC-32 of `size` bytes of the part from offset `at`. Returns what `read` returns. */
int ac_flash_crc32(const ac_flash *flash, uint32_t at, uint32_t size, uint32_t *crc);

/* Where the part lies, if it is memory that can be read without a copy: its callbacks are those below. Else
 * NULL. */
const uint8_t *ac_flash_mapped(const ac_flash *flash);

/* Callbacks for memory that any byte can be written in: `user` points to flash.size bytes. */
int ac_flash_ram_read(void *user, uint32_t at, void *data, uint32_t size);
int ac_flash_ram_write(void *user, uint32_t at, const void *data, uint32_t size);
int ac_flash_ram_erase(void *user, uint32_t at, uint32_t size);

#ifdef __cplusplus
}
#endif

#endif
