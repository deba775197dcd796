/* Loads the library by its path and looks its functions up, as a host does that ships it beside itself. */
#ifndef VMS_TEST_H
#define VMS_TEST_H

/* Files and strings by their names in the C standard, which MSVC would rather not have. */
#define _CRT_SECURE_NO_WARNINGS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vms_telemetry.h>

/* C has no cast between pointers to objects and to functions; a copy of the bits is what the systems mean. */
#ifdef _WIN32
#include <windows.h>
static HMODULE library;
static void open_library(const char *path) { library = LoadLibraryA(path); }
static inline void unload(void) { FreeLibrary(library); }
typedef HANDLE Thread;
#define BODY(name) static DWORD WINAPI name(void *argument)
#define START(thread, body, argument) (*(thread) = CreateThread(NULL, 0, body, argument, 0, NULL))
#define JOIN(thread) WaitForSingleObject(thread, INFINITE)
static int find(const char *name, void *slot)
{
    FARPROC found = GetProcAddress(library, name);
    memcpy(slot, &found, sizeof found);
    return found != NULL;
}
#else
#include <dlfcn.h>
#include <pthread.h>
static void *library;
static void open_library(const char *path) { library = dlopen(path, RTLD_NOW); }
static inline void unload(void) { dlclose(library); }
typedef pthread_t Thread;
#define BODY(name) static void *name(void *argument)
#define START(thread, body, argument) pthread_create(thread, NULL, body, argument)
#define JOIN(thread) pthread_join(thread, NULL)
static int find(const char *name, void *slot)
{
    void *found = dlsym(library, name);
    memcpy(slot, &found, sizeof found);
    return found != NULL;
}
#endif

/* One pointer a function, with the type that the header declares. */
static int32_t (*p_init_session)(const VmsSessionInfo *);
static int32_t (*p_on_connect)(const VmsConnectionInfo *, uint64_t *);
static int32_t (*p_on_disconnect)(uint64_t);
static int32_t (*p_set_config)(const VmsConfigChange *);
static int32_t (*p_get_config)(VmsConfig *);
static int32_t (*p_get_text)(uint32_t, char *, size_t, size_t *);
static int32_t (*p_get_event)(uint32_t, uint32_t, char *, size_t, size_t *);
static int32_t (*p_test_endpoint)(void);
static int32_t (*p_clear_data)(uint32_t);
static int32_t (*p_last_advice)(char *, size_t, size_t *);
static int32_t (*p_last_error)(char *, size_t, size_t *);
static int32_t (*p_reserve_connection)(uint64_t *);
static int32_t (*p_find_vms)(uint64_t, const VmsLogon *, VmsServer *);
static int32_t (*p_connect_vms)(uint64_t, const VmsLogon *, VmsServer *);
static int32_t (*p_get_child_site)(uint64_t, uint32_t, VmsSite *);
static int32_t (*p_get_connection)(uint64_t, VmsConnectionState *);
static int32_t (*p_settle_connection)(uint64_t, uint32_t);

static void load(const char *path)
{
    struct { void *slot; const char *name; } all[] = {
        { &p_init_session, "init_session" }, { &p_on_connect, "on_connect" }, { &p_on_disconnect, "on_disconnect" },
        { &p_set_config, "set_config" }, { &p_get_config, "get_config" }, { &p_get_text, "get_text" },
        { &p_get_event, "get_event" }, { &p_test_endpoint, "test_endpoint" }, { &p_clear_data, "clear_data" },
        { &p_last_advice, "last_advice" },
        { &p_last_error, "last_error" }, { &p_reserve_connection, "reserve_connection" },
        { &p_find_vms, "find_vms" }, { &p_connect_vms, "connect_vms" }, { &p_get_child_site, "get_child_site" },
        { &p_get_connection, "get_connection" }, { &p_settle_connection, "settle_connection" },
    };
    open_library(path);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!find(all[i].name, all[i].slot)) {
            printf("%s is not exported\n", all[i].name);
            exit(1);
        }
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

/* Waits until all events were sent. */
static inline void wait_until_sent(void)
{
    VmsConfig config = { .size = sizeof config };
    do
        CHECK(p_get_config(&config) == VMS_OK);
    while (config.pending_events > 0);
}

#endif
