/* SPDX-License-Identifier: Apache-2.0 */
/* For compiling without a C library: what examples print with. */
#ifndef STDIO_H
#define STDIO_H
int printf(const char *format, ...);
#endif
