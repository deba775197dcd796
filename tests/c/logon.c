/* Finds a VMS, logs on by its REST API and disconnects: what a host does that leaves the connection to the library (P3).
 * With a word as the last argument, another thread ends the call on a line of standard input: "find" or "connect". */
#include "vms.h"

static VmsLogon logon = { .size = sizeof logon, .user_type = VMS_USER_BASIC, .include_child_sites = VMS_TRUE };
static uint64_t connection;

/* Calls what another thread ends. */
BODY(ended)
{
    VmsServer server;
    memset(&server, 'x', sizeof server);
    server.size = sizeof server;
    int is_find = strcmp(argument, "find") == 0;
    int32_t status = (is_find ? p_find_vms : p_connect_vms)(connection, &logon, &server);
    CHECK(status == VMS_ERROR_CANCELLED);
    /* The message is that of this thread, and nothing was written. */
    CHECK_NAMES("the attempt was");
    CHECK(server.address[0] == 'x' && server.site_id[0] == 'x');
    return 0;
}

static void cancel(char *word)
{
    Thread thread;
    START(&thread, ended, word);
    /* The test says when the server has the call. */
    CHECK(getchar() == '\n');
    CHECK(p_on_disconnect(connection) == VMS_OFF);
    JOIN(thread);
    CHECK(p_on_disconnect(connection) == VMS_ERROR_NO_CONNECTION);
    printf("ended\n");
}

static void log_on(void)
{
    VmsServer server = { .size = sizeof server };
    VmsConnectionState state = { .size = sizeof state };
    VmsSite site = { .size = sizeof site };
    CHECK(p_find_vms(connection, &logon, &server) == VMS_OK);
    printf("%s\n%s\n", server.address, server.token_endpoint);
    CHECK(server.site_id[0] == 0 && server.product_name[0] == 0 && server.child_sites == 0);
    /* There is no connection yet. */
    CHECK(p_get_connection(connection, &state) == VMS_ERROR_NO_CONNECTION);

    memset(&server, 0, sizeof server);
    server.size = sizeof server;
    CHECK(p_connect_vms(connection, &logon, &server) == VMS_OK);
    printf("%s\n%s\n%s\n%s\n%s\n", server.address, server.site_id, server.site_name, server.product_name,
           server.product_version);
    CHECK(server.token_endpoint[0] == 0);
    for (uint32_t i = 0; i < server.child_sites; i++) {
        CHECK(p_get_child_site(connection, i, &site) == VMS_OK);
        printf("child %s %s\n", site.id, site.name);
    }
    CHECK(p_get_child_site(connection, server.child_sites, &site) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("index");
    CHECK(p_get_child_site(connection, UINT32_MAX, &site) == VMS_ERROR_ARGUMENT);

    /* It counts in the background and reports by itself. */
    CHECK(p_settle_connection(connection, 60000) == VMS_OFF);
    CHECK(p_get_connection(connection, &state) == VMS_OK);
    printf("encrypted %u, counting %u, policy %u, reported %u, %u items\n", server.encryption_enabled, state.counting,
           state.usage_data_policy, state.reported, state.items_counted);

    /* Structs that cannot be used, and one of a later version. */
    struct { VmsConnectionState known; unsigned char later[64]; } grown;
    CHECK(p_get_connection(connection, NULL) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("state");
    CHECK(p_get_child_site(connection, 0, NULL) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("site");
    state.size = site.size = 4;
    CHECK(p_get_connection(connection, &state) == VMS_ERROR_ARGUMENT);
    CHECK(p_get_child_site(connection, 0, &site) == VMS_ERROR_ARGUMENT);
    state.size = sizeof state;
    memset(&grown, 0xEE, sizeof grown);
    grown.known.size = sizeof grown;
    CHECK(p_get_connection(connection, &grown.known) == VMS_OK && grown.known.size == sizeof grown);
    CHECK(grown.known.items_counted == state.items_counted);
    CHECK(grown.later[0] == 0xEE && grown.later[63] == 0xEE);

    /* A struct that cannot be used leaves the connection open that it would replace; another logon closes it. */
    uint64_t next;
    VmsLogon second = logon;
    second.replaces = connection;
    second.timeout_seconds = 3601;
    CHECK(p_reserve_connection(&next) == VMS_OK && next != connection);
    CHECK(p_connect_vms(next, &second, &server) == VMS_ERROR_ARGUMENT);
    CHECK(p_get_connection(connection, &state) == VMS_OK);
    second.timeout_seconds = 0;
    second.password = "wrong";
    CHECK(p_connect_vms(next, &second, &server) == VMS_ERROR_LOGON_REFUSED);
    CHECK(p_get_connection(connection, &state) == VMS_ERROR_NO_CONNECTION);
    CHECK(p_on_disconnect(connection) == VMS_ERROR_NO_CONNECTION);
    CHECK(p_on_disconnect(next) == VMS_OFF);
}

int main(int count, char **arguments)
{
    if (count != 3 && count != 4)
        return 2;
    load(arguments[1]);
    VmsSessionInfo session = { .size = sizeof session, .assembly_version = "1.2.3" };
    CHECK(p_init_session(&session) == VMS_OK);
    logon.server_address = arguments[2];
    logon.user_name = "reader";
    logon.password = "not-a-secret";
    CHECK(p_reserve_connection(&connection) == VMS_OK && connection != 0);
    if (count == 4)
        cancel(arguments[3]);
    else
        log_on();
    wait_until_sent();
    return 0;
}
