// Says what it sees of clocks, random bytes and addresses, by every way there is.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say_bytes(const char *name, const unsigned char *bytes, int len) {
    printf("%s ", name);
    for (int i = 0; i < len; i++) printf("%02x", bytes[i]);
    printf("\n");
}

static void say_clock(const char *name, int clock) {
    struct timespec now;
    int result = clock_gettime(clock, &now);
    printf("%s %d %ld.%09ld\n", name, result, now.tv_sec, now.tv_nsec);
}

static void say_random(const char *name) {
    unsigned char bytes[24] = {0};
    long len = getrandom(bytes, sizeof bytes, 0);
    say_bytes(name, bytes, (int)len);
}

int main(int count, char **words) {
    struct timespec now;
    struct timeval day;
    say_clock("realtime", CLOCK_REALTIME);
    say_clock("coarse", CLOCK_REALTIME_COARSE);
    say_clock("tai", CLOCK_TAI);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    printf("call %ld.%09ld\n", now.tv_sec, now.tv_nsec);
    gettimeofday(&day, NULL);
    printf("day %ld.%06ld\n", day.tv_sec, day.tv_usec);
    syscall(SYS_gettimeofday, &day, NULL);
    printf("day by call %ld.%06ld\n", day.tv_sec, day.tv_usec);
    printf("time %ld %ld\n", time(NULL), syscall(SYS_time, NULL));
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("monotonic goes on %d\n", now.tv_sec > 0 || now.tv_nsec > 0);
    printf("cpu %d\n", clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now));
    printf("no clock %d\n", clock_gettime(77, &now) == -1 && errno == EINVAL);

    say_random("random");
    unsigned char *much = calloc(1, 200000);
    long len = getrandom(much, 200000, 0);
    say_bytes("much", much + len - 16, 16);
    say_bytes("at random", (void *)getauxval(AT_RANDOM), 16);
    printf("no address %d\n", syscall(SYS_getrandom, 8, 16, 0) == -1 && errno == EFAULT);
    printf("no flag %d\n", syscall(SYS_getrandom, much, 16, 64) == -1 && errno == EINVAL);
    printf("none %ld\n", syscall(SYS_getrandom, much, 0, 0));
    printf("addresses %p %p %p\n", (void *)&now, (void *)much, (void *)main);
    fflush(stdout);

    for (int i = 0; i < 3; i++) {
        pid_t child = i == 1 ? vfork() : fork();
        if (child == 0) {
            if (count > 1 && i == 1) { execl("/proc/self/exe", words[0], (char *)NULL); _exit(9); }
            if (i != 1) { say_random("child"); say_clock("child", CLOCK_REALTIME); fflush(stdout); }
            _exit(10 + i);
        }
        int status;
        waitpid(child, &status, 0);
        printf("status %d\n", WEXITSTATUS(status));
        fflush(stdout);
    }
    return 3;
}
