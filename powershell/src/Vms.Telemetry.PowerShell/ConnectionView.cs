using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Shows a connection as a table of what people look for first.</summary>
/// <remarks>
/// The object carries its view itself: a format file would be read at each import, for 15 ms, also if there is no
/// connection. PowerShell makes a table of four properties at most.
/// </remarks>
internal static class ConnectionView
{
    private const string Members = "PSStandardMembers";

    private static readonly string[] s_columns = ["Name", "Address", "Product", "UserType"];

    /// <summary>Returns the object for the pipeline.</summary>
    internal static PSObject Of(VmsConnection connection)
    {
        var shown = PSObject.AsPSObject(connection);
        if (shown.Members[Members] is null)
        {
            var view = new PSPropertySet("DefaultDisplayPropertySet", s_columns);
            shown.Members.Add(new PSMemberSet(Members, [view]));
        }

        return shown;
    }
}
