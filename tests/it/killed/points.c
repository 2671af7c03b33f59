/* Counts the calls by which a process changes the world, over all of its threads, and stops it at one of them.
 *
 * In: POINTS_AT, such as `fsync:3`; POINTS_SIGNAL, a number: the process sends it to itself just before its third fsync.
 * POINTS_LOG, a file: a line `KIND TARGET` for each call, in their order. Loaded with LD_PRELOAD, so the program under test
 * is the one that is shipped, and nothing needs the right to trace processes. strace can inject signals too, but it counts
 * each thread by itself: the fourth fsync of a thread is never reached where another thread comes to its fourth before.
 *
 * Not counted: wake-ups between threads of one process (writes to an eventfd). What leaves the process is either a file or a
 * socket; which of the two a `write` is, its descriptor tells. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { FSYNC, RENAME, WRITE, SEND, CHANGE, KINDS };
static const char *const NAMES[KINDS] = {"fsync", "rename", "write", "send", "change"};

static unsigned counts[KINDS];
static int kind_at = -1, signal_at = SIGKILL, log_to = -1;
static unsigned number_at;

__attribute__((constructor)) static void set_up(void)
{
    const char *at = getenv("POINTS_AT"), *signal = getenv("POINTS_SIGNAL"), *log = getenv("POINTS_LOG");
    const char *colon = at ? strchr(at, ':') : NULL;
    for (int kind = 0; colon && kind < KINDS; kind++)
        if (strlen(NAMES[kind]) == (size_t)(colon - at) && !strncmp(at, NAMES[kind], colon - at)) {
            number_at = strtoul(colon + 1, NULL, 10);
            kind_at = kind;
        }
    if (signal)
        signal_at = atoi(signal);
    if (log)
        log_to = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void point(enum kind kind, const char *target)
{
    unsigned number = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    if (log_to >= 0) {
        char line[4200];
        int length = snprintf(line, sizeof line, "%s %s\n", NAMES[kind], target);
        /* Not by `write`, which is counted. */
        syscall(SYS_write, log_to, line, length < (int)sizeof line ? length : (int)sizeof line);
    }
    if ((int)kind == kind_at && number == number_at)
        kill(getpid(), signal_at);
}

/* A call on a descriptor; `kind` is what it is on a file. */
static void point_of(enum kind kind, int fd)
{
    char link[64], target[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    if (!strcmp(target, "anon_inode:[eventfd]"))
        return;
    point(strncmp(target, "socket:", 7) ? kind : SEND, target);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_FD(kind, type, name, parameters, arguments, fd) \
    type name parameters { point_of(kind, fd); return REAL(name) arguments; }
#define ON_PATH(kind, name, parameters, arguments, path) \
    int name parameters { point(kind, path); return REAL(name) arguments; }

ON_FD(FSYNC, int, fsync, (int fd), (fd), fd)
ON_FD(FSYNC, int, fdatasync, (int fd), (fd), fd)
ON_FD(WRITE, ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), fd)
ON_FD(WRITE, ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), fd)
ON_FD(WRITE, ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), fd)
ON_FD(WRITE, ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), fd)
ON_FD(SEND, ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags), fd)
ON_FD(SEND, ssize_t, sendto,
      (int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length),
      (fd, data, size, flags, to, length), fd)
ON_FD(SEND, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), fd)
ON_FD(SEND, int, connect, (int fd, const struct sockaddr *to, socklen_t length), (fd, to, length), fd)
ON_FD(CHANGE, int, ftruncate, (int fd, off_t length), (fd, length), fd)
ON_FD(CHANGE, int, ftruncate64, (int fd, off64_t length), (fd, length), fd)
ON_PATH(RENAME, rename, (const char *from, const char *to), (from, to), to)
ON_PATH(RENAME, renameat, (int old, const char *from, int new, const char *to), (old, from, new, to), to)
ON_PATH(RENAME, renameat2, (int old, const char *from, int new, const char *to, unsigned flags),
        (old, from, new, to, flags), to)
ON_PATH(CHANGE, mkdir, (const char *path, mode_t mode), (path, mode), path)
ON_PATH(CHANGE, rmdir, (const char *path), (path), path)
ON_PATH(CHANGE, unlink, (const char *path), (path), path)
ON_PATH(CHANGE, unlinkat, (int folder, const char *path, int flags), (folder, path, flags), path)
