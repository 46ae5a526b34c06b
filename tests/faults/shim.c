/* Preloaded into an agent: lets one call on a file whose name holds a word fail once, or end the process there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* At the call; or in the middle of what it writes, or after its first page, or before its last. */
enum { KILL = -1, TEAR = -2, TEAR_EARLY = -3, TEAR_LATE = -4, PAGE = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char armed_calls[128], armed_word[128];
static long armed_nth = -1, seen;
static int armed_outcome;

/* From now on, the nth (from 0) of these calls ("fdatasync pwrite") on files with this word in their name. */
void fault_arm(const char *calls, const char *word, long nth, int outcome) {
    pthread_mutex_lock(&lock);
    snprintf(armed_calls, sizeof armed_calls, "%s", calls);
    snprintf(armed_word, sizeof armed_word, "%s", word);
    armed_nth = nth;
    armed_outcome = outcome;
    seen = 0;
    pthread_mutex_unlock(&lock);
}

/* How many of them there were. */
long fault_seen(void) { return seen; }

static int listed(const char *call) {
    size_t length = strlen(call);
    for (const char *at = armed_calls; (at = strstr(at, call)); at++)
        if ((at == armed_calls || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return 1;
    return 0;
}

static int outcome_of(const char *call, const char *name) {
    int outcome = 0;
    pthread_mutex_lock(&lock);
    if (armed_nth >= 0 && listed(call) && strstr(name, armed_word) && seen++ == armed_nth) {
        armed_nth = -1;
        outcome = armed_outcome;
    }
    pthread_mutex_unlock(&lock);
    if (outcome == KILL) kill(getpid(), SIGKILL);
    return outcome;
}

static int outcome_on(const char *call, int handle) {
    char link[64], name[4096] = "";
    if (armed_nth < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    if (readlink(link, name, sizeof name - 1) < 0) return 0;
    return outcome_of(call, name);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL_OR(outcome, call) \
    if (outcome > 0) { errno = outcome; return -1; } \
    if (outcome < KILL) { (void)!(call); kill(getpid(), SIGKILL); }

static size_t part_of(size_t count, int outcome) {
    if (outcome == TEAR || count <= PAGE) return count / 2;
    return outcome == TEAR_EARLY ? PAGE : count - PAGE;
}

ssize_t write(int handle, const void *bytes, size_t count) {
    REAL(write);
    int outcome = outcome_on("write", handle);
    FAIL_OR(outcome, real(handle, bytes, part_of(count, outcome)))
    return real(handle, bytes, count);
}

ssize_t pwrite(int handle, const void *bytes, size_t count, off_t at) {
    REAL(pwrite);
    int outcome = outcome_on("pwrite", handle);
    FAIL_OR(outcome, real(handle, bytes, part_of(count, outcome), at))
    return real(handle, bytes, count, at);
}

int fdatasync(int handle) {
    REAL(fdatasync);
    int outcome = outcome_on("fdatasync", handle);
    FAIL_OR(outcome, 0)
    return real(handle);
}

int ftruncate(int handle, off_t size) {
    REAL(ftruncate);
    int outcome = outcome_on("ftruncate", handle);
    FAIL_OR(outcome, 0)
    return real(handle, size);
}

int remove(const char *name) {
    REAL(remove);
    int outcome = outcome_of("remove", name);
    FAIL_OR(outcome, 0)
    return real(name);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    int outcome = outcome_of("rename", from);
    FAIL_OR(outcome, 0)
    return real(from, to);
}
