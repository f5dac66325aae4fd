// Tries to have each piece of shared memory so that it could be written to, and says how many there are and how often that went.
#include <stdio.h>
#include <sys/shm.h>

int main(void) {
    char line[512];
    int number, found = 0, had = 0;
    FILE *table = fopen("/proc/sysvipc/shm", "r");
    while (fgets(line, sizeof line, table)) {
        if (sscanf(line, "%*d %d", &number) != 1) continue;
        found += 1;
        had += shmat(number, 0, 0) != (void *)-1;
    }
    printf("%d %d\n", found, had);
    return 0;
}
