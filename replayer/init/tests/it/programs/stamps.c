// Reads the time stamp counter both ways, the clocks beside it, and faults where it really does.
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

int main(void) {
    unsigned processor;
    unsigned long long first = __rdtsc(), second = __rdtsc(), third = __rdtscp(&processor);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    usleep(2000);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long long passed = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    printf("%llu %llu goes on %d %ld\n", second - first, third - second, passed >= 2000000 && passed < 2000000000, time(0));
    fflush(stdout);
    if (fork() == 0) *(volatile int *)8 = 1;
    int status;
    wait(&status);
    printf("status %d\n", 128 + WTERMSIG(status));
}
