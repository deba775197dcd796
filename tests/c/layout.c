/* Prints where each member of each struct is, and how large it is, as a C compiler sees them (A2). */
#include <stdio.h>
#include <vms_telemetry.h>

#define STRUCT(name) printf(#name " %lu\n", (unsigned long)sizeof(name))
#define MEMBER(name, member)                                                                                           \
    printf(#name "." #member " %lu %lu\n", (unsigned long)offsetof(name, member),                                      \
           (unsigned long)sizeof(((name *)0)->member))

int main(void)
{
    STRUCT(VmsSessionInfo);
    MEMBER(VmsSessionInfo, size);
    MEMBER(VmsSessionInfo, names_proxy);
    MEMBER(VmsSessionInfo, assembly_version);
    MEMBER(VmsSessionInfo, framework_description);
    MEMBER(VmsSessionInfo, os_description);
    MEMBER(VmsSessionInfo, connection_string);
    MEMBER(VmsSessionInfo, environment);
    MEMBER(VmsSessionInfo, hold_seconds);
    STRUCT(VmsCount);
    MEMBER(VmsCount, known);
    MEMBER(VmsCount, value);
    STRUCT(VmsConnectionInfo);
    MEMBER(VmsConnectionInfo, size);
    MEMBER(VmsConnectionInfo, user_type);
    MEMBER(VmsConnectionInfo, is_oauth_connection);
    MEMBER(VmsConnectionInfo, encryption_enabled);
    MEMBER(VmsConnectionInfo, usage_data_policy);
    MEMBER(VmsConnectionInfo, reserved);
    MEMBER(VmsConnectionInfo, site_id);
    MEMBER(VmsConnectionInfo, product_version);
    MEMBER(VmsConnectionInfo, product_name);
    MEMBER(VmsConnectionInfo, child_sites);
    MEMBER(VmsConnectionInfo, recorders);
    MEMBER(VmsConnectionInfo, hardware_count);
    MEMBER(VmsConnectionInfo, camera_count);
    MEMBER(VmsConnectionInfo, microphone_count);
    MEMBER(VmsConnectionInfo, speaker_count);
    MEMBER(VmsConnectionInfo, metadata_count);
    MEMBER(VmsConnectionInfo, input_count);
    MEMBER(VmsConnectionInfo, output_count);
    STRUCT(VmsConfigChange);
    MEMBER(VmsConfigChange, size);
    MEMBER(VmsConfigChange, enable_telemetry);
    MEMBER(VmsConfigChange, log_telemetry);
    MEMBER(VmsConfigChange, hold_sending);
    MEMBER(VmsConfigChange, proxy);
    MEMBER(VmsConfigChange, this_session_only);
    STRUCT(VmsConfig);
    MEMBER(VmsConfig, size);
    MEMBER(VmsConfig, telemetry_enabled);
    MEMBER(VmsConfig, telemetry_layer);
    MEMBER(VmsConfig, log_telemetry);
    MEMBER(VmsConfig, log_layer);
    MEMBER(VmsConfig, pending_events);
    STRUCT(VmsLogon);
    MEMBER(VmsLogon, size);
    MEMBER(VmsLogon, user_type);
    MEMBER(VmsLogon, secure_only);
    MEMBER(VmsLogon, skip_certificate_check);
    MEMBER(VmsLogon, include_child_sites);
    MEMBER(VmsLogon, timeout_seconds);
    MEMBER(VmsLogon, server_address);
    MEMBER(VmsLogon, user_name);
    MEMBER(VmsLogon, password);
    MEMBER(VmsLogon, access_token);
    MEMBER(VmsLogon, replaces);
    STRUCT(VmsSite);
    MEMBER(VmsSite, size);
    MEMBER(VmsSite, reserved);
    MEMBER(VmsSite, id);
    MEMBER(VmsSite, version);
    MEMBER(VmsSite, name);
    STRUCT(VmsServer);
    MEMBER(VmsServer, size);
    MEMBER(VmsServer, encryption_enabled);
    MEMBER(VmsServer, child_sites);
    MEMBER(VmsServer, reserved);
    MEMBER(VmsServer, address);
    MEMBER(VmsServer, token_endpoint);
    MEMBER(VmsServer, product_name);
    MEMBER(VmsServer, site_id);
    MEMBER(VmsServer, site_name);
    MEMBER(VmsServer, product_version);
    MEMBER(VmsServer, gateway);
    MEMBER(VmsServer, tls_version);
    STRUCT(VmsConnectionState);
    MEMBER(VmsConnectionState, size);
    MEMBER(VmsConnectionState, counting);
    MEMBER(VmsConnectionState, usage_data_policy);
    MEMBER(VmsConnectionState, reported);
    MEMBER(VmsConnectionState, items_counted);
    return 0;
}
