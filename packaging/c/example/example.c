#include <vms_telemetry.h>

int main(void)
{
    VmsSessionInfo session = { .size = sizeof session, .assembly_version = "1.0.0" };
    VmsConnectionInfo facts = { .size = sizeof facts, .user_type = VMS_USER_BASIC, .usage_data_policy = VMS_POLICY_ON,
                                .site_id = "dddddddd-0000-4000-8000-00000000000d" };
    uint64_t connection;
    if (init_session(&session) >= VMS_ERROR_ARGUMENT || on_connect(&facts, &connection) >= VMS_ERROR_ARGUMENT)
        return 1;
    return on_disconnect(connection) >= VMS_ERROR_ARGUMENT;
}
