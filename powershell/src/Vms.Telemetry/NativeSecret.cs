using System;
using System.Runtime.InteropServices;
using System.Security;
using System.Text;

namespace Vms.Telemetry;

/// <summary>A password or token as UTF-8 with a NUL, outside the managed heap, for one call. Wiped after it.</summary>
internal sealed unsafe class NativeSecret : IDisposable
{
    private int _size;

    internal NativeSecret(SecureString? secret)
    {
        if (secret is null)
        {
            return;
        }

        var letters = (char*)Marshal.SecureStringToGlobalAllocUnicode(secret);
        try
        {
            var length = Encoding.UTF8.GetByteCount(letters, secret.Length);
            _size = length + 1;
            Text = (byte*)Marshal.AllocHGlobal(_size);
            Encoding.UTF8.GetBytes(letters, secret.Length, Text, length);
            Text[length] = 0;
        }
        finally
        {
            Marshal.ZeroFreeGlobalAllocUnicode((IntPtr)letters);
        }
    }

    /// <summary>Gets the text; null: there is none.</summary>
    internal byte* Text { get; private set; }

    public void Dispose()
    {
        for (; _size > 0; _size--)
        {
            Text[_size - 1] = 0;
        }

        Marshal.FreeHGlobal((IntPtr)Text);
        Text = null;
    }
}
