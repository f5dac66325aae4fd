// Says what random bytes it is given by the C library and by a call, in itself, in children, and in a thread.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, const unsigned char *bytes) {
    printf("%s ", name);
    for (int i = 0; i < 16; i++) printf("%02x", bytes[i]);
    printf("\n");
    fflush(stdout);
}

static void *give(void *name) {
    unsigned char bytes[256] = {0};
    for (int len = 16; len <= 256; len += 80) {
        if (getrandom(bytes, len, len == 16 ? GRND_NONBLOCK : 0) != len) return NULL;
        say(name, bytes + len - 16);
    }
    if (getentropy(bytes, 256) == 0) say(name, bytes + 240);
    if (syscall(SYS_getrandom, bytes, 16, 0) == 16) say(name, bytes);
    return NULL;
}

int main(void) {
    give("own");
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            give(i ? "second" : "first");
            if (fork() == 0) { give("grandchild"); _exit(0); }
            wait(NULL);
            _exit(0);
        }
        wait(NULL);
    }
    pthread_t thread;
    pthread_create(&thread, NULL, give, "thread");
    pthread_join(thread, NULL);
    unsigned char much[4096];
    printf("%zd\n", getrandom(much, sizeof much, 0));
    say("much", much + 4080);
    for (int i = 0; i < 1000; i++) getrandom(much, 32, 0);
    say("last", much);
    printf("%d\n", getrandom(much, 16, 64) == -1 && errno == EINVAL);
    printf("%d\n", getentropy(much, 257) == -1 && errno == EIO);
    return 0;
}
