/* vms-telemetry: usage telemetry for programs that connect to a Milestone XProtect VMS.
 *
 * Generated from src/abi.rs and src/ffi.rs; do not edit.
 *
 * The rules, which apply to every function:
 * - It returns a status. VMS_OK: done. VMS_OFF, VMS_UNSURE: done as well, and nothing was recorded. VMS_WARNING: done, and
 *   last_error has a warning. VMS_ERROR_* (10 and above): not done. Numbers are never reused.
 * - You can call it from any thread, any number of times. Do not call it from DllMain, nor in a child process of fork that has
 *   not called exec: locks and threads are not what they were there.
 * - It does not wait for the network, except the functions under "Connection to a VMS", which have a timeout, and on_disconnect of
 *   such a connection (a second at most). It does not wait for another process, except set_config (2 seconds at most).
 * - On an error nothing was done and no output was written (get_text and last_error write the length that they need).
 *   last_error then has the message, for the thread that made the call. No message has a value that the caller passed.
 * - A struct begins with its size in bytes, which the caller sets (`info.size = sizeof info`), so that structs can grow.
 *   Set the rest of it to zero first: zero means "not given" in every field, now and later.
 * - A string is UTF-8, ends with a NUL and has at most VMS_TEXT_LIMIT bytes.
 * - The caller owns every pointer. The library borrows it for the call, keeps none and returns none, so there is
 *   nothing to free. A connection is a number, not a pointer: a wrong one is an error and no more.
 * - The library stays in the process once it is loaded; its thread never delays the end of the process.
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

// Done, and nothing was recorded: at the moment it is not known whether the user has opted out, for example because the
// settings file is locked. Pending events are kept. Not an error; VMS_TEXT_TELEMETRY_REASON has the reason.
#define VMS_UNSURE 2

// set_config: done, and the user should know something. last_error has the warning.
#define VMS_WARNING 3

// A pointer is NULL, or a field of a struct cannot be used. Nothing was done. The message names the field.
#define VMS_ERROR_ARGUMENT 10

// The call needs a session, and init_session has not returned yet.
#define VMS_ERROR_NO_SESSION 11

// The connection is not open: closed already, or never opened.
#define VMS_ERROR_NO_CONNECTION 12

// 1,024 connections are open in this process: the host does not close them.
#define VMS_ERROR_TOO_MANY_CONNECTIONS 13

// The buffer is too small; the length that is needed was written.
#define VMS_ERROR_BUFFER_TOO_SMALL 14

// A file or folder could not be used. Nothing was recorded. The message names it.
#define VMS_ERROR_FILE 20

// The settings file cannot be parsed. It was left as it is. The message names file, line and column.
#define VMS_ERROR_SETTINGS 21

// The operating system has no resources left: no thread could be started.
#define VMS_ERROR_RESOURCES 22

// set_config: the administrator of this computer has opted out, and no user can opt in. Nothing was changed.
#define VMS_ERROR_POLICY 23

// A defect of this library. Nothing was recorded; the host goes on as if telemetry were off.
#define VMS_ERROR_INTERNAL 30

/* Statuses of find_vms and connect_vms: why there is no connection to the VMS */

// No connection to the VMS: name not found, refused, no route, cut off.
#define VMS_ERROR_UNREACHABLE 40

// The timeout is over.
#define VMS_ERROR_TIMEOUT 41

// The server's certificate was refused.
#define VMS_ERROR_CERTIFICATE 42

// The server does not answer over HTTPS, or HTTPS was required and the address is for plain HTTP.
#define VMS_ERROR_NOT_ENCRYPTED 43

// The server redirects to another one.
#define VMS_ERROR_REDIRECTED 44

// The server refused user name, password or token.
#define VMS_ERROR_LOGON_REFUSED 45

// The user is locked.
#define VMS_ERROR_LOCKED_OUT 46

// The user must choose a new password first.
#define VMS_ERROR_PASSWORD_EXPIRED 47

// The user may log on but may not read what is needed.
#define VMS_ERROR_ACCESS_DENIED 48

// The server reported an error of its own.
#define VMS_ERROR_SERVER 49

// The response is not that of an XProtect API.
#define VMS_ERROR_ANSWER 50

// Another thread ended the attempt with on_disconnect.
#define VMS_ERROR_CANCELLED 51

/* Values of members */

// A value that is not given or not known.
#define VMS_UNSET 0

// No.
#define VMS_FALSE 1

// Yes.
#define VMS_TRUE 2

// A basic user of the VMS.
#define VMS_USER_BASIC 1

// A Windows or Active Directory user.
#define VMS_USER_WINDOWS 2

// A user of an external identity provider.
#define VMS_USER_OAUTH 3

// The option "Enable usage data collection" could not be read: nothing of this connection is sent.
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

// The user opted out in this session, and that could not be stored: it ends with the process.
#define VMS_LAYER_SESSION 7

// At the moment it is not known whether somebody has opted out: the settings file or the machine policy cannot be read.
#define VMS_LAYER_UNSURE 8

/* Strings of get_text */

// get_text: the version of this library.
#define VMS_TEXT_LIBRARY_VERSION 1

// get_text: who decided whether telemetry is on, and why; a sentence without its full stop.
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

// get_text: the last local error, for example a file that could not be written; empty if there was none.
#define VMS_TEXT_LAST_FAILURE 8

// get_text: why the last attempt to send failed; empty if it did not.
#define VMS_TEXT_DELIVERY_FAILURE 9

// get_text: when Application Insights last accepted events (ISO 8601, UTC); empty if it never did.
#define VMS_TEXT_LAST_SENT 10

// get_text: why nothing of the last connection is sent although telemetry is on; empty if it is sent.
#define VMS_TEXT_CONNECTION_REASON 11

/* Limits */

// Longest string in a struct, in bytes without the NUL. A longer one is an error, and no more of it is read.
#define VMS_TEXT_LIMIT 8192

// Most entries of an environment that are read.
#define VMS_ENVIRONMENT_LIMIT 4096

/* Structs */

// What the host says about itself, for init_session. All strings except assembly_version may be NULL.
typedef struct VmsSessionInfo {
  // sizeof(VmsSessionInfo).
  uint32_t size;
  // VMS_TRUE: the host will name the proxy with set_config, and nothing is sent before it has. Otherwise the proxy
  // comes from HTTPS_PROXY, ALL_PROXY, HTTP_PROXY and NO_PROXY.
  uint32_t names_proxy;
  // ProductVersion of the module's assembly, or the version of the host program. Required. It is sent if it has at most
  // 64 characters out of 0-9, A-Z, a-z, '.', '+' and '-'.
  const char *assembly_version;
  // Name and version of the framework, as .NET's RuntimeInformation.FrameworkDescription; NULL: there is none.
  const char *framework_description;
  // Name and version of the operating system; NULL: the library finds its own.
  const char *os_description;
  // Application Insights connection string; NULL: the built-in one. VMS_ApplicationInsights__ConnectionString takes
  // precedence. HTTPS is required, except to this computer itself.
  const char *connection_string;
  // The environment as "NAME=value" strings, ended by a NULL pointer, for hosts whose runtime keeps an environment of
  // its own, as .NET does on Linux; NULL: the library reads that of the process. The library reads the variables
  // VMS_ApplicationInsights__* and VMS_ApplicationInsights:*, DO_NOT_TRACK, HTTPS_PROXY, ALL_PROXY, HTTP_PROXY, NO_PROXY,
  // HOME, XDG_DATA_HOME and XDG_STATE_HOME. A value that is too long or not UTF-8 cannot be used: if it could opt out, it
  // does.
  const char *const *environment;
} VmsSessionInfo;

// A count, or the fact that it is not known. All zero: not known, and left out.
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
  // What the VMS says about its option "Enable usage data collection for XProtect Smart Client": VMS_POLICY_*.
  uint32_t usage_data_policy;
  // Zero.
  uint32_t reserved;
  // The actual id of the site, a GUID. It never leaves this computer: a random id stands for it. Required.
  const char *site_id;
  // Version of the VMS; NULL: left out. Sent under the same rule as assembly_version.
  const char *product_version;
  // Product name of the VMS; NULL: left out. It is sent if it has at most 128 printable characters, without '\', '/', '@'
  // and ':', and holds no IP address and no GUID.
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
  // Whether events are recorded and sent. VMS_UNSET: as it is. Stored for every later session of the user.
  uint32_t enable_telemetry;
  // Whether events are written to the telemetry log. VMS_UNSET: as it is. Stored as well.
  uint32_t log_telemetry;
  // VMS_TRUE: the host is about to change the configuration, for example while it asks a person: no request begins until
  // a call says VMS_FALSE. Calls nest: each VMS_TRUE needs its VMS_FALSE. VMS_UNSET: as it is.
  uint32_t hold_sending;
  // The proxy for this session, as "http://host:port"; "": none; NULL: as it is. Not stored.
  const char *proxy;
} VmsConfigChange;

// What is in effect at this moment, from get_config.
typedef struct VmsConfig {
  // sizeof(VmsConfig), set by the caller.
  uint32_t size;
  // VMS_TRUE: on. VMS_FALSE: off. VMS_UNSET: not known at the moment (VMS_LAYER_UNSURE); nothing is recorded or sent.
  uint32_t telemetry_enabled;
  // Who decided it: VMS_LAYER_*.
  uint32_t telemetry_layer;
  // VMS_TRUE or VMS_FALSE. With telemetry off nothing is logged.
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
  // VMS_USER_BASIC: with user_name and password. VMS_USER_WINDOWS: with access_token, which the host got at the token
  // endpoint that find_vms names. VMS_USER_OAUTH: with access_token. Required; find_vms needs none of the strings.
  uint32_t user_type;
  // VMS_TRUE: an address with http:// is refused.
  uint32_t secure_only;
  // VMS_TRUE: any certificate is accepted.
  uint32_t skip_certificate_check;
  // VMS_TRUE: the child sites are listed as part of the logon.
  uint32_t include_child_sites;
  // Timeout of the call as a whole, in seconds, at most 3,600; 0: 60.
  uint32_t timeout_seconds;
  // "https://host", "http://host:port", or a bare host name, which means HTTPS. A path is ignored. Required.
  const char *server_address;
  // Name of a basic user.
  const char *user_name;
  // Its password. The library's copy is wiped after the logon.
  const char *password;
  // A token of the VMS's identity provider. The library's copy is wiped with the connection.
  const char *access_token;
  // An open connection that is closed before this one begins, as by on_disconnect; 0: none. If this struct cannot be used,
  // it stays open.
  uint64_t replaces;
} VmsLogon;

// What is known of a VMS, from find_vms and connect_vms. Strings are UTF-8, end with a NUL and are empty if not known.
typedef struct VmsServer {
  // sizeof(VmsServer), set by the caller.
  uint32_t size;
  // VMS_TRUE: HTTPS.
  uint32_t encryption_enabled;
  // Child sites that get_child_site gives; connect_vms with include_child_sites only.
  uint32_t child_sites;
  // Zero.
  uint32_t reserved;
  // The server as it is really connected to, as "https://host:port/".
  char address[280];
  // find_vms: where the host logs on a Windows user. It posts the form
  // grant_type=windows_credentials&client_id=GrantValidatorClient there, with HTTP's handshake (Negotiate, NTLM).
  char token_endpoint[1032];
  // connect_vms: name of the product.
  char product_name[1032];
  // connect_vms: actual id of the site, a GUID in lower case with hyphens.
  char site_id[40];
  // connect_vms: name of the site.
  char site_name[1032];
  // connect_vms: version of the product.
  char product_version[136];
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

// What is in effect for a connection of connect_vms, from get_connection.
typedef struct VmsConnectionState {
  // sizeof(VmsConnectionState), set by the caller.
  uint32_t size;
  // VMS_TRUE: the usage data option or the devices are being read in the background. VMS_FALSE: that is done.
  uint32_t counting;
  // VMS_POLICY_*. Unknown until it was read; with telemetry off it is not read.
  uint32_t usage_data_policy;
  // VMS_TRUE: NewVmsSession was recorded. VMS_FALSE: nothing of this connection is sent. VMS_UNSET: not decided yet.
  uint32_t reported;
  // Items counted so far.
  uint32_t items_counted;
} VmsConnectionState;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* Telemetry: init_session first, then on_connect and on_disconnect for each connection */

// Starts the session of this process and records NewSession, unless somebody opted out. Never waits for the network or for
// another process.
//
// A process has one session: a further call joins it and ignores its argument. VMS_OFF, VMS_UNSURE: there is a session, and
// NewSession is not recorded; get_config and get_text say why.
//
// Arguments: `info` is NULL or points to a struct whose first member says how large it is; its strings are NULL or end with a NUL.
// All is borrowed for the call.
int32_t init_session(const struct VmsSessionInfo *info);

// Records NewVmsSession and writes the connection's number, by which on_disconnect closes it. Never waits for the
// network or for another process. VMS_OFF, VMS_UNSURE: there is a connection, and nothing of it is sent.
//
// Arguments: `info` as for init_session; `connection` is NULL or can be written to.
int32_t on_connect(const struct VmsConnectionInfo *info,
                   uint64_t *connection);

// Closes a connection and records CloseVmsSession. Call it only for a graceful end (`Disconnect-Vms`): a connection
// that just ends with its process is not reported. If connect_vms made it and its devices are still being counted, waits
// for that for a second at most. Ends a call of find_vms or connect_vms that is in progress.
int32_t on_disconnect(uint64_t connection);

// Changes the configuration. A choice is in effect when this returns: after an opt-out nothing more is sent, and pending
// events are deleted. Waits for another process for 2 seconds at most; an opt-out is stored then all the same
// (VMS_WARNING). If an opt-out cannot be stored (VMS_ERROR_FILE, VMS_ERROR_SETTINGS), it is in effect until the process ends.
//
// Arguments: `change` as `info` for init_session.
int32_t set_config(const struct VmsConfigChange *change);

/* Reading state */

// Writes what is in effect at this moment: as much of the struct as the caller's size says. Never waits.
//
// Arguments: `config` is NULL or points to a writable struct whose first member says how large it is.
int32_t get_config(struct VmsConfig *config);

// Writes one of VMS_TEXT_* as UTF-8 with its NUL, and its length in bytes without the NUL. If the buffer is too
// small (it may be NULL with capacity 0), only the length is written and the status is VMS_ERROR_BUFFER_TOO_SMALL.
//
// Arguments: `buffer` is NULL with `capacity` 0, or has `capacity` writable bytes; `length` is NULL or can be written to.
int32_t get_text(uint32_t which,
                 char *buffer,
                 size_t capacity,
                 size_t *length);

/* Errors */

// Writes the message of the last call of this thread that returned an error or VMS_WARNING, in the manner of get_text. It
// stays until the next one of the thread. A failure of this call leaves it as it is.
//
// Arguments: As for get_text.
int32_t last_error(char *buffer,
                   size_t capacity,
                   size_t *length);

/* Connection to a VMS: for a host that leaves the logon to the library. reserve_connection, find_vms if the user is a
 * Windows user, connect_vms, and on_disconnect at the end. These functions work whether or not telemetry is on. */

// Writes a number for find_vms and connect_vms, by which on_disconnect ends the call from another
// thread, and later the connection. The host releases each number with on_disconnect, also if the call failed.
//
// Arguments: `connection` is NULL or can be written to.
int32_t reserve_connection(uint64_t *connection);

// Finds the server and writes its address and token endpoint: as much of the struct as the caller's size
// says. Blocks the calling thread until then, until the timeout, or until another thread calls on_disconnect
// (VMS_ERROR_CANCELLED). Sends no credential.
//
// Arguments: `logon` as `info` for init_session; `server` as `config` for get_config.
int32_t find_vms(uint64_t connection,
                 const struct VmsLogon *logon,
                 struct VmsServer *server);

// Logs on and writes what is known of it, as find_vms does. Blocks like find_vms. Works whether or not
// telemetry is on. If it is, the usage data option and the devices are read in the background, and NewVmsSession is recorded
// then; the host does not call on_connect.
//
// Arguments: As for find_vms.
int32_t connect_vms(uint64_t connection,
                    const struct VmsLogon *logon,
                    struct VmsServer *server);

// Writes a child site of a connection of connect_vms, from index 0 on.
//
// Arguments: `site` as `config` for get_config.
int32_t get_child_site(uint64_t connection, uint32_t index, struct VmsSite *site);

// Writes what is in effect for a connection of connect_vms: as much of the struct as the caller's size
// says. Never waits.
//
// Arguments: `state` as `config` for get_config.
int32_t get_connection(uint64_t connection,
                       struct VmsConnectionState *state);

// Waits until the devices of a connection of connect_vms are counted, at most so many milliseconds, and
// records its NewVmsSession with what is known by then, unless that was done. For the end of a process that does not
// disconnect; on_disconnect does the same, and waits for a second.
int32_t settle_connection(uint64_t connection,
                          uint32_t wait_milliseconds);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VMS_TELEMETRY_H */
