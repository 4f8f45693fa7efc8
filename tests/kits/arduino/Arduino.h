/* SPDX-License-Identifier: Apache-2.0 */
/* What the example sketch uses of Arduino's core; run.cpp runs it on this machine. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>
extern "C" {
#include <string.h>
}

class Stream {
public:
    void begin(unsigned long baud);
    operator bool() const;
    void print(const char *text);
    void println(const char *text);
    void println(double number, int digits);
};

extern Stream Serial;
unsigned long millis(void);
void setup(void);
void loop(void);

#endif
