/* vms-telemetry: usage telemetry for programs that connect to a Milestone XProtect VMS.
 *
 * Generated from src/abi.rs and src/ffi.rs. Do not edit.
 *
 * The host program is the program that loads this library. These rules apply to every function:
 * - It returns a status. VMS_OK: done. VMS_OFF, VMS_UNSURE: done as well, and nothing was recorded. VMS_WARNING: done, and
 *   last_error has a warning. VMS_ERROR_* (10 and above): not done. Numbers are not reused.
 * - You can call it from any thread, any number of times. Do not call it from DllMain. Do not call it in a child process of
 *   fork that has not called exec: locks and threads are not valid there.
 * - It does not wait for the network, except the functions under "Connection to a VMS", which have a timeout, and on_disconnect
 *   of such a connection (at most 1 second). It does not wait for another process, except set_config (at most 2 seconds).
 * - If it returns an error, it did nothing and wrote no output. get_text and last_error still write the length that they need.
 *   last_error has the message, for the thread that made the call. No message contains a value that the caller passed.
 * - A struct begins with its size in bytes, which the caller sets (`info.size = sizeof info`), so that structs can grow.
 *   Set the rest of it to zero first. Zero means "not given" in every field, now and later.
 * - A string is UTF-8, ends with a NUL and has at most VMS_TEXT_LIMIT bytes.
 * - The caller owns every pointer. The library uses it during the call, keeps none and returns none, so there is nothing to
 *   free. A connection is a number, not a pointer. A wrong number is an error, nothing worse.
 * - The library stays in the process after it is loaded. Its thread does not delay the end of the process.
 */

#ifndef VMS_TELEMETRY_H
#define VMS_TELEMETRY_H

#include <stddef.h>
#include <stdint.h>

/* Statuses */

// Done.
#define VMS_OK 0

// Done, and nothing was recorded: telemetry is off, or this connection sends nothing. Not an error.
#define VMS_OFF 1

// Done, and nothing was recorded: it is not known now whether the user has opted out, for example because the settings
// file is locked. Pending events are kept. Not an error. VMS_TEXT_TELEMETRY_REASON has the reason.
#define VMS_UNSURE 2

// set_config: done, with a warning for the user. last_error has the warning.
#define VMS_WARNING 3

// A pointer is NULL, or a field of a struct cannot be used. Nothing was done. The message names the field.
#define VMS_ERROR_ARGUMENT 10

// The call needs a session, and init_session has not returned yet.
#define VMS_ERROR_NO_SESSION 11

// The connection is not open: it was closed, or never opened.
#define VMS_ERROR_NO_CONNECTION 12

// 1,024 connections are open in this process. The host program has to close them.
#define VMS_ERROR_TOO_MANY_CONNECTIONS 13

// The buffer is too small. The length that is needed was written.
#define VMS_ERROR_BUFFER_TOO_SMALL 14

// A file or folder could not be used. Nothing was recorded. The message names it.
#define VMS_ERROR_FILE 20

// The settings file cannot be parsed. It was left as it is. The message names file, line and column.
#define VMS_ERROR_SETTINGS 21

// The operating system has no resources left: no thread could be started.
#define VMS_ERROR_RESOURCES 22

// set_config: the administrator of this computer has opted out, and no user can opt in. Nothing was changed.
#define VMS_ERROR_POLICY 23

// A defect of this library. Nothing was recorded. The host program continues as if telemetry were off.
#define VMS_ERROR_INTERNAL 30

/* Statuses of find_vms and connect_vms: why there is no connection to the VMS */

// The connection failed: name not found, refused, no route, or reset.
#define VMS_ERROR_UNREACHABLE 40

// Timed out.
#define VMS_ERROR_TIMEOUT 41

// The server's certificate is not trusted.
#define VMS_ERROR_CERTIFICATE 42

// The server does not answer over HTTPS, or HTTPS was required and the address is for plain HTTP.
#define VMS_ERROR_NOT_ENCRYPTED 43

// The server redirects to another server. Such a redirect is not followed.
#define VMS_ERROR_REDIRECTED 44

// The server rejected the user name, the password or the token.
#define VMS_ERROR_LOGON_REFUSED 45

// The user is locked.
#define VMS_ERROR_LOCKED_OUT 46

// The user must choose a new password first.
#define VMS_ERROR_PASSWORD_EXPIRED 47

// The user may log on, but may not read what is needed.
#define VMS_ERROR_ACCESS_DENIED 48

// The server reported an internal error.
#define VMS_ERROR_SERVER 49

// The response is not that of an XProtect API.
#define VMS_ERROR_ANSWER 50

// Another thread cancelled the call with on_disconnect.
#define VMS_ERROR_CANCELLED 51

/* Values of members */

// Not given, or not known. A struct that is all zero has this value in each field, so false and true are 1 and 2.
#define VMS_UNSET 0

// False.
#define VMS_FALSE 1

// True.
#define VMS_TRUE 2

// set_config: the user's choice is taken back.
#define VMS_RESET 3

// A basic user of the VMS.
#define VMS_USER_BASIC 1

// A Windows or Active Directory user.
#define VMS_USER_WINDOWS 2

// A user of an external identity provider.
#define VMS_USER_OAUTH 3

// The option "Enable usage data collection" could not be read: no event of this connection is sent.
#define VMS_POLICY_UNKNOWN 0

// The option is on.
#define VMS_POLICY_ON 1

// The option is off: this opts the user out, in this session and in all later ones.
#define VMS_POLICY_OFF 2

// The VMS does not have the option: treated as on.
#define VMS_POLICY_NOT_OFFERED 3

// The default: nobody has opted in or out.
#define VMS_LAYER_DEFAULT 0

// The user's settings file.
#define VMS_LAYER_SETTINGS_FILE 1

// An environment variable VMS_ApplicationInsights__* (or VMS_ApplicationInsights:*).
#define VMS_LAYER_ENVIRONMENT 2

// The environment variable DO_NOT_TRACK.
#define VMS_LAYER_DO_NOT_TRACK 3

// The administrator of a VMS, with its option "Enable usage data collection".
#define VMS_LAYER_VMS_POLICY 4

// Telemetry cannot work in this process: no folder, an unusable connection string.
#define VMS_LAYER_UNUSABLE 5

// The administrator of this computer: HKLM\SOFTWARE\Policies\Milestone\MilestonePSTools, EnableTelemetry; elsewhere
// /etc/milestone/milestonepstools.json.
#define VMS_LAYER_MACHINE_POLICY 6

// The user opted out in this session, and that could not be stored. It is in effect until the process ends.
#define VMS_LAYER_SESSION 7

// It is not known now whether there is an opt-out: the settings file or the machine policy cannot be read.
#define VMS_LAYER_UNSURE 8

/* Strings of get_text */

// get_text: the version of this library.
#define VMS_TEXT_LIBRARY_VERSION 1

// get_text: why telemetry is on or off, and who decided that. A sentence without its full stop.
#define VMS_TEXT_TELEMETRY_REASON 2

// get_text: who decided whether events are written to the telemetry log.
#define VMS_TEXT_LOG_REASON 3

// get_text: path of the settings file.
#define VMS_TEXT_SETTINGS_FILE 4

// get_text: path of the folder with the random ids and the pending events.
#define VMS_TEXT_DATA_FOLDER 5

// get_text: path of the telemetry log's folder.
#define VMS_TEXT_LOG_FOLDER 6

// get_text: the random id of this session.
#define VMS_TEXT_SESSION_ID 7

// get_text: the last local error, for example a file that could not be written. Empty if there was none.
#define VMS_TEXT_LAST_FAILURE 8

// get_text: why the last attempt to send failed. Empty if it did not.
#define VMS_TEXT_DELIVERY_FAILURE 9

// get_text: when Application Insights last accepted events (ISO 8601, UTC). Empty if it never did.
#define VMS_TEXT_LAST_SENT 10

// get_text: why no event of the last connection is sent although telemetry is on. Empty if they are sent.
#define VMS_TEXT_CONNECTION_REASON 11

// get_text: the connection string in use, as "InstrumentationKey=...;IngestionEndpoint=...". Empty if none can be used.
#define VMS_TEXT_CONNECTION_STRING 12

// get_text: the random id of the user, as it is stored. Empty if there is none.
#define VMS_TEXT_USER_ID 13

// get_text: what each layer of consent says, one in a line: "SettingsFile=off".
#define VMS_TEXT_LAYERS 14

// get_text: the steps of the last test_endpoint, one in a line, with tabs between: its name, ok, failed or untried,
// milliseconds, what happened, and what to do.
#define VMS_TEXT_ENDPOINT_TEST 15

// get_event: a pending event as it would be sent now: its envelope, the JSON object of the wire. The oldest first.
#define VMS_EVENT_PENDING 1

// get_event: the receipt of a request that the service answered, the newest first: a line with the JSON object {"time",
// "destination", "status", "items"}, then the body as it left, an envelope in each line. Of each item, items says
// accepted, refused, retry or tooLarge.
#define VMS_EVENT_RECEIPT 2

// get_event: what this session would record now, whether or not telemetry is on. Touches neither disk nor network. Ids
// that the session has not read are zero.
#define VMS_EVENT_PREVIEW 3

// clear_data: the random ids of the user and of the sites. They are new from then on, in every process of the user, and so
// is the id of the session. Deletes the rest as well, except the settings: it has the ids in it.
#define VMS_CLEAR_IDS 1

// clear_data: pending events.
#define VMS_CLEAR_PENDING 2

// clear_data: receipts.
#define VMS_CLEAR_SENT 4

// clear_data: the telemetry log.
#define VMS_CLEAR_LOG 8

// timeout_seconds: no timeout. hold_seconds: no end.
#define VMS_NO_TIMEOUT 4294967295

/* Limits */

// Longest string in a struct, in bytes without the NUL. A longer one is an error, and the rest of it is not read.
#define VMS_TEXT_LIMIT 8192

// Most entries that are read from an environment.
#define VMS_ENVIRONMENT_LIMIT 4096

/* Structs */

// Describes the host program, for init_session. All strings except assembly_version may be NULL.
typedef struct VmsSessionInfo {
  // sizeof(VmsSessionInfo).
  uint32_t size;
  // VMS_TRUE: the host program sets the proxy with set_config, and nothing is sent before. Otherwise the proxy comes
  // from HTTPS_PROXY, ALL_PROXY, HTTP_PROXY and NO_PROXY.
  uint32_t names_proxy;
  // ProductVersion of the module's assembly, or the version of the host program. Required. It is sent if it has at most
  // 64 characters out of 0-9, A-Z, a-z, '.', '+' and '-'.
  const char *assembly_version;
  // Name and version of the framework, such as .NET's RuntimeInformation.FrameworkDescription. NULL: there is none.
  const char *framework_description;
  // Name and version of the operating system. NULL: the library asks the system.
  const char *os_description;
  // Application Insights connection string. NULL: the built-in one. The environment variable
  // VMS_ApplicationInsights__ConnectionString takes precedence. HTTPS is required, except to this computer itself.
  const char *connection_string;
  // The environment as "NAME=value" strings, ended by a NULL pointer. For host programs whose runtime has its own
  // environment, such as .NET on Linux. NULL: the library reads the environment of the process. The library reads
  // the variables VMS_ApplicationInsights__* and VMS_ApplicationInsights:*, DO_NOT_TRACK, HTTPS_PROXY, ALL_PROXY,
  // HTTP_PROXY, NO_PROXY, HOME, XDG_DATA_HOME and XDG_STATE_HOME. A value that is too long or not UTF-8 cannot be
  // used: if it could opt out, it does.
  const char *const *environment;
  // For so many seconds no request begins, so that a command that opts out comes first. A call of set_config with
  // hold_sending VMS_FALSE ends it. VMS_NO_TIMEOUT: only that call does. A request never begins sooner than 1 second
  // after the start.
  uint32_t hold_seconds;
} VmsSessionInfo;

// A count that may be unknown. All zero: not known, and left out of the event.
typedef struct VmsCount {
  // VMS_TRUE: value is the count.
  uint32_t known;
  // The count.
  uint32_t value;
} VmsCount;

// The facts of a connection to an XProtect VMS, for on_connect.
typedef struct VmsConnectionInfo {
  // sizeof(VmsConnectionInfo).
  uint32_t size;
  // VMS_USER_*. Required.
  uint32_t user_type;
  // Whether the connection uses OAuth. VMS_UNSET: left out.
  uint32_t is_oauth_connection;
  // Whether the connection uses HTTPS. VMS_UNSET: left out.
  uint32_t encryption_enabled;
  // Value of the VMS option "Enable usage data collection for XProtect Smart Client": VMS_POLICY_*.
  uint32_t usage_data_policy;
  // Zero.
  uint32_t reserved;
  // The actual id of the site, a GUID. It is not sent: the event has a random id instead. Required.
  const char *site_id;
  // Version of the VMS. NULL: left out. The rule for assembly_version applies.
  const char *product_version;
  // Product name of the VMS. NULL: left out. It is sent if it has at most 128 printable characters, without '\',
  // '/', '@' and ':', and contains no IP address and no GUID.
  const char *product_name;
  // Child sites.
  struct VmsCount child_sites;
  // Recording servers.
  struct VmsCount recorders;
  // Hardware devices.
  struct VmsCount hardware_count;
  // Enabled cameras.
  struct VmsCount camera_count;
  // Enabled microphones.
  struct VmsCount microphone_count;
  // Enabled speakers.
  struct VmsCount speaker_count;
  // Enabled metadata channels.
  struct VmsCount metadata_count;
  // Enabled inputs.
  struct VmsCount input_count;
  // Enabled outputs.
  struct VmsCount output_count;
} VmsConnectionInfo;

// A change of the configuration, for set_config. All zero except the size: nothing changes.
typedef struct VmsConfigChange {
  // sizeof(VmsConfigChange).
  uint32_t size;
  // Whether events are recorded and sent. VMS_UNSET: no change. Stored for all later sessions of the user. VMS_RESET:
  // takes back what the user chose, so that the default is in effect again. An opt-out by a VMS stays, with a warning.
  uint32_t enable_telemetry;
  // Whether events are written to the telemetry log. VMS_UNSET: no change. Stored as well. VMS_RESET: takes back what
  // the user chose.
  uint32_t log_telemetry;
  // VMS_TRUE: the host program is about to change the configuration, for example while it asks the user to confirm.
  // No request begins until a call with VMS_FALSE. Calls nest: each VMS_TRUE needs its own VMS_FALSE. VMS_UNSET: no
  // change.
  uint32_t hold_sending;
  // The proxy for this session, such as "http://host:port". "": no proxy. NULL: no change. Not stored.
  const char *proxy;
  // VMS_TRUE: enable_telemetry is for this session only, and nothing is stored. VMS_FALSE of it opts out until the
  // process ends; VMS_TRUE takes that back, and overrides no other opt-out. Nothing else can be chosen with it.
  uint32_t this_session_only;
} VmsConfigChange;

// The configuration in effect now, from get_config.
typedef struct VmsConfig {
  // sizeof(VmsConfig), set by the caller.
  uint32_t size;
  // VMS_TRUE: on. VMS_FALSE: off. VMS_UNSET: not known now (VMS_LAYER_UNSURE), and nothing is recorded or sent.
  uint32_t telemetry_enabled;
  // Who decided it: VMS_LAYER_*.
  uint32_t telemetry_layer;
  // VMS_TRUE or VMS_FALSE. When telemetry is off, nothing is logged.
  uint32_t log_telemetry;
  // Who decided it: VMS_LAYER_*.
  uint32_t log_layer;
  // Events pending for the destination of this session.
  uint32_t pending_events;
} VmsConfig;

/* Structs for "Connection to a VMS" */

// A logon to an XProtect management server, for find_vms and connect_vms. Strings that the user_type does not need may be
// NULL.
typedef struct VmsLogon {
  // sizeof(VmsLogon).
  uint32_t size;
  // VMS_USER_BASIC: with user_name and password. VMS_USER_WINDOWS: with access_token, which the host program gets
  // from the token endpoint of find_vms. VMS_USER_OAUTH: with access_token. Required. find_vms needs none of these
  // strings.
  uint32_t user_type;
  // VMS_TRUE: HTTPS is required. An address with http:// is an error.
  uint32_t secure_only;
  // VMS_TRUE: any certificate is accepted. This allows man-in-the-middle attacks.
  uint32_t skip_certificate_check;
  // VMS_TRUE: the child sites are listed as part of the logon.
  uint32_t include_child_sites;
  // Timeout of the whole call in seconds, at most 3,600, or VMS_NO_TIMEOUT. 0: 60 seconds.
  uint32_t timeout_seconds;
  // "https://host", "http://host:port", or a host name without a scheme, which means HTTPS. A path is ignored.
  // Required.
  const char *server_address;
  // Name of a basic user.
  const char *user_name;
  // Password of the basic user. The library's copy is wiped from memory after the logon.
  const char *password;
  // A token of the VMS's identity provider. The library's copy is wiped from memory when the connection is closed.
  const char *access_token;
  // An open connection to close before the logon, as on_disconnect does. 0: none. If a field of this struct cannot
  // be used, that connection stays open.
  uint64_t replaces;
} VmsLogon;

// What is known of a VMS, from find_vms and connect_vms. Strings are UTF-8, end with a NUL and are empty if not known.
typedef struct VmsServer {
  // sizeof(VmsServer), set by the caller.
  uint32_t size;
  // VMS_TRUE: HTTPS.
  uint32_t encryption_enabled;
  // connect_vms with include_child_sites: number of child sites that get_child_site can return.
  uint32_t child_sites;
  // Zero.
  uint32_t reserved;
  // The address in use, such as "https://host:port/".
  char address[280];
  // find_vms: the URL where the host program logs on a Windows user. Post the form
  // grant_type=windows_credentials&client_id=GrantValidatorClient there, with HTTP authentication (Negotiate, NTLM).
  char token_endpoint[1032];
  // connect_vms: name of the product.
  char product_name[1032];
  // connect_vms: actual id of the site, a GUID in lower case with hyphens.
  char site_id[40];
  // connect_vms: name of the site.
  char site_name[1032];
  // connect_vms: version of the product.
  char product_version[136];
  // The address of the API Gateway.
  char gateway[280];
  // Such as "TLS 1.3". Empty on Windows, where the system does not say.
  char tls_version[16];
} VmsServer;

// A site of a VMS. Strings are UTF-8, end with a NUL and are empty if not known.
typedef struct VmsSite {
  // sizeof(VmsSite), set by the caller.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // The actual id, a GUID in lower case with hyphens.
  char id[40];
  // Version of its product.
  char version[136];
  // Its name.
  char name[1032];
} VmsSite;

// The state of a connection of connect_vms, from get_connection.
typedef struct VmsConnectionState {
  // sizeof(VmsConnectionState), set by the caller.
  uint32_t size;
  // VMS_TRUE: the usage data option or the devices are being read in the background. VMS_FALSE: done.
  uint32_t counting;
  // VMS_POLICY_*. Unknown until it was read. When telemetry is off, it is not read.
  uint32_t usage_data_policy;
  // VMS_TRUE: NewVmsSession was recorded. VMS_FALSE: no event of this connection is sent. VMS_UNSET: not decided
  // yet.
  uint32_t reported;
  // Items counted so far.
  uint32_t items_counted;
} VmsConnectionState;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* Telemetry: call init_session first, then on_connect and on_disconnect for each connection */

// Starts the session of this process. Records NewSession if telemetry is on. Does not wait for the network or for
// another process.
//
// A process has one session. A further call joins it, checks its argument and ignores it. VMS_OFF, VMS_UNSURE: there is a
// session, and NewSession is not recorded. get_config and get_text have the reason.
//
// Arguments: `info` is NULL or points to a struct that begins with its size. Its strings are NULL or end with a NUL. All is
// borrowed for the call.
int32_t init_session(const struct VmsSessionInfo *info);

// Records NewVmsSession for a connection that the host program made. Writes the number of the connection, for
// on_disconnect. Does not wait for the network or for another process. VMS_OFF, VMS_UNSURE: there is a connection, and
// no event of it is sent.
//
// Arguments: `info` as for init_session. `connection` is NULL or can be written to.
int32_t on_connect(const struct VmsConnectionInfo *info,
                   uint64_t *connection);

// Closes a connection and records CloseVmsSession. Call it when the user disconnects. Do not call it when the process
// ends: such an end is not recorded. If connect_vms made the connection and its devices are still being counted, waits
// at most 1 second for the count. Cancels a call of find_vms or connect_vms that is in progress.
int32_t on_disconnect(uint64_t connection);

// Changes the configuration. The change is in effect when this returns. After an opt-out, no request begins and
// pending events are deleted. Waits at most 2 seconds for another process. After that time an opt-out is stored
// without waiting (VMS_WARNING). If an opt-out cannot be stored (VMS_ERROR_FILE, VMS_ERROR_SETTINGS), it is in effect
// until the process ends.
//
// Arguments: `change` as `info` for init_session.
int32_t set_config(const struct VmsConfigChange *change);

/* Reading state */

// Writes the configuration in effect now, as much of the struct as the caller's size says. Does not wait.
//
// Arguments: `config` is NULL or points to a writable struct that begins with its size.
int32_t get_config(struct VmsConfig *config);

// Writes one of VMS_TEXT_* as UTF-8 with its NUL, and its length in bytes without the NUL. If the buffer is too small
// (it may be NULL with capacity 0), only the length is written and the status is VMS_ERROR_BUFFER_TOO_SMALL.
//
// Arguments: `buffer` is NULL with `capacity` 0, or has `capacity` writable bytes. `length` is NULL or can be written to.
int32_t get_text(uint32_t which,
                 char *buffer,
                 size_t capacity,
                 size_t *length);

// Writes the index-th event of VMS_EVENT_*, from 0 on, as get_text writes. VMS_ERROR_ARGUMENT: there are fewer. Empty: its
// file cannot be read; go on with the next. Works whether or not telemetry is on. Does not wait for the network or for
// another process.
//
// Arguments: As for get_text.
int32_t get_event(uint32_t which,
                  uint32_t index,
                  char *buffer,
                  size_t capacity,
                  size_t *length);

// Tries the way to Application Insights step by step: name, proxy, connection, certificate, answer. get_text has the steps
// (VMS_TEXT_ENDPOINT_TEST). Blocks the calling thread, 20 seconds at most. Works whether or not telemetry is on. Sends no
// event.
int32_t test_endpoint(void);

// Deletes what is stored of telemetry: a sum of VMS_CLEAR_*. The settings stay. It is in effect when this returns. Waits at
// most 2 seconds for another process.
int32_t clear_data(uint32_t what);

/* Errors */

// Writes the message of the last call of this thread that returned an error or VMS_WARNING, as get_text writes. The
// message stays until the next such call of the thread. If this call fails, the message does not change.
//
// Arguments: As for get_text.
int32_t last_error(char *buffer,
                   size_t capacity,
                   size_t *length);

// Writes what the user can do about the message of last_error, as get_text writes. The message ends with the same words.
// Empty if it has no such end.
//
// Arguments: As for get_text.
int32_t last_advice(char *buffer,
                    size_t capacity,
                    size_t *length);

/* Connection to a VMS, if the library makes the logon. Call reserve_connection, then find_vms for a Windows user,
 * connect_vms, and on_disconnect at the end. These functions work whether or not telemetry is on. */

// Writes a number for find_vms and connect_vms. With it, on_disconnect cancels the call from another thread, and later
// closes the connection. The host program releases each number with on_disconnect, also if the call failed.
//
// Arguments: `connection` is NULL or can be written to.
int32_t reserve_connection(uint64_t *connection);

// Finds the server. Writes its address and token endpoint, as much of the struct as the caller's size says. Blocks the
// calling thread until it is done, until the timeout, or until another thread calls on_disconnect
// (VMS_ERROR_CANCELLED). Sends no credential.
//
// Arguments: `logon` as `info` for init_session. `server` as `config` for get_config.
int32_t find_vms(uint64_t connection,
                 const struct VmsLogon *logon,
                 struct VmsServer *server);

// Logs on, and writes what is known of the VMS. Blocks like find_vms. Works whether or not telemetry is on. If it is
// on, the usage data option and the devices are read in the background, and NewVmsSession is recorded after that. The
// host program does not call on_connect.
//
// Arguments: As for find_vms.
int32_t connect_vms(uint64_t connection,
                    const struct VmsLogon *logon,
                    struct VmsServer *server);

// Writes a child site of a connection of connect_vms, from index 0 on.
//
// Arguments: `site` as `config` for get_config.
int32_t get_child_site(uint64_t connection, uint32_t index, struct VmsSite *site);

// Writes the state of a connection of connect_vms, as much of the struct as the caller's size says. Does not wait.
//
// Arguments: `state` as `config` for get_config.
int32_t get_connection(uint64_t connection,
                       struct VmsConnectionState *state);

// Waits until the devices of a connection of connect_vms are counted, at most this many milliseconds. Then records
// NewVmsSession with the counts that are known, unless it was recorded before. For the end of a process that does not
// disconnect. on_disconnect does the same, and waits at most 1 second.
int32_t settle_connection(uint64_t connection,
                          uint32_t wait_milliseconds);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VMS_TELEMETRY_H */
