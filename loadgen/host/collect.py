"""The shell lines that write a host's own files into a folder: what `folder.read` reads.

POSIX sh, with what a Linux or a FreeBSD host has; it reads, writes into its folder, and changes nothing. No
root is needed: /proc/slabinfo, which only root may read, is left out where it cannot be read.
"""

from __future__ import annotations

from typing import Final

_SCRIPT: Final = """\
#!/bin/sh
# What this host says of its TCP, for `loadgen churn --from-host FOLDER`. Printed by `loadgen collect`.
# Usage: sh collect.sh [FOLDER [SECONDS]]    It reads only, and writes into the folder.
# As root it has /proc/slabinfo, too; nothing else needs root. Addresses are those of listeners only.
folder=${1:-@FOLDER@}
seconds=${2:-@SECONDS@}
PATH=$PATH:/sbin:/usr/sbin
mkdir -p "$folder" || exit 1

# have FILE COMMAND...: its output as a file of the folder, or no file where it fails
have() {
    file=$folder/$1
    shift
    if "$@" >"$file" 2>"$folder/.errors" && [ -s "$file" ]; then
        echo "wrote $file"
    else
        echo "left out $file: $*" >&2
        rm -f "$file"
    fi
    rm -f "$folder/.errors"
}
settings() { sysctl -a || [ $? -ne 127 ]; }   # some keys are root's alone
counters() { cat /proc/uptime /proc/net/snmp /proc/net/netstat; }

if [ "$(uname -s)" = FreeBSD ]; then
    have sysctl.txt settings
    have vmstat-z.txt vmstat -z
    exit 0
fi
have counters-1.txt counters
have sysctl.txt settings
have ss-ltn.txt ss -ltn
have ss-s.txt ss -s
if [ -r /proc/slabinfo ]; then have slabinfo.txt cat /proc/slabinfo; fi
echo "counting for $seconds s ..."
sleep "$seconds"
have counters-2.txt counters
echo "done: loadgen churn --from-host $folder"
"""


def script(folder: str = "host-files", seconds: int = 60) -> str:
    """The lines, for a folder and a time between the two counts."""
    return _SCRIPT.replace("@FOLDER@", folder).replace("@SECONDS@", str(seconds))
