// Reads the wall clock by the C library and by calls in turn, and says how often it went back, whether it is as fast as the monotonic
// clock, and what it showed first.
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef long long ns;

static ns by_library(int clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static ns by_call(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(void) {
    int back = 0, astray = 0;
    // However long this process waits between two readings, each lies between those around it.
    ns earliest = by_library(CLOCK_MONOTONIC), first = by_library(CLOCK_REALTIME), began = by_library(CLOCK_MONOTONIC);
    ns last = first;
    // Over a second's end, whatever it is that the clock began with.
    while (by_library(CLOCK_MONOTONIC) - began < 1200000000) {
        ns before = by_library(CLOCK_MONOTONIC), read[4];
        read[0] = by_library(CLOCK_REALTIME);
        read[1] = by_call();
        struct timeval day;
        gettimeofday(&day, 0);
        read[2] = by_library(CLOCK_REALTIME);
        ns after = by_library(CLOCK_MONOTONIC), seconds = time(0);
        read[3] = by_library(CLOCK_REALTIME);
        for (int i = 0; i < 4; last = read[i++]) back += read[i] < last;
        ns micros = day.tv_sec * 1000000LL + day.tv_usec;
        back += micros < read[1] / 1000 || micros > read[2] / 1000;
        back += seconds < read[2] / 1000000000 || seconds > read[3] / 1000000000;
        // A thousandth: far more than what is measured in a moment is wrong by.
        ns passed = read[0] - first, least = before - began, most = after - earliest;
        astray += passed < least - least / 1000 - 1000 || passed > most + most / 1000 + 1000;
        usleep(1000);
    }
    printf("%d back %d astray %lld\n", back, astray, first / 60000000000LL);
}
