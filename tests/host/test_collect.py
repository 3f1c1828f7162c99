"""`loadgen collect`: the script is run by sh here, and what it wrote is read back."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from loadgen.host import folder
from loadgen.host.collect import script

LINUX = Path("/proc/net/snmp").exists()
MADE = 40


def printed(*args):
    result = CliRunner().invoke(main, ["collect", *args])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_it_prints_lines_for_any_sh(tmp_path):
    text = printed("--interval", "90s")
    assert text == script(seconds=90) and "seconds=${2:-90}" in text
    assert "@FOLDER@" not in text and "@SECONDS@" not in text and "sudo" not in text and "/dev/" not in text
    for shell in filter(None, map(shutil.which, ("sh", "dash", "bash"))):
        subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_it_is_written_whole(tmp_path):
    assert CliRunner().invoke(main, ["collect", "-O", str(tmp_path / "c.sh")]).exit_code == 0
    assert (tmp_path / "c.sh").read_text() == script()
    wrong = CliRunner().invoke(main, ["collect", "--interval", "10ms"])
    assert wrong.exit_code == 2 and "at least 1s" in wrong.stderr


def connect_to_oneself(times):
    """Connections over loopback: each is one active and one passive open of this host."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(times):
            with socket.create_connection(server.getsockname()) as client:
                peer, _ = server.accept()
                with peer:
                    client.close()


@pytest.mark.skipif(not LINUX, reason="reads /proc/net/snmp")
def test_what_it_writes_is_read_back(tmp_path):
    """`sleep` is one that ends when we have made our connections, so that no time matters."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sleep").write_text(f'#!/bin/sh\nwhile [ ! -e "{tmp_path}/go" ]; do :; done\n')
    (tools / "sleep").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    pipe = subprocess.PIPE
    words = ["sh", "-s", str(tmp_path / "out"), "7"]
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment) as shell:
        shell.stdin.write(script())
        shell.stdin.close()
        line = ""
        while not line.startswith("counting"):
            line = shell.stdout.readline()
            assert line, shell.stderr.read()
        connect_to_oneself(MADE)
        (tmp_path / "go").touch()
        rest = shell.stdout.read()
        assert shell.wait() == 0 and "done: loadgen churn --from-host" in rest
    host = folder.read(tmp_path / "out")
    assert host.unknown == () and {"counters-1.txt", "counters-2.txt"} <= set(host.files)
    assert host.rates.counts["PassiveOpens"] >= MADE and host.rates.counts["ActiveOpens"] >= MADE
    assert host.rates.seconds > 0
    if shutil.which("sysctl"):
        assert host.system == "linux" and host.release.split(".")[0] == os.uname().release.split(".")[0]
    if shutil.which("ss"):
        assert "timewait" in host.sums
    if os.access("/proc/slabinfo", os.R_OK):
        assert host.caches is not None


@pytest.mark.skipif(not LINUX, reason="reads /proc/net/snmp")
def test_what_a_host_does_not_have_is_left_out(tmp_path):
    """Without ss and sysctl (a container): no half file stays behind."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("cat", "mkdir", "rm", "uname", "sleep"):
        (tools / name).symlink_to(shutil.which(name))
    text = script().replace("PATH=$PATH:/sbin:/usr/sbin", "")
    done = subprocess.run([shutil.which("sh"), "-s", str(tmp_path / "out"), "1"], input=text, text=True,
                          capture_output=True, env={"PATH": str(tools)}, check=True)  # fmt: skip
    assert "left out" in done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()} - {"slabinfo.txt"}
    assert names == {"counters-1.txt", "counters-2.txt"}
    assert folder.read(tmp_path / "out").rates is not None
