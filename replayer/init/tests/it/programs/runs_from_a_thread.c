// Runs another program from a thread that is not the first one, while others run.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *spins(void *none) { for (;;) pause(); return none; }

static void *runs(void *words) {
    execv(((char **)words)[0], (char **)words);
    return NULL;
}

int main(int count, char **words) {
    (void)count;
    pthread_t thread;
    for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, spins, NULL);
    pthread_create(&thread, NULL, runs, words + 1);
    spins(NULL);
}
