# Runs a command in a mount namespace of its own, with an overlay over the Wine folder: a fresh Windows each time, and
# nothing is left behind. $WINE_ROOT: the folder; $REPOSITORY: visible inside under the same path; "$@": the command, which
# starts Windows programs through chroot "$SANDBOX/root".
SANDBOX=$(mktemp -d /var/tmp/vms-wine-XXXXXX)
export SANDBOX
unshare --mount --propagation private bash -ec '
  mkdir "$SANDBOX"/up "$SANDBOX"/work "$SANDBOX"/root
  mount -t overlay overlay -o "lowerdir=$WINE_ROOT,upperdir=$SANDBOX/up,workdir=$SANDBOX/work" "$SANDBOX/root"
  for folder in proc sys dev tmp; do mount --rbind /$folder "$SANDBOX/root/$folder"; done
  mkdir -p "$SANDBOX/root$REPOSITORY"
  mount --bind "$REPOSITORY" "$SANDBOX/root$REPOSITORY"
  set +e
  "$@"
  outcome=$?
  chroot "$SANDBOX/root" /usr/bin/env -i HOME=/root sh -c "/usr/lib/wine/wineserver64 -k; /usr/lib/wine/wineserver64 -w" 2>/dev/null
  exit $outcome' -- "$@"
outcome=$?
rm -rf --one-file-system "$SANDBOX"
exit $outcome
