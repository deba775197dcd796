/* vms-telemetry: usage telemetry for programs that connect to a Milestone XProtect VMS.
 *
 * Generated from src/ffi.rs; do not edit.
 *
 * The rules, which hold for every function:
 * - It returns a status: VMS_OK, VMS_OFF (done as well, and nothing recorded) or VMS_ERROR_*. Numbers are never reused.
 * - It may be called from any thread, at any time, any number of times. Nothing makes it crash or wait for the network.
 * - On an error nothing was done and no output was written (get_text and last_error write the length that they need).
 *   last_error then has the message, for the thread that made the call. No message holds a value of the caller's.
 * - A record begins with its size in bytes, which the caller sets (`info.size = sizeof info`), so that records can grow.
 *   Set the rest of it to zero first: zero means "not given" in every field, now and later.
 * - A text is UTF-8, ends with a NUL and has at most VMS_TEXT_LIMIT bytes.
 * - The caller owns every pointer. The library borrows it for the call, keeps none and hands out none, so there is
 *   nothing to free. A connection is a number, not a pointer: a wrong one is an error and no more.
 * - The library stays in the process once it is loaded; its thread never delays the end of the process.
 */

#ifndef VMS_TELEMETRY_H
#define VMS_TELEMETRY_H

#include <stddef.h>
#include <stdint.h>

// Done.
#define VMS_OK 0

// Done, and nothing was recorded: telemetry is off, or this connection sends nothing. Not an error.
#define VMS_OFF 1

// A pointer is NULL, or a field of a record cannot be used. Nothing was done. The message names the field.
#define VMS_ERROR_ARGUMENT 10

// The call needs a session, and init_session was not called yet.
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

// connect_vms: no connection came about: refused, unknown name, cut off.
#define VMS_ERROR_UNREACHABLE 40

// connect_vms: time is over.
#define VMS_ERROR_TIMEOUT 41

// connect_vms: this computer does not trust the server's certificate.
#define VMS_ERROR_CERTIFICATE 42

// connect_vms: HTTPS was asked for, and the address is for plain HTTP.
#define VMS_ERROR_NOT_ENCRYPTED 43

// connect_vms: the server points to another one.
#define VMS_ERROR_REDIRECTED 44

// connect_vms: name, password or token were refused.
#define VMS_ERROR_LOGON_REFUSED 45

// connect_vms: the user is locked.
#define VMS_ERROR_LOCKED_OUT 46

// connect_vms: the user must choose a new password first.
#define VMS_ERROR_PASSWORD_EXPIRED 47

// connect_vms: the user may log on, and not read what is needed.
#define VMS_ERROR_ACCESS_DENIED 48

// connect_vms: the server says that it failed.
#define VMS_ERROR_SERVER 49

// connect_vms: the answer is not that of an XProtect API.
#define VMS_ERROR_ANSWER 50

// A defect of this library. Nothing was recorded; the host goes on as if telemetry were off.
#define VMS_ERROR_INTERNAL 30

// A truth value that is not given.
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

// The option is off: telemetry is switched off for this user, in this session and in all later ones.
#define VMS_POLICY_OFF 2

// The VMS does not have the option: as if it were on.
#define VMS_POLICY_NOT_OFFERED 3

// Nobody said anything: the default holds.
#define VMS_LAYER_DEFAULT 0

// The user's settings file decided.
#define VMS_LAYER_SETTINGS_FILE 1

// An environment variable VMS_ApplicationInsights__* decided.
#define VMS_LAYER_ENVIRONMENT 2

// The environment variable DO_NOT_TRACK decided.
#define VMS_LAYER_DO_NOT_TRACK 3

// The administrator of a VMS decided, with its option "Enable usage data collection".
#define VMS_LAYER_VMS_POLICY 4

// Telemetry cannot work here: no folder, a broken settings file, an unusable connection string.
#define VMS_LAYER_UNUSABLE 5

// get_text: the version of this library.
#define VMS_TEXT_LIBRARY_VERSION 1

// get_text: who decided whether telemetry is on, and why; a sentence without its full stop.
#define VMS_TEXT_TELEMETRY_REASON 2

// get_text: who decided whether events go to the raw log.
#define VMS_TEXT_LOG_REASON 3

// get_text: path of the settings file.
#define VMS_TEXT_SETTINGS_FILE 4

// get_text: path of the folder with the random ids and the events that wait.
#define VMS_TEXT_DATA_FOLDER 5

// get_text: path of the raw log's folder.
#define VMS_TEXT_LOG_FOLDER 6

// get_text: the random id of this session.
#define VMS_TEXT_SESSION_ID 7

// get_text: what last failed on this computer, as a file that could not be written; empty if nothing did.
#define VMS_TEXT_LAST_FAILURE 8

// get_text: why the last attempt to send failed; empty if it did not.
#define VMS_TEXT_DELIVERY_FAILURE 9

// get_text: when the service last took events (ISO 8601, UTC); empty if it never did.
#define VMS_TEXT_LAST_SENT 10

// get_text: why nothing of the last connection is sent although telemetry is on; empty if it is.
#define VMS_TEXT_CONNECTION_REASON 11

// The server is sought.
#define VMS_STAGE_FINDING 1

// A Windows user: the host gets a token at VMS_CONNECTION_TOKEN_ENDPOINT and hands it over with give_token.
#define VMS_STAGE_TOKEN_NEEDED 2

// A token is asked for.
#define VMS_STAGE_LOGGING_ON 3

// Logged on; site, product and child sites are read.
#define VMS_STAGE_READING 4

// The connection stands; privacy option and counts are read in the background.
#define VMS_STAGE_COUNTING 5

// The connection stands, and nothing goes on any more.
#define VMS_STAGE_CONNECTED 6

// There is no connection: see the failure and VMS_CONNECTION_FAILURE.
#define VMS_STAGE_FAILED 7

// get_connection_text: the server as it is really spoken to, as "https://host:port/".
#define VMS_CONNECTION_ADDRESS 1

// get_connection_text: the actual id of the site.
#define VMS_CONNECTION_SITE_ID 2

// get_connection_text: the name of the site.
#define VMS_CONNECTION_SITE_NAME 3

// get_connection_text: the name of the product.
#define VMS_CONNECTION_PRODUCT_NAME 4

// get_connection_text: the version of the product.
#define VMS_CONNECTION_PRODUCT_VERSION 5

// get_connection_text: where the host logs a Windows user on: it posts the form
// grant_type=windows_credentials&client_id=GrantValidatorClient there, with the handshake of HTTP (Negotiate, NTLM).
#define VMS_CONNECTION_TOKEN_ENDPOINT 6

// get_connection_text: why there is no connection: what happened, to which server, and what to do.
#define VMS_CONNECTION_FAILURE 7

// get_connection_text: the child sites, a line each, as id, version and name with a TAB between them.
#define VMS_CONNECTION_CHILD_SITES 8

// Longest text in a record, in bytes without the NUL. A longer one is an error, and no more of it is read.
#define VMS_TEXT_LIMIT 8192

// Most entries of an environment that are read.
#define VMS_ENVIRONMENT_LIMIT 4096

// What the host says of itself, for init_session. All texts may be NULL but assembly_version.
typedef struct VmsSessionInfo {
  // sizeof(VmsSessionInfo).
  uint32_t size;
  // VMS_TRUE: the host will name the proxy with set_config, and nothing is sent before it did. Otherwise the proxy
  // comes from HTTPS_PROXY, ALL_PROXY, HTTP_PROXY and NO_PROXY.
  uint32_t names_proxy;
  // ProductVersion of the module's assembly, or the version of the host program. Required.
  const char *assembly_version;
  // Name and version of the framework, as .NET's RuntimeInformation.FrameworkDescription; NULL: there is none.
  const char *framework_description;
  // Name and version of the operating system; NULL: the library finds its own.
  const char *os_description;
  // Application Insights connection string; NULL: the built-in one. VMS_ApplicationInsights__ConnectionString
  // goes before it. HTTPS is required, but for this computer itself.
  const char *connection_string;
  // The environment as "NAME=value" texts, ended by a NULL pointer, for hosts whose runtime keeps an environment of
  // its own, as .NET does on Linux; NULL: the library reads that of the process. A value that is too long or not UTF-8
  // cannot be used: where it could say yes or no, that is a no.
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
  // What the VMS says of its option "Enable usage data collection for XProtect Smart Client": VMS_POLICY_*.
  uint32_t usage_data_policy;
  // Zero.
  uint32_t reserved;
  // The actual id of the site, a GUID. It never leaves this computer: a random id stands for it. Required.
  const char *site_id;
  // Version of the VMS; NULL: left out.
  const char *product_version;
  // Product name of the VMS; NULL: left out.
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

// A logon to an XProtect management server, for connect_vms. Texts that the user_type does not need may be NULL.
typedef struct VmsLogon {
  // sizeof(VmsLogon).
  uint32_t size;
  // VMS_USER_BASIC: with user_name and password. VMS_USER_WINDOWS: the host brings the token (give_token).
  // VMS_USER_OAUTH: with access_token. Required.
  uint32_t user_type;
  // VMS_TRUE: HTTPS or nothing.
  uint32_t secure_only;
  // VMS_TRUE: any certificate is taken.
  uint32_t skip_certificate_check;
  // VMS_TRUE: the child sites are listed as a part of the logon.
  uint32_t include_child_sites;
  // Longest time for the logon as a whole, in seconds, at most 3,600; 0: 60.
  uint32_t timeout_seconds;
  // "https://host", "http://host:port", or a bare host name: HTTPS, and where nothing answers there HTTP, unless
  // secure_only says no. Required.
  const char *server_address;
  // Name of a basic user.
  const char *user_name;
  // Its password. The library's copy is wiped after the logon.
  const char *password;
  // A token that the VMS's identity provider gave out. The library's copy is wiped with the connection.
  const char *access_token;
  // An open connection that is closed before this one begins, as by on_disconnect; 0: none. Where this record cannot be
  // used, it stays open.
  uint64_t replaces;
} VmsLogon;

// What holds of a connection of connect_vms, from get_connection.
typedef struct VmsConnectionState {
  // sizeof(VmsConnectionState), set by the caller.
  uint32_t size;
  // VMS_STAGE_*.
  uint32_t stage;
  // At VMS_STAGE_FAILED: VMS_ERROR_UNREACHABLE to VMS_ERROR_ANSWER, or VMS_ERROR_INTERNAL. Else VMS_OK.
  int32_t failure;
  // VMS_TRUE: HTTPS. VMS_UNSET: not known yet.
  uint32_t encryption_enabled;
  // VMS_POLICY_*. Unknown until it was read; with telemetry off it is not read.
  uint32_t usage_data_policy;
  // VMS_TRUE: NewVmsSession was recorded. VMS_FALSE: nothing of this connection is sent. VMS_UNSET: not decided yet.
  uint32_t reported;
  // Items that were counted so far.
  uint32_t items_counted;
} VmsConnectionState;

// A change of the configuration, for set_config. All zero but the size: nothing changes.
typedef struct VmsConfigChange {
  // sizeof(VmsConfigChange).
  uint32_t size;
  // Whether events are recorded and sent. VMS_UNSET: as it is. Stored for every later session of the user.
  uint32_t enable_telemetry;
  // Whether events are written to the raw log. VMS_UNSET: as it is. Stored as well.
  uint32_t log_telemetry;
  // Zero.
  uint32_t reserved;
  // The proxy for this session, as "http://host:port"; "": none; NULL: as it is. Not stored.
  const char *proxy;
} VmsConfigChange;

// What holds at this moment, from get_config.
typedef struct VmsConfig {
  // sizeof(VmsConfig), set by the caller.
  uint32_t size;
  // VMS_TRUE or VMS_FALSE.
  uint32_t telemetry_enabled;
  // Who decided it: VMS_LAYER_*.
  uint32_t telemetry_layer;
  // VMS_TRUE or VMS_FALSE. With telemetry off nothing is logged.
  uint32_t log_telemetry;
  // Who decided it: VMS_LAYER_*.
  uint32_t log_layer;
  // Events that wait to be sent.
  uint32_t pending_events;
} VmsConfig;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Starts the session of this process and records NewSession, unless somebody said no. Never waits for the network.
//
// A process has one session: a further call joins the running one and ignores its argument. VMS_OFF: there is a session,
// and NewSession is not recorded, because telemetry is off or nothing can be stored; get_config and get_text tell why.
//
// # Safety
// `info` is NULL or points to a record whose first field says how large it is; its texts are NULL or end with a NUL.
// All is borrowed for the call.
int32_t init_session(const struct VmsSessionInfo *info);

// Records NewVmsSession and writes the connection's number, by which on_disconnect closes it. Never waits for the
// network. VMS_OFF: there is a connection, and nothing of it is sent.
//
// # Safety
// `info` as for init_session; `connection` is NULL or can be written to.
int32_t on_connect(const struct VmsConnectionInfo *info,
                   uint64_t *connection);

// Begins to log on to a VMS, in the background, and writes the connection's number. Returns at once. Works whether or not
// telemetry is on; where it is, NewVmsSession is recorded as soon as the VMS is counted, and the host does not call
// on_connect. With `replaces` it may take a second, as on_disconnect does. The connection is closed with on_disconnect,
// also where the logon failed.
//
// # Safety
// `logon` as `info` for init_session; `connection` is NULL or can be written to.
int32_t connect_vms(const struct VmsLogon *logon,
                    uint64_t *connection);

// Hands over the token that the host got for a Windows user, at VMS_STAGE_TOKEN_NEEDED.
//
// # Safety
// `token` is NULL or a text.
int32_t give_token(uint64_t connection, const char *token);

// Writes what holds of a connection of connect_vms: as much of the record as the caller's size says. For as long as the
// connection is at `stage` (VMS_STAGE_*), waits for the next one, at most so many milliseconds; 0: does not wait.
//
// # Safety
// `state` as `config` for get_config.
int32_t get_connection(uint64_t connection,
                       uint32_t stage,
                       uint32_t wait_milliseconds,
                       struct VmsConnectionState *state);

// Writes one of VMS_CONNECTION_* of a connection of connect_vms, in the manner of get_text; empty: not known (yet).
//
// # Safety
// As for get_text.
int32_t get_connection_text(uint64_t connection,
                            uint32_t which,
                            char *buffer,
                            size_t capacity,
                            size_t *length);

// Waits until a connection of connect_vms is counted, at most so many milliseconds, and records its NewVmsSession with
// what is known by then, where it was not recorded yet. For the end of a process that does not disconnect;
// on_disconnect does the same, and waits for a second.
int32_t settle_connection(uint64_t connection,
                          uint32_t wait_milliseconds);

// Closes a connection and records CloseVmsSession. Call it only for a graceful end (`Disconnect-Vms`): a connection
// that just ends with its process is not reported.
int32_t on_disconnect(uint64_t connection);

// Changes the configuration. The choice holds when this returns: after a "no" nothing more is sent, and what waited is
// deleted.
//
// # Safety
// `change` as `info` for init_session.
int32_t set_config(const struct VmsConfigChange *change);

// Writes what holds at this moment: as much of the record as the caller's size says.
//
// # Safety
// `config` is NULL or points to a writable record whose first field says how large it is.
int32_t get_config(struct VmsConfig *config);

// Writes one of VMS_TEXT_* as UTF-8 with its NUL, and its length in bytes without the NUL. Where the buffer is too
// small (it may be NULL with capacity 0), only the length is written and the status is VMS_ERROR_BUFFER_TOO_SMALL.
//
// # Safety
// `buffer` is NULL with `capacity` 0, or has `capacity` writable bytes; `length` is NULL or can be written to.
int32_t get_text(uint32_t which,
                 char *buffer,
                 size_t capacity,
                 size_t *length);

// Writes the message of the last call of this thread that returned an error, in the manner of get_text. It stays until
// the next error of the thread. A failure of this call leaves it as it is.
//
// # Safety
// As for get_text.
int32_t last_error(char *buffer,
                   size_t capacity,
                   size_t *length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VMS_TELEMETRY_H */
