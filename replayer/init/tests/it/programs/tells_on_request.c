// For each line that comes: what the wall clock shows in this process and in its two children, by the vDSO and by a call.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *name) {
    struct timespec now, called;
    clock_gettime(CLOCK_REALTIME, &now);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &called);
    char text[128];
    int len = snprintf(text, sizeof text, "%s %ld.%09ld %ld.%09ld\n", name, now.tv_sec, now.tv_nsec, called.tv_sec,
                       called.tv_nsec);
    write(1, text, len);
}

int main(void) {
    int asked[2][2], told[2][2];
    for (int i = 0; i < 2; i++) {
        pipe(asked[i]); pipe(told[i]);
        if (fork() == 0) {
            char byte;
            close(asked[i][1]);
            while (read(asked[i][0], &byte, 1) == 1) { tell(i ? "second" : "first"); write(told[i][1], "x", 1); }
            _exit(0);
        }
    }
    char line[64];
    write(1, "up\n", 3);
    while (fgets(line, sizeof line, stdin)) {
        tell("own");
        for (int i = 0; i < 2; i++) { char byte; write(asked[i][1], "x", 1); read(told[i][0], &byte, 1); }
    }
    return 0;
}
