using System;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// Opens a connection to a VMS. In this version its facts come as parameters: it does not log on itself.
/// </summary>
[Cmdlet(VerbsCommunications.Connect, "Vms", SupportsShouldProcess = true, DefaultParameterSetName = FactsSet)]
[OutputType(typeof(VmsConnection))]
public sealed class ConnectVmsCommand : PSCmdlet
{
    private const string FactsSet = "Facts";

    /// <summary>Gets or sets the actual id of the site.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public Guid SiteId { get; set; }

    /// <summary>Gets or sets the kind of user.</summary>
    [Parameter(Mandatory = true, Position = 1, ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public VmsUserType UserType { get; set; }

    /// <summary>Gets or sets whether the connection uses OAuth.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public SwitchParameter IsOAuthConnection { get; set; }

    /// <summary>Gets or sets whether the connection uses HTTPS.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public SwitchParameter EncryptionEnabled { get; set; }

    /// <summary>Gets or sets the product name of the VMS.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public string? ProductName { get; set; }

    /// <summary>Gets or sets the version of the VMS.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public string? ProductVersion { get; set; }

    /// <summary>Gets or sets what the VMS says about usage data.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public UsageDataPolicy UsageDataPolicy { get; set; }

    /// <summary>Gets or sets the number of child sites.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? ChildSites { get; set; }

    /// <summary>Gets or sets the number of recording servers.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? Recorders { get; set; }

    /// <summary>Gets or sets the number of hardware devices.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? HardwareCount { get; set; }

    /// <summary>Gets or sets the number of enabled cameras.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? CameraCount { get; set; }

    /// <summary>Gets or sets the number of enabled microphones.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? MicrophoneCount { get; set; }

    /// <summary>Gets or sets the number of enabled speakers.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? SpeakerCount { get; set; }

    /// <summary>Gets or sets the number of enabled metadata channels.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? MetadataCount { get; set; }

    /// <summary>Gets or sets the number of enabled inputs.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? InputCount { get; set; }

    /// <summary>Gets or sets the number of enabled outputs.</summary>
    [Parameter(ParameterSetName = FactsSet, ValueFromPipelineByPropertyName = true)]
    public uint? OutputCount { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        if (!ShouldProcess("site " + SiteId, "Connect"))
        {
            return;
        }

        var connection = ModuleSession.Connect(Facts(), out var closed);
        if (closed is not null)
        {
            WriteVerbose("The connection to site " + closed.SiteId + " was closed first.");
            DisconnectVmsCommand.WriteProblem(this, closed.Telemetry);
        }

        DisconnectVmsCommand.WriteProblem(this, connection.Telemetry);
        if (!connection.Telemetry.IsReported && connection.Telemetry.Problem is null)
        {
            WriteVerbose("Nothing of this connection is sent: " + Reason());
        }

        WriteObject(connection);
    }

    private static string Reason()
    {
        var config = ModuleSession.ReadConfig();
        return config.EnableTelemetry
            ? "what the VMS says about usage data is not known (-UsageDataPolicy)."
            : "telemetry is off: " + config.TelemetryReason + ".";
    }

    private VmsConnectionFacts Facts() => new(SiteId, UserType)
    {
        UsageDataPolicy = UsageDataPolicy,
        IsOAuthConnection = IsOAuthConnection,
        EncryptionEnabled = EncryptionEnabled,
        ProductName = ProductName,
        ProductVersion = ProductVersion,
        ChildSites = ChildSites,
        Recorders = Recorders,
        HardwareCount = HardwareCount,
        CameraCount = CameraCount,
        MicrophoneCount = MicrophoneCount,
        SpeakerCount = SpeakerCount,
        MetadataCount = MetadataCount,
        InputCount = InputCount,
        OutputCount = OutputCount,
    };
}
