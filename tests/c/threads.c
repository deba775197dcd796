/* Eight threads start the session at once, connect, disconnect and ask (A3, S2). */
#include "vms.h"

/* A call while the session starts, or before: it works, or says that there is no session yet. */
#define EARLY(call)                                                                                                    \
    do {                                                                                                               \
        int32_t status = call;                                                                                         \
        CHECK(status == VMS_OK || status == VMS_ERROR_NO_SESSION);                                                     \
    } while (0)

BODY(work)
{
    (void)argument;
    VmsSessionInfo session = { .size = sizeof session, .assembly_version = "1.2.3" };
    VmsConnectionInfo info = { .size = sizeof info, .user_type = VMS_USER_OAUTH };
    VmsConfigChange nothing = { .size = sizeof nothing };
    VmsConfig config = { .size = sizeof config };
    char text[512];
    size_t length;
    uint64_t connection;
    CHECK(p_on_disconnect(0) != VMS_OK);
    EARLY(p_get_config(&config));
    EARLY(p_set_config(&nothing));
    EARLY(p_get_text(VMS_TEXT_TELEMETRY_REASON, text, sizeof text, &length));
    if (p_reserve_connection(&connection) == VMS_OK)
        CHECK(p_on_disconnect(connection) == VMS_OFF);
    CHECK(p_init_session(&session) == VMS_OK);
    info.usage_data_policy = VMS_POLICY_NOT_OFFERED;
    info.site_id = "dddddddd-0000-4000-8000-00000000000d";
    CHECK(p_on_connect(&info, &connection) == VMS_OK);
    for (int i = 0; i < 100; i++) {
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
        START(&threads[i], work, NULL);
    for (size_t i = 0; i < 8; i++)
        JOIN(threads[i]);
    wait_until_sent();
    printf("all checks passed\n");
    return 0;
}
