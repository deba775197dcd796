/* Logs on to a VMS by its REST API and disconnects: what a host does that leaves the connection to the library (P3). */
#include "vms.h"

static const char *text(uint64_t connection, uint32_t which)
{
    static char text[4096];
    size_t length;
    CHECK(p_get_connection_text(connection, which, text, sizeof text, &length) == VMS_OK);
    return text;
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    load(arguments[1]);
    VmsSessionInfo session;
    memset(&session, 0, sizeof session);
    session.size = sizeof session;
    session.assembly_version = "1.2.3";
    CHECK(p_init_session(&session) == VMS_OK);

    VmsLogon logon;
    memset(&logon, 0, sizeof logon);
    logon.size = sizeof logon;
    logon.user_type = VMS_USER_BASIC;
    logon.server_address = arguments[2];
    logon.user_name = "reader";
    logon.password = "not-a-secret";
    logon.include_child_sites = VMS_TRUE;
    uint64_t connection;
    CHECK(p_connect_vms(&logon, &connection) == VMS_OK);

    VmsConnectionState state = { sizeof state, VMS_STAGE_FINDING, 0, 0, 0, 0, 0 };
    while (state.stage < VMS_STAGE_CONNECTED)
        CHECK(p_get_connection(connection, state.stage, 60000, &state) == VMS_OK);
    printf("stage %u, failure %d, encrypted %u, policy %u, reported %u, %u items\n", state.stage, state.failure,
           state.encryption_enabled, state.usage_data_policy, state.reported, state.items_counted);
    printf("%s\n", text(connection, VMS_CONNECTION_SITE_ID));
    printf("%s\n", text(connection, VMS_CONNECTION_SITE_NAME));
    printf("%s\n", text(connection, VMS_CONNECTION_PRODUCT_NAME));
    printf("%s\n", text(connection, VMS_CONNECTION_PRODUCT_VERSION));
    printf("%s\n", text(connection, VMS_CONNECTION_ADDRESS));
    printf("%s", text(connection, VMS_CONNECTION_CHILD_SITES));
    CHECK(p_on_disconnect(connection) == VMS_OK);

    VmsConfig config = { sizeof config, 0, 0, 0, 0, 0 };
    do
        CHECK(p_get_config(&config) == VMS_OK);
    while (config.pending_events > 0);
    return 0;
}
