# Makes the Wine folder $WINE_ROOT: Debian 13 with Wine 10 and a Windows that has started once. Complete or not there.
set -e
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
new="$WINE_ROOT.new"
rm -rf --one-file-system "$new"
mkdir -p "$(dirname "$WINE_ROOT")"
maker=$(command -v mmdebstrap || command -v debootstrap)
"$maker" --variant=minbase --include=ca-certificates,wine64 trixie "$new" "${mirror:-http://deb.debian.org/debian}" >"$WINE_ROOT.log" 2>&1
grep -qs localhost "$new/etc/hosts" || echo 127.0.0.1 localhost >>"$new/etc/hosts"
rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
unshare --mount --propagation private bash -ec '
  for folder in proc sys dev tmp; do mount --rbind /$folder "$0/$folder"; done
  chroot "$0" /usr/bin/env -i HOME=/root PATH=/usr/lib/wine:/usr/bin:/bin WINEDEBUG=-all XDG_RUNTIME_DIR=/tmp \
    WINEDLLOVERRIDES="mscoree,mshtml=;winemenubuilder.exe=" \
    sh -c "/usr/lib/wine/wine64 wineboot -i; /usr/lib/wine/wineserver64 -w"' "$new"
rm -rf --one-file-system "$WINE_ROOT"
mv "$new" "$WINE_ROOT"
