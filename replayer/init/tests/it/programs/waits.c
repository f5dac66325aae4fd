// Waits until moments of the wall clock, and says whether each wait took as long as it should have.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct timespec before;

static struct timespec in_50_ms(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &before);
    clock_gettime(CLOCK_REALTIME, &moment);
    moment.tv_nsec += 50000000;
    if (moment.tv_nsec >= 1000000000) { moment.tv_nsec -= 1000000000; moment.tv_sec++; }
    return moment;
}

static void say(const char *name, int result, int expected) {
    struct timespec after;
    clock_gettime(CLOCK_MONOTONIC, &after);
    long long passed = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    printf("%s %d %d\n", name, result == expected, passed >= 50000000 && passed < 20000000000LL);
}

static void nothing(int signal) { (void)signal; }

static void *interrupts(void *thread) {
    for (int i = 0; i < 3; i++) { usleep(10000); pthread_kill(*(pthread_t *)thread, SIGUSR1); }
    return NULL;
}

int main(void) {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < 3; i++) {
        struct timespec moment = in_50_ms();
        say("condition", pthread_cond_timedwait(&condition, &mutex, &moment), ETIMEDOUT);
    }
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    struct timespec moment = in_50_ms();
    say("semaphore", sem_timedwait(&semaphore, &moment) == -1 ? errno : 0, ETIMEDOUT);
    moment = in_50_ms();
    say("sleep", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &moment, NULL), 0);
    pthread_t self = pthread_self(), other;
    signal(SIGUSR1, nothing);
    pthread_create(&other, NULL, interrupts, &self);
    moment = in_50_ms();
    say("interrupted", pthread_cond_timedwait(&condition, &mutex, &moment), ETIMEDOUT);
    moment.tv_sec = 1;
    say("over", pthread_cond_timedwait(&condition, &mutex, &moment), ETIMEDOUT);
    moment.tv_nsec = -1;
    say("no moment", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &moment, NULL), EINVAL);
    pthread_join(other, NULL);
}
