/* Calls every function with good, NULL and garbage input (A2, A3, A4). */
#include "vms.h"

static char too_long[VMS_TEXT_LIMIT + 2];

static VmsSessionInfo session_info(void)
{
    VmsSessionInfo info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    info.assembly_version = "1.2.3";
    return info;
}

static VmsConnectionInfo connection_info(void)
{
    VmsConnectionInfo info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    info.user_type = VMS_USER_BASIC;
    info.encryption_enabled = VMS_TRUE;
    info.usage_data_policy = VMS_POLICY_ON;
    info.site_id = "DDDDDDDD-0000-4000-8000-00000000000D";
    info.camera_count.known = VMS_TRUE;
    info.camera_count.value = 7;
    return info;
}

static VmsLogon logon(void)
{
    VmsLogon logon;
    memset(&logon, 0, sizeof logon);
    logon.size = sizeof logon;
    logon.user_type = VMS_USER_BASIC;
    /* Nothing listens there. */
    logon.server_address = "http://127.0.0.1:1";
    logon.user_name = "reader";
    logon.password = "not-a-secret";
    return logon;
}

static void before_the_session(void)
{
    uint64_t connection = 42;
    size_t length = 0;
    char text[8];
    VmsConnectionInfo info = connection_info();
    VmsConfigChange change = { .size = sizeof change, .enable_telemetry = VMS_FALSE };
    VmsConfig config = { .size = sizeof config };
    VmsLogon wanted = logon();
    VmsServer server = { .size = sizeof server };
    VmsSite site = { .size = sizeof site };
    VmsConnectionState state = { .size = sizeof state };
    CHECK(p_last_error(text, sizeof text, &length) == VMS_OK && length == 0 && text[0] == 0);
    CHECK(p_on_connect(&info, &connection) == VMS_ERROR_NO_SESSION && connection == 42);
    CHECK(p_on_disconnect(1) == VMS_ERROR_NO_SESSION);
    CHECK(p_set_config(&change) == VMS_ERROR_NO_SESSION);
    CHECK(p_get_config(&config) == VMS_ERROR_NO_SESSION);
    CHECK(p_get_text(VMS_TEXT_DATA_FOLDER, text, sizeof text, &length) == VMS_ERROR_NO_SESSION);
    CHECK(p_reserve_connection(&connection) == VMS_ERROR_NO_SESSION && connection == 42);
    CHECK(p_find_vms(1, &wanted, &server) == VMS_ERROR_NO_SESSION);
    CHECK(p_connect_vms(1, &wanted, &server) == VMS_ERROR_NO_SESSION);
    CHECK(p_get_child_site(1, 0, &site) == VMS_ERROR_NO_SESSION);
    CHECK(p_get_connection(1, &state) == VMS_ERROR_NO_SESSION);
    CHECK(p_settle_connection(1, 0) == VMS_ERROR_NO_SESSION);
    CHECK_NAMES("there is no session yet");
    /* The order does not matter: no call looks at its arguments before there is a session. */
    CHECK(p_on_connect(NULL, NULL) == VMS_ERROR_NO_SESSION);
    CHECK(p_connect_vms(1, NULL, NULL) == VMS_ERROR_NO_SESSION);
}

static void bad_sessions(void)
{
    VmsSessionInfo info = session_info();
    CHECK(p_init_session(NULL) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("info");
    uint32_t sizes[] = { 0, 1, sizeof info - 1, 5000, 0xFFFFFFFF };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        info.size = sizes[i];
        CHECK(p_init_session(&info) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("info");
    }
    info = session_info();
    info.assembly_version = NULL;
    CHECK(p_init_session(&info) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("assembly_version");
    info.assembly_version = " ";
    CHECK(p_init_session(&info) == VMS_ERROR_ARGUMENT);
    info.assembly_version = "\xFF\xFE";
    CHECK(p_init_session(&info) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("assembly_version: it is not UTF-8");
    info.assembly_version = too_long;
    CHECK(p_init_session(&info) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("assembly_version: it is longer");
    info = session_info();
    info.names_proxy = 3;
    CHECK(p_init_session(&info) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("names_proxy");
    info = session_info();
    info.connection_string = "InstrumentationKey=11111111-2222-4333-8444-555555555555;IngestionEndpoint=http://192.0.2.1/";
    CHECK(p_init_session(&info) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("connection_string");
    /* Nothing of these started a session. */
    CHECK(p_on_disconnect(1) == VMS_ERROR_NO_SESSION);
}

static void good_session(void)
{
    VmsSessionInfo info = session_info();
    CHECK(p_init_session(&info) == VMS_OK);
    info.assembly_version = "4.5.6";
    CHECK(p_init_session(&info) == VMS_OK);
}

/* Holds sending for as long as the checks below change the configuration, and lets it go. Calls nest. */
static void hold(uint32_t begins)
{
    VmsConfigChange change = { .size = sizeof change, .hold_sending = begins };
    CHECK(p_set_config(&change) == VMS_OK);
    CHECK(p_set_config(&change) == VMS_OK);
    change.hold_sending = 3;
    CHECK(p_set_config(&change) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("hold_sending");
}

static uint32_t pending(void)
{
    VmsConfig config = { .size = sizeof config };
    CHECK(p_get_config(&config) == VMS_OK);
    return config.pending_events;
}

/* An opt-out is in effect at once; what makes no sense then is a warning. */
static void opting_out(void)
{
    VmsConfig config = { .size = sizeof config };
    VmsConfigChange change = { .size = sizeof change, .enable_telemetry = VMS_FALSE };
    VmsConnectionInfo info = connection_info();
    uint64_t connection;
    CHECK(pending() == 1);
    CHECK(p_set_config(&change) == VMS_OK);
    CHECK(p_get_config(&config) == VMS_OK);
    CHECK(config.telemetry_enabled == VMS_FALSE && config.telemetry_layer == VMS_LAYER_SETTINGS_FILE);
    CHECK(config.pending_events == 0);
    CHECK(p_on_connect(&info, &connection) == VMS_OFF);
    CHECK(p_on_disconnect(connection) == VMS_OFF);
    change.enable_telemetry = VMS_UNSET;
    change.log_telemetry = VMS_TRUE;
    CHECK(p_set_config(&change) == VMS_WARNING);
    CHECK_NAMES("nothing is logged while telemetry is off");
    change.enable_telemetry = VMS_TRUE;
    change.log_telemetry = VMS_FALSE;
    CHECK(p_set_config(&change) == VMS_OK);
    /* NewSession, which was not sent yet, is there again. */
    CHECK(pending() == 1);
}

/* A settings file that cannot be read: nothing is recorded or deleted, and no choice is stored. */
static void unsure(void)
{
    char path[4096], why[4096];
    size_t length;
    VmsConfig config = { .size = sizeof config };
    VmsConfigChange change = { .size = sizeof change, .log_telemetry = VMS_TRUE };
    VmsConnectionInfo info = connection_info();
    uint64_t connection;
    CHECK(p_get_text(VMS_TEXT_SETTINGS_FILE, path, sizeof path, &length) == VMS_OK && length > 0);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("{ \"ApplicationInsights\": {", file) >= 0 && fclose(file) == 0);
    CHECK(p_get_config(&config) == VMS_OK);
    CHECK(config.telemetry_enabled == VMS_UNSET && config.telemetry_layer == VMS_LAYER_UNSURE);
    CHECK(p_on_connect(&info, &connection) == VMS_UNSURE);
    CHECK(p_on_disconnect(connection) == VMS_OFF);
    CHECK(p_get_text(VMS_TEXT_TELEMETRY_REASON, why, sizeof why, &length) == VMS_OK);
    CHECK(strstr(why, "not known") != NULL && strstr(why, path) != NULL);
    CHECK(p_set_config(&change) == VMS_ERROR_SETTINGS);
    CHECK(pending() == 1);
    CHECK(remove(path) == 0);
    CHECK(p_get_config(&config) == VMS_OK && config.telemetry_enabled == VMS_TRUE);
}

static void bad_connections(void)
{
    uint64_t connection = 42;
    VmsConnectionInfo info = connection_info();
    CHECK(p_on_connect(NULL, &connection) == VMS_ERROR_ARGUMENT);
    CHECK(p_on_connect(&info, NULL) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("connection");
    info.size = 8;
    CHECK(p_on_connect(&info, &connection) == VMS_ERROR_ARGUMENT);
    uint32_t garbage[] = { 4, 99, 0xFFFFFFFF };
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        info = connection_info();
        info.user_type = garbage[i];
        CHECK(p_on_connect(&info, &connection) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("user_type");
        info = connection_info();
        info.is_oauth_connection = garbage[i];
        CHECK(p_on_connect(&info, &connection) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("is_oauth_connection");
        info = connection_info();
        info.encryption_enabled = garbage[i];
        CHECK(p_on_connect(&info, &connection) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("encryption_enabled");
        info = connection_info();
        info.usage_data_policy = garbage[i];
        CHECK(p_on_connect(&info, &connection) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("usage_data_policy");
        info = connection_info();
        info.output_count.known = garbage[i];
        CHECK(p_on_connect(&info, &connection) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("output_count");
    }
    const char *sites[] = { NULL, "", "none", "..\\..\\windows", "dddddddd-0000-4000-8000-00000000000d/..", "\xFF", too_long };
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        info = connection_info();
        info.site_id = sites[i];
        CHECK(p_on_connect(&info, &connection) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("site_id");
    }
    info = connection_info();
    info.product_name = too_long;
    CHECK(p_on_connect(&info, &connection) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("product_name");
    CHECK(connection == 42);
}

static void connections(void)
{
    uint64_t connection = 0;
    VmsConnectionInfo info = connection_info();
    CHECK(p_on_connect(&info, &connection) == VMS_OK && connection != 0);
    CHECK(p_on_disconnect(connection + 1) == VMS_ERROR_NO_CONNECTION);
    CHECK(p_on_disconnect(0) == VMS_ERROR_NO_CONNECTION);
    CHECK(p_on_disconnect(UINT64_MAX) == VMS_ERROR_NO_CONNECTION);
    CHECK(p_on_disconnect(connection) == VMS_OK);
    CHECK(p_on_disconnect(connection) == VMS_ERROR_NO_CONNECTION);
    CHECK_NAMES("connection");

    /* A policy that could not be read: there is a connection, and nothing of it is sent. */
    info.usage_data_policy = VMS_POLICY_UNKNOWN;
    CHECK(p_on_connect(&info, &connection) == VMS_OFF);
    CHECK(p_on_disconnect(connection) == VMS_OFF);

    /* A host that never closes meets a limit, and closing makes room. */
    uint64_t opened[1024];
    for (size_t i = 0; i < 1024; i++)
        CHECK(p_on_connect(&info, &opened[i]) == VMS_OFF);
    CHECK(p_on_connect(&info, &connection) == VMS_ERROR_TOO_MANY_CONNECTIONS);
    CHECK(p_reserve_connection(&connection) == VMS_ERROR_TOO_MANY_CONNECTIONS);
    for (size_t i = 0; i < 1024; i++)
        CHECK(p_on_disconnect(opened[i]) == VMS_OFF);
}

static void bad_logons(void)
{
    uint64_t connection;
    VmsLogon wanted = logon();
    VmsServer server = { .size = sizeof server };
    CHECK(p_reserve_connection(NULL) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("connection");
    CHECK(p_reserve_connection(&connection) == VMS_OK);
    int32_t (*calls[])(uint64_t, const VmsLogon *, VmsServer *) = { p_find_vms, p_connect_vms };
    for (size_t call = 0; call < 2; call++) {
        wanted = logon();
        CHECK(calls[call](connection, NULL, &server) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("logon");
        CHECK(calls[call](connection, &wanted, NULL) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("server");
        CHECK(calls[call](0, &wanted, &server) == VMS_ERROR_NO_CONNECTION);
        CHECK(calls[call](UINT64_MAX, &wanted, &server) == VMS_ERROR_NO_CONNECTION);
        uint32_t sizes[] = { 0, 8, sizeof wanted - 1, 5000, 0xFFFFFFFF };
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            wanted.size = sizes[i];
            CHECK(calls[call](connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
            CHECK_NAMES("logon");
        }
        wanted = logon();
        server.size = sizeof server - 1;
        CHECK(calls[call](connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("server");
        server.size = sizeof server;
        uint32_t garbage[] = { 4, 99, 0xFFFFFFFF };
        for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
            struct { uint32_t *field; const char *name; } fields[] = {
                { &wanted.secure_only, "secure_only" }, { &wanted.skip_certificate_check, "skip_certificate_check" },
                { &wanted.include_child_sites, "include_child_sites" }, { &wanted.user_type, "user_type" },
            };
            /* find_vms does not ask who logs on. */
            for (size_t j = 0; j < sizeof fields / sizeof *fields - (calls[call] == p_find_vms); j++) {
                wanted = logon();
                *fields[j].field = garbage[i];
                CHECK(calls[call](connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
                CHECK_NAMES(fields[j].name);
            }
        }
        wanted = logon();
        wanted.timeout_seconds = 3601;
        CHECK(calls[call](connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("timeout_seconds");
        wanted = logon();
        wanted.server_address = "http://reader:not-a-secret@127.0.0.1";
        CHECK(calls[call](connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("server_address: it holds a user name");
    }
    const char *texts[] = { NULL, "", " ", "\xFF", too_long };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        wanted = logon();
        wanted.server_address = texts[i];
        CHECK(p_find_vms(connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
        CHECK(p_connect_vms(connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("server_address");
        wanted = logon();
        wanted.user_name = texts[i];
        CHECK(p_connect_vms(connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("user_name");
        wanted = logon();
        wanted.user_type = i % 2 ? VMS_USER_OAUTH : VMS_USER_WINDOWS;
        wanted.access_token = texts[i];
        CHECK(p_connect_vms(connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("access_token");
    }
    wanted = logon();
    wanted.password = too_long;
    CHECK(p_connect_vms(connection, &wanted, &server) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("password");
    CHECK(p_on_disconnect(connection) == VMS_OFF);
}

/* A logon that fails, and numbers of connections that the library did not make. */
static void logons(void)
{
    uint64_t connection = 0, other;
    VmsLogon wanted = logon();
    VmsServer server;
    VmsSite site = { .size = sizeof site };
    VmsConnectionState state = { .size = sizeof state, .items_counted = 42 };
    VmsConnectionInfo info = connection_info();
    char why[512];
    size_t length;
    memset(&server, 'x', sizeof server);
    server.size = sizeof server;
    CHECK(p_reserve_connection(&connection) == VMS_OK && connection != 0);
    CHECK(p_find_vms(connection, &wanted, &server) == VMS_ERROR_UNREACHABLE);
    CHECK_NAMES("http://127.0.0.1:1: the server refused the connection");
    CHECK(p_connect_vms(connection, &wanted, &server) == VMS_ERROR_UNREACHABLE);
    CHECK(server.address[0] == 'x' && server.token_endpoint[0] == 'x' && server.site_id[0] == 'x');
    wanted.secure_only = VMS_TRUE;
    CHECK(p_connect_vms(connection, &wanted, &server) == VMS_ERROR_NOT_ENCRYPTED);
    CHECK(p_last_error(why, sizeof why, &length) == VMS_OK && strstr(why, "not-a-secret") == NULL);

    /* Each number is open until on_disconnect, and has no VMS. */
    info.usage_data_policy = VMS_POLICY_UNKNOWN;
    CHECK(p_on_connect(&info, &other) == VMS_OFF && other != connection);
    uint64_t numbers[] = { connection, other, connection + 99, 0, UINT64_MAX };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        CHECK(p_get_connection(numbers[i], &state) == VMS_ERROR_NO_CONNECTION && state.items_counted == 42);
        CHECK(p_get_child_site(numbers[i], 0, &site) == VMS_ERROR_NO_CONNECTION && site.id[0] == 0);
        CHECK(p_settle_connection(numbers[i], 0) == (i < 2 ? VMS_OFF : VMS_ERROR_NO_CONNECTION));
    }
    CHECK(p_get_connection(connection, NULL) >= VMS_ERROR_ARGUMENT);
    CHECK(p_get_child_site(connection, 0, NULL) >= VMS_ERROR_ARGUMENT);
    CHECK(p_on_disconnect(other) == VMS_OFF);
    CHECK(p_on_disconnect(connection) == VMS_OFF);
    CHECK(p_on_disconnect(connection) == VMS_ERROR_NO_CONNECTION);
}

/* A struct of a later version, larger than ours: what we do not know is not looked at. */
static void structs_grow(void)
{
    struct { VmsConnectionInfo known; char later[64]; } grown;
    uint64_t connection;
    memset(&grown, 0xEE, sizeof grown);
    grown.known = connection_info();
    grown.known.size = sizeof grown;
    grown.known.usage_data_policy = VMS_POLICY_UNKNOWN;
    CHECK(p_on_connect(&grown.known, &connection) == VMS_OFF);
    CHECK(p_on_disconnect(connection) == VMS_OFF);

    struct { VmsConfig known; unsigned char later[64]; } config;
    memset(&config, 0xEE, sizeof config);
    config.known.size = sizeof config;
    CHECK(p_get_config(&config.known) == VMS_OK);
    CHECK(config.later[0] == 0xEE && config.later[63] == 0xEE);
}

static void configuration(void)
{
    VmsConfig config;
    VmsConfigChange change;
    memset(&config, 0, sizeof config);
    memset(&change, 0, sizeof change);
    CHECK(p_get_config(NULL) == VMS_ERROR_ARGUMENT);
    CHECK(p_get_config(&config) == VMS_ERROR_ARGUMENT);
    config.size = sizeof config;
    CHECK(p_get_config(&config) == VMS_OK);
    CHECK(config.telemetry_enabled == VMS_TRUE && config.telemetry_layer == VMS_LAYER_DEFAULT);
    CHECK(config.log_telemetry == VMS_FALSE);
    CHECK(p_set_config(NULL) == VMS_ERROR_ARGUMENT);
    CHECK(p_set_config(&change) == VMS_ERROR_ARGUMENT);
    change.size = sizeof change;
    CHECK(p_set_config(&change) == VMS_OK);
    change.enable_telemetry = 9;
    CHECK(p_set_config(&change) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("enable_telemetry");
    change.enable_telemetry = VMS_UNSET;
    change.log_telemetry = 9;
    CHECK(p_set_config(&change) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("log_telemetry");
    change.log_telemetry = VMS_UNSET;
    change.proxy = too_long;
    CHECK(p_set_config(&change) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("proxy");
}

static void texts(void)
{
    char text[4096];
    size_t length;
    for (uint32_t which = VMS_TEXT_LIBRARY_VERSION; which <= VMS_TEXT_ENDPOINT_TEST; which++) {
        length = 4242;
        CHECK(p_get_text(which, text, sizeof text, &length) == VMS_OK);
        CHECK(strlen(text) == length);
    }
    CHECK(p_get_text(0, text, sizeof text, &length) == VMS_ERROR_ARGUMENT);
    CHECK(p_get_text(99, text, sizeof text, &length) == VMS_ERROR_ARGUMENT);
    CHECK(p_get_text(VMS_TEXT_DATA_FOLDER, text, sizeof text, NULL) == VMS_ERROR_ARGUMENT);
    CHECK(p_get_text(VMS_TEXT_DATA_FOLDER, NULL, 10, &length) == VMS_ERROR_ARGUMENT);
    CHECK(p_get_text(VMS_TEXT_DATA_FOLDER, NULL, 0, &length) == VMS_ERROR_BUFFER_TOO_SMALL);
    CHECK(length > 10);
    memset(text, 'x', sizeof text);
    size_t needed = length + 1;
    CHECK(p_get_text(VMS_TEXT_DATA_FOLDER, text, needed - 1, &length) == VMS_ERROR_BUFFER_TOO_SMALL);
    CHECK(text[0] == 'x' && length == needed - 1);
    CHECK(p_get_text(VMS_TEXT_DATA_FOLDER, text, needed, &length) == VMS_OK);
    CHECK(text[needed - 1] == 0 && text[needed] == 'x');
    CHECK(p_last_error(NULL, 0, NULL) == VMS_ERROR_ARGUMENT);
    CHECK(p_last_error(NULL, 0, &length) == VMS_ERROR_BUFFER_TOO_SMALL);
}

/* What people can see, while three events are pending and nothing was sent. */
static void seeing(void)
{
    char text[8192];
    size_t length;
    for (uint32_t which = VMS_EVENT_PENDING; which <= VMS_EVENT_PREVIEW; which++) {
        /* The connections are closed again: what this session would record is its start. */
        uint32_t events = which == VMS_EVENT_PENDING ? 3 : which == VMS_EVENT_PREVIEW;
        for (uint32_t index = 0; index < events; index++) {
            CHECK(p_get_event(which, index, text, sizeof text, &length) == VMS_OK);
            CHECK(length == strlen(text) && strstr(text, "\"EventData\"") != NULL);
            CHECK(p_get_event(which, index, text, 9, &length) == VMS_ERROR_BUFFER_TOO_SMALL && length > 9);
        }
        CHECK(p_get_event(which, events, text, sizeof text, &length) == VMS_ERROR_ARGUMENT);
        CHECK_NAMES("index");
        CHECK(p_get_event(which, UINT32_MAX, text, sizeof text, &length) == VMS_ERROR_ARGUMENT);
        CHECK(p_get_event(which, 0, text, sizeof text, NULL) == VMS_ERROR_ARGUMENT);
        CHECK(p_get_event(which, 0, NULL, 10, &length) == VMS_ERROR_ARGUMENT);
    }
    CHECK(p_get_event(0, 0, text, sizeof text, &length) == VMS_ERROR_ARGUMENT);
    CHECK(p_get_event(99, 0, text, sizeof text, &length) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("which");
    CHECK(p_test_endpoint() == VMS_OK);
    CHECK(p_get_text(VMS_TEXT_ENDPOINT_TEST, text, sizeof text, &length) == VMS_OK);
    CHECK(strncmp(text, "Name\tok\t", 8) == 0 && strstr(text, "\nAnswer\tok\t") != NULL);
    CHECK(p_last_advice(NULL, 0, NULL) == VMS_ERROR_ARGUMENT);
    CHECK(p_last_advice(text, sizeof text, &length) == VMS_OK && length == strlen(text));
}

/* What is cleared, and a choice that is taken back. */
static void clearing(void)
{
    char old[64], later[64];
    size_t length;
    VmsConfig config = { .size = sizeof config };
    VmsConfigChange change = { .size = sizeof change, .enable_telemetry = VMS_FALSE };
    CHECK(p_clear_data(0) == VMS_ERROR_ARGUMENT);
    CHECK(p_clear_data(16) == VMS_ERROR_ARGUMENT);
    CHECK(p_clear_data(UINT32_MAX) == VMS_ERROR_ARGUMENT);
    CHECK_NAMES("what");
    CHECK(p_clear_data(VMS_CLEAR_SENT | VMS_CLEAR_LOG) == VMS_OK && pending() == 2);
    CHECK(p_get_text(VMS_TEXT_SESSION_ID, old, sizeof old, &length) == VMS_OK);
    CHECK(p_clear_data(VMS_CLEAR_IDS) == VMS_OK && pending() == 0);
    CHECK(p_get_text(VMS_TEXT_SESSION_ID, later, sizeof later, &length) == VMS_OK && strcmp(old, later) != 0);
    CHECK(p_set_config(&change) == VMS_OK);
    change.enable_telemetry = VMS_RESET;
    CHECK(p_set_config(&change) == VMS_OK);
    CHECK(p_get_config(&config) == VMS_OK && config.telemetry_layer == VMS_LAYER_DEFAULT);
}

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    memset(too_long, 'x', sizeof too_long - 1);
    load(arguments[1]);
    before_the_session();
    bad_sessions();
    good_session();
    hold(VMS_TRUE);
    opting_out();
    unsure();
    bad_connections();
    connections();
    bad_logons();
    logons();
    structs_grow();
    configuration();
    texts();
    /* Nothing was sent so far. */
    CHECK(pending() == 3);
    seeing();
    hold(VMS_FALSE);
    wait_until_sent();
    hold(VMS_TRUE);
    connections();
    clearing();
    printf("all checks passed\n");
    return 0;
}
