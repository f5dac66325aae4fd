// Asks for the time as a 32-bit program would, which no 64-bit program does by accident.
#include <stdio.h>

int main(void) {
    long result = 13;
    __asm__ volatile("int $0x80" : "+a"(result) : "b"(0L) : "memory", "r8", "r9", "r10", "r11");
    printf("got %d\n", (int)result);
    return 0;
}
