/* Preloaded into a host: its wall clock is TEST_CLOCK seconds away from the real one, from every 64th question to the 32nd after it. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static unsigned asked;
    long status = syscall(SYS_clock_gettime, clock, time);
    const char *seconds = clock == CLOCK_REALTIME ? getenv("TEST_CLOCK") : NULL;
    if (seconds && __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED) / 32 % 2 == 0)
        time->tv_sec += atol(seconds);
    return (int)status;
}
