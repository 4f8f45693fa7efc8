// SPDX-License-Identifier: Apache-2.0
// Runs a sketch on this machine: setup, then loop once. Serial is the standard output.
#include "Arduino.h"

#include <stdio.h>

Stream Serial;
static bool begun = false;

void Stream::begin(unsigned long baud) { begun = baud > 0; }
Stream::operator bool() const { return begun; }
void Stream::print(const char *text) { fputs(text, stdout); }
void Stream::println(const char *text) { puts(text); }
void Stream::println(double number, int digits) { printf("%.*f\n", digits, number); }
unsigned long millis(void) { return 0; }

int main() {
    setup();
    loop();
    return begun ? 0 : 1;
}
