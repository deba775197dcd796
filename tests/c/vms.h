/* Loads the library by its path and looks its functions up, as a host does that ships it beside itself. */
#ifndef VMS_TEST_H
#define VMS_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vms_telemetry.h>

#ifdef _WIN32
#include <windows.h>
static void *find(const char *path, const char *name)
{
    return (void *)GetProcAddress(LoadLibraryA(path), name);
}
#else
#include <dlfcn.h>
static void *find(const char *path, const char *name)
{
    return dlsym(dlopen(path, RTLD_NOW), name);
}
#endif

/* One pointer a function, with the type that the header declares. */
static int32_t (*p_init_session)(const VmsSessionInfo *);
static int32_t (*p_on_connect)(const VmsConnectionInfo *, uint64_t *);
static int32_t (*p_on_disconnect)(uint64_t);
static int32_t (*p_set_config)(const VmsConfigChange *);
static int32_t (*p_get_config)(VmsConfig *);
static int32_t (*p_get_text)(uint32_t, char *, size_t, size_t *);
static int32_t (*p_last_error)(char *, size_t, size_t *);

static void load(const char *path)
{
    /* C has no cast from an object pointer to a function pointer; a copy of the bits is what POSIX means. */
    struct { void *slot; const char *name; } all[] = {
        { &p_init_session, "init_session" }, { &p_on_connect, "on_connect" }, { &p_on_disconnect, "on_disconnect" },
        { &p_set_config, "set_config" }, { &p_get_config, "get_config" }, { &p_get_text, "get_text" },
        { &p_last_error, "last_error" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        void *found = find(path, all[i].name);
        if (!found) {
            printf("%s is not exported\n", all[i].name);
            exit(1);
        }
        memcpy(all[i].slot, &found, sizeof found);
    }
}

/* A check that prints what it saw. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            char why[512] = "";                                                                                        \
            size_t length;                                                                                             \
            p_last_error(why, sizeof why, &length);                                                                    \
            printf("%s:%d: failed: %s (%s)\n", __FILE__, __LINE__, #condition, why);                                   \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The last error's message names the field. */
#define CHECK_NAMES(field)                                                                                             \
    do {                                                                                                               \
        char why[512] = "";                                                                                            \
        size_t length;                                                                                                 \
        CHECK(p_last_error(why, sizeof why, &length) == VMS_OK);                                                       \
        CHECK(length == strlen(why) && strncmp(why, field, strlen(field)) == 0);                                       \
    } while (0)

#endif
