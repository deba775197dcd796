using System;
using System.Security;

namespace Vms.Telemetry;

/// <summary>
/// The server and the user of a logon, for <see cref="TelemetrySession.LogOn"/>. Passwords and tokens stay encrypted until
/// they are used, if the system supports that.
/// </summary>
public sealed class VmsLogon
{
    private VmsLogon(string serverAddress, VmsUserType userType, string? userName, SecureString? secret)
    {
        ServerAddress = serverAddress ?? throw new ArgumentNullException(nameof(serverAddress));
        UserType = userType;
        UserName = userName;
        Secret = secret;
    }

    /// <summary>
    /// Gets the address of the management server: <c>https://host</c>, <c>http://host:port</c>, or a host name without a
    /// scheme, which means HTTPS. With <c>http://</c>, passwords, tokens and data are not encrypted.
    /// </summary>
    public string ServerAddress { get; }

    /// <summary>Gets the kind of user.</summary>
    public VmsUserType UserType { get; }

    /// <summary>Gets the name of the user. Null for the current Windows user, or the user of the token.</summary>
    public string? UserName { get; }

    /// <summary>Gets or sets whether HTTPS is required. An address with <c>http://</c> is then an error.</summary>
    public bool SecureOnly { get; set; }

    /// <summary>Gets or sets whether any certificate is accepted. This allows man-in-the-middle attacks.</summary>
    public bool SkipCertificateCheck { get; set; }

    /// <summary>Gets or sets whether the child sites are listed.</summary>
    public bool IncludeChildSites { get; set; }

    /// <summary>
    /// Gets or sets the timeout of the whole logon, in full seconds, at most 1 hour; or
    /// <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>.
    /// </summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Gets or sets an open connection to close first. If this logon cannot be tried, that connection stays open.
    /// </summary>
    public VmsConnection? Replaces { get; set; }

    /// <summary>Gets or sets what is told of each step of the logon, in the calling thread. No secret is told.</summary>
    internal Action<string>? Tell { get; set; }

    /// <summary>Gets the address as it was typed, without what may stand before an @ in it.</summary>
    internal string PlainAddress => WithoutSecrets(ServerAddress);

    internal bool HasTimeout => Timeout != System.Threading.Timeout.InfiniteTimeSpan;

    /// <summary>Gets the password or the token.</summary>
    internal SecureString? Secret { get; }

    /// <summary>Logs on as the Windows user that runs this process.</summary>
    /// <param name="serverAddress">The management server.</param>
    /// <returns>The logon.</returns>
    public static VmsLogon AsCurrentUser(string serverAddress) =>
        new(serverAddress, VmsUserType.WindowsUser, null, null);

    /// <summary>Logs on as a Windows user.</summary>
    /// <param name="serverAddress">The management server.</param>
    /// <param name="userName">The user, as <c>DOMAIN\user</c>, <c>DOMAIN/user</c> or <c>user@domain</c>.</param>
    /// <param name="password">The password.</param>
    /// <returns>The logon.</returns>
    public static VmsLogon AsWindowsUser(string serverAddress, string userName, SecureString password) =>
        new(serverAddress, VmsUserType.WindowsUser, Required(userName, nameof(userName)), Required(password, nameof(password)));

    /// <summary>Logs on as a basic user of the VMS.</summary>
    /// <param name="serverAddress">The management server.</param>
    /// <param name="userName">The user.</param>
    /// <param name="password">The password.</param>
    /// <returns>The logon.</returns>
    public static VmsLogon AsBasicUser(string serverAddress, string userName, SecureString password) =>
        new(serverAddress, VmsUserType.BasicUser, Required(userName, nameof(userName)), Required(password, nameof(password)));

    /// <summary>Logs on with a token from the VMS's identity provider.</summary>
    /// <param name="serverAddress">The management server.</param>
    /// <param name="accessToken">The token.</param>
    /// <returns>The logon.</returns>
    public static VmsLogon WithAccessToken(string serverAddress, SecureString accessToken) =>
        new(serverAddress, VmsUserType.OAuthUser, null, Required(accessToken, nameof(accessToken)));

    /// <summary>Returns an address without what may be a secret: a user name and a password, a query and a fragment.</summary>
    internal static string WithoutSecrets(string address)
    {
        var end = address.LastIndexOf('@') + 1;
        var scheme = address.IndexOf("://", StringComparison.Ordinal);
        var start = scheme >= 0 && scheme < end ? scheme + 3 : 0;
        var plain = address.Remove(start, Math.Max(end - start, 0));
        var query = plain.IndexOfAny(['?', '#']);
        return query < 0 ? plain : plain.Substring(0, query);
    }

    private static T Required<T>(T value, string name)
        where T : class => value ?? throw new ArgumentNullException(name);
}
