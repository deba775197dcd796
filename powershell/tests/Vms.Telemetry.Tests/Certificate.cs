using System;
using System.IO;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Vms.Telemetry.Tests;

/// <summary>A certificate that nobody trusts, as a management server has that was set up without an authority.</summary>
internal static class Certificate
{
    /// <summary>Makes one for 127.0.0.1, and gives the member of the demo VMS's configuration that names its files.</summary>
    internal static object Make(Sandbox sandbox)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=vms-demo", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.Create(
            request.SubjectName,
            X509SignatureGenerator.CreateForRSA(key, RSASignaturePadding.Pkcs1),
            DateTimeOffset.UtcNow.AddDays(-1),
            DateTimeOffset.UtcNow.AddDays(1),
            [1]);
        return new
        {
            certificate = Path.GetFileName(sandbox.WriteFile("vms-chain.pem", certificate.ExportCertificatePem())),
            key = Path.GetFileName(sandbox.WriteFile("vms-key.pem", key.ExportPkcs8PrivateKeyPem())),
        };
    }
}
