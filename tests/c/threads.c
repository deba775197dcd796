/* Eight threads start the session at once, connect, disconnect and ask (contract A3, S2). */
#include "vms.h"

#ifdef _WIN32
typedef HANDLE Thread;
#define BODY static DWORD WINAPI body(void *ignored)
#define START(thread) (*(thread) = CreateThread(NULL, 0, body, NULL, 0, NULL))
#define JOIN(thread) WaitForSingleObject(thread, INFINITE)
#else
#include <pthread.h>
typedef pthread_t Thread;
#define BODY static void *body(void *ignored)
#define START(thread) pthread_create(thread, NULL, body, NULL)
#define JOIN(thread) pthread_join(thread, NULL)
#endif

BODY
{
    (void)ignored;
    VmsSessionInfo session;
    VmsConnectionInfo info;
    VmsConfig config;
    char text[512];
    size_t length;
    uint64_t connection;
    memset(&session, 0, sizeof session);
    session.size = sizeof session;
    session.assembly_version = "1.2.3";
    /* Out of order while others start the session: a status, never a crash. */
    p_on_disconnect(0);
    CHECK(p_init_session(&session) == VMS_OK);
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    info.user_type = VMS_USER_OAUTH;
    info.usage_data_policy = VMS_POLICY_NOT_OFFERED;
    info.site_id = "dddddddd-0000-4000-8000-00000000000d";
    CHECK(p_on_connect(&info, &connection) == VMS_OK);
    for (int i = 0; i < 100; i++) {
        memset(&config, 0, sizeof config);
        config.size = sizeof config;
        CHECK(p_get_config(&config) == VMS_OK);
        CHECK(p_get_text(VMS_TEXT_SESSION_ID, text, sizeof text, &length) == VMS_OK && length == 36);
    }
    CHECK(p_on_disconnect(connection) == VMS_OK);
    return 0;
}

int main(int count, char **arguments)
{
    Thread threads[8];
    if (count != 2)
        return 2;
    load(arguments[1]);
    for (size_t i = 0; i < 8; i++)
        START(&threads[i]);
    for (size_t i = 0; i < 8; i++)
        JOIN(threads[i]);
    VmsConfig config = { sizeof config, 0, 0, 0, 0, 0 };
    do
        CHECK(p_get_config(&config) == VMS_OK);
    while (config.pending_events > 0);
    printf("all checks passed\n");
    return 0;
}
