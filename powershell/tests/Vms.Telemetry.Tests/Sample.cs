namespace Vms.Telemetry.Tests;

/// <summary>Facts of a VMS that nobody has.</summary>
internal static class Sample
{
    internal const string Site = "01234567-89ab-4cde-8f01-23456789abcd";

    internal const string OtherSite = "fedcba98-7654-4321-8fed-cba987654321";
}
