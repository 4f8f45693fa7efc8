/* SPDX-License-Identifier: Apache-2.0 */
/* The names under which compilers for Arm call the memory functions (Arm IHI 0043, section 5.3.4). */
#ifdef __arm__
#include <string.h>

void __aeabi_memcpy(void *to, const void *from, size_t size);
void __aeabi_memcpy4(void *to, const void *from, size_t size);
void __aeabi_memcpy8(void *to, const void *from, size_t size);
void __aeabi_memmove(void *to, const void *from, size_t size);
void __aeabi_memmove4(void *to, const void *from, size_t size);
void __aeabi_memmove8(void *to, const void *from, size_t size);
void __aeabi_memset(void *to, size_t size, int value);
void __aeabi_memset4(void *to, size_t size, int value);
void __aeabi_memset8(void *to, size_t size, int value);
void __aeabi_memclr(void *to, size_t size);
void __aeabi_memclr4(void *to, size_t size);
void __aeabi_memclr8(void *to, size_t size);

/* Without it the compiler calls for each body the function that the body is. */
#define PLAIN __attribute__((no_builtin))

PLAIN void __aeabi_memcpy(void *to, const void *from, size_t size) {
    memcpy(to, from, size);
}

PLAIN void __aeabi_memcpy4(void *to, const void *from, size_t size) {
    memcpy(to, from, size);
}

PLAIN void __aeabi_memcpy8(void *to, const void *from, size_t size) {
    memcpy(to, from, size);
}

PLAIN void __aeabi_memmove(void *to, const void *from, size_t size) {
    memmove(to, from, size);
}

PLAIN void __aeabi_memmove4(void *to, const void *from, size_t size) {
    memmove(to, from, size);
}

PLAIN void __aeabi_memmove8(void *to, const void *from, size_t size) {
    memmove(to, from, size);
}

PLAIN void __aeabi_memset(void *to, size_t size, int value) {
    memset(to, value, size);
}

PLAIN void __aeabi_memset4(void *to, size_t size, int value) {
    memset(to, value, size);
}

PLAIN void __aeabi_memset8(void *to, size_t size, int value) {
    memset(to, value, size);
}

PLAIN void __aeabi_memclr(void *to, size_t size) {
    memset(to, 0, size);
}

PLAIN void __aeabi_memclr4(void *to, size_t size) {
    memset(to, 0, size);
}

PLAIN void __aeabi_memclr8(void *to, size_t size) {
    memset(to, 0, size);
}
#else
typedef int not_for_this_processor;
#endif
