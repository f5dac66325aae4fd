// Runs another program under a filter of its own that kills whoever calls shmat; with "waits" before it, that lets it wait for
// leave, which nobody gives.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words) {
    int waits = strcmp(words[1], "waits") == 0;
    words += waits;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, waits ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 3;
    int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, waits ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &program);
    if (listener < 0) return 4;
    int status = 0;
    // Whoever has the listener has to stay.
    if (waits && fork() != 0) return wait(&status) > 0 && WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    execv(words[1], words + 1);
    return 5;
}
