using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Runtime.InteropServices;
using System.Runtime.Serialization.Json;
using System.Security;
using System.Security.Authentication;
using System.Threading;
using System.Threading.Tasks;
using System.Xml;

namespace Vms.Telemetry;

/// <summary>
/// Logs a Windows user on to the VMS's identity provider with the handshakes of HTTP (Negotiate, NTLM). The platform's own
/// client does that: it knows the current user's credentials and the policies of the computer. All else is the native
/// library's.
/// </summary>
/// <remarks>A class of its own, so that no HTTP code is loaded before a logon.</remarks>
internal static class WindowsLogon
{
    /// <summary>More than any answer with a token.</summary>
    private const int AnswerLimit = 64 * 1024;

    /// <summary>TLS 1.2 and 1.3; .NET Standard has no name for the latter.</summary>
    private const SslProtocols Tls12And13 = (SslProtocols)0x3C00;

    private static readonly char[] s_separators = ['\\', '/'];

    /// <summary>What tells a domain from a user's name.</summary>
    private static readonly char[] s_domainMarks = ['\\', '/', '@'];

    /// <summary>Asks for a token, once.</summary>
    /// <exception cref="VmsConnectionException">There is none.</exception>
    internal static SecureString GetToken(
        Uri endpoint,
        VmsLogon logon,
        TimeSpan timeout,
        CancellationToken cancellation)
    {
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(timeout > TimeSpan.Zero || !logon.HasTimeout ? timeout : TimeSpan.Zero);
        try
        {
            // The system's security support may wait for a domain controller, and cannot be ended.
            var asked = Task.Run(() => Ask(endpoint, logon, timer.Token), timer.Token);
            var first = Task.WhenAny(asked, Task.Delay(Timeout.Infinite, timer.Token)).GetAwaiter().GetResult();
            if (first != asked)
            {
                _ = asked.ContinueWith(
                    late => late.Result.Dispose(),
                    CancellationToken.None,
                    TaskContinuationOptions.OnlyOnRanToCompletion,
                    TaskScheduler.Default);
                throw new OperationCanceledException(timer.Token);
            }

            return asked.GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
            cancellation.ThrowIfCancellationRequested();
            throw Failure(TelemetryStatus.Timeout, endpoint, "no answer came in time", "Check that the server is running and not overloaded, or allow more time (-TimeoutSec).");
        }
        catch (HttpRequestException exception)
        {
            throw Failure(endpoint, exception);
        }
        catch (IOException exception)
        {
            throw Unreachable(endpoint, exception);
        }
        catch (Exception exception) when (exception is not VmsConnectionException)
        {
            // The system's own security support, before or between requests, or what its policies do not allow.
            var what = "the Windows logon failed: " + exception.Message.TrimEnd('.');
            throw Failure(TelemetryStatus.LogonRefused, endpoint, what, LogonAdvice(logon));
        }
    }

    /// <summary>Puts a failure into words: what the server did, and what to do about it.</summary>
    internal static VmsConnectionException Failure(TelemetryStatus status, Uri endpoint, string what, string? advice = null)
    {
        advice ??= "Check that the address is that of an XProtect management server.";
        return new(status, endpoint.GetLeftPart(UriPartial.Authority) + ": " + what + ". " + advice, advice);
    }

    private static async Task<SecureString> Ask(Uri endpoint, VmsLogon logon, CancellationToken cancellation)
    {
        using var handler = new HttpClientHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            Credentials = Credentials(endpoint, logon),
        };
        if (logon.SkipCertificateCheck)
        {
            handler.ServerCertificateCustomValidationCallback = (_, _, _, _) => true;
        }

        // Windows PowerShell may still begin with protocols that no server takes any more, and with some that are an error here.
        var protocols = (SslProtocols)ServicePointManager.SecurityProtocol;
        if (protocols != SslProtocols.None)
        {
            handler.SslProtocols = (protocols & Tls12And13) | SslProtocols.Tls12;
        }

        using var client = new HttpClient(handler)
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        using var form = new FormUrlEncodedContent(
        [
            new KeyValuePair<string, string>("grant_type", "windows_credentials"),
            new KeyValuePair<string, string>("client_id", "GrantValidatorClient"),
        ]);
        using var request = new HttpRequestMessage(HttpMethod.Post, endpoint) { Content = form };
        using var answer = await client
            .SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation)
            .ConfigureAwait(false);
        if (answer.StatusCode != HttpStatusCode.OK)
        {
            throw Failure(endpoint, answer.StatusCode, logon);
        }

        // An array of its own size from the start, so that no copy of the token is left behind.
        var document = new byte[AnswerLimit + 1];
        try
        {
            using var body = await answer.Content.ReadAsStreamAsync().ConfigureAwait(false);
            int length = 0, count;
            do
            {
                count = await body.ReadAsync(document, length, document.Length - length, cancellation).ConfigureAwait(false);
                length += count;
            }
            while (count > 0 && length <= AnswerLimit);
            return (length <= AnswerLimit ? Token(document, length) : null) ?? throw Failure(
                TelemetryStatus.AnswerInvalid,
                endpoint,
                "asked for a token, the server gave something else");
        }
        finally
        {
            Array.Clear(document, 0, document.Length);
        }
    }

    /// <summary>Returns credentials for the handshakes only: a server that asks for a plain password gets none.</summary>
    private static ICredentials Credentials(Uri endpoint, VmsLogon logon)
    {
        if (logon.UserName is not { } user)
        {
            return CredentialCache.DefaultCredentials;
        }

        // Some type the separator of other systems; no name of a user has one.
        var slash = user.IndexOfAny(s_separators);
        var credential = slash < 0
            ? new NetworkCredential(user, logon.Secret)
            : new NetworkCredential(user.Substring(slash + 1), logon.Secret, user.Substring(0, slash));
        return new CredentialCache { { endpoint, "Negotiate", credential }, { endpoint, "NTLM", credential } };
    }

    /// <summary>Finds the token in an answer, without making a string of it; null: there is none.</summary>
    private static unsafe SecureString? Token(byte[] document, int size)
    {
        var letters = new char[size];
        var length = 0;
        try
        {
            using var reader = JsonReaderWriterFactory.CreateJsonReader(
                document,
                0,
                size,
                new XmlDictionaryReaderQuotas { MaxStringContentLength = AnswerLimit });
            if (!reader.ReadToDescendant("access_token") || reader.GetAttribute("type") != "string")
            {
                return null;
            }

            for (reader.Read(); reader.NodeType == XmlNodeType.Text; reader.Read())
            {
                int count;
                while ((count = reader.ReadValueChunk(letters, length, letters.Length - length)) > 0)
                {
                    length += count;
                }
            }

            fixed (char* first = letters)
            {
                return length > 0 ? new SecureString(first, length) : null;
            }
        }
        catch (Exception exception) when (exception is XmlException or FormatException or IOException or InvalidOperationException)
        {
            return null;
        }
        finally
        {
            Array.Clear(letters, 0, letters.Length);
        }
    }

    private static VmsConnectionException Failure(Uri endpoint, HttpStatusCode status, VmsLogon logon) => (int)status switch
    {
        401 or 403 => Failure(TelemetryStatus.LogonRefused, endpoint, Refused(logon), LogonAdvice(logon)),
        >= 500 => Failure(
            TelemetryStatus.ServerFailed,
            endpoint,
            "the server failed with status " + (int)status,
            "Try again in a minute; a service that was just started needs some time."),
        >= 300 and < 400 => Failure(
            TelemetryStatus.Redirected,
            endpoint,
            "the server points to another address",
            "Where you trust that address, connect to it instead."),
        _ => Failure(
            TelemetryStatus.AnswerInvalid,
            endpoint,
            "asked for a token, the server answered with status " + (int)status),
    };

    private static string Refused(VmsLogon logon) => logon.UserName is { } user
        ? "the logon of the Windows user " + user + " was refused"
        : "the logon of the current Windows user was refused";

    private static string LogonAdvice(VmsLogon logon)
    {
        var advice = logon.UserName switch
        {
            null => "Name another user with -Credential.",
            var user when HasDomain(user) => "Check user name and password. For a basic user, add -BasicUser.",
            var user => user + " has no domain: for a basic user, add -BasicUser; for a Windows user, type DOMAIN\\" + user + ".",
        };
        return advice + " Too many wrong attempts lock a user."
            + (RuntimeInformation.IsOSPlatform(OSPlatform.Windows) ? "" : " On this system, .NET needs a Kerberos ticket, or,"
                + " for NTLM, the package gss-ntlmssp and a user that is given with name and password.");
    }

    private static bool HasDomain(string user) => user.IndexOfAny(s_domainMarks) > 0;

    private static VmsConnectionException Failure(Uri endpoint, HttpRequestException exception)
    {
        for (var cause = exception.InnerException; cause is not null; cause = cause.InnerException)
        {
            if (cause is AuthenticationException or WebException { Status: WebExceptionStatus.TrustFailure })
            {
                return Failure(
                    TelemetryStatus.CertificateRefused,
                    endpoint,
                    cause.Message.TrimEnd('.'),
                    "Install the issuer's certificate on this computer, or connect with a name that the certificate lists. On a"
                        + " network that you trust, -SkipCertificateCheck accepts it.");
            }
        }

        // What has no cause is said of the answer: it is too long, or not HTTP.
        return exception.InnerException is { } inner
            ? Unreachable(endpoint, inner)
            : Failure(TelemetryStatus.AnswerInvalid, endpoint, exception.Message.TrimEnd('.'));
    }

    private static VmsConnectionException Unreachable(Uri endpoint, Exception cause) => Failure(
        TelemetryStatus.Unreachable,
        endpoint,
        cause.Message.TrimEnd('.'),
        "Check that the management server is running, and the network connection.");
}
