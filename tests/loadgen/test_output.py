"""Where results go: regular files whole or not at all, everything else written through, and full disks."""

import concurrent.futures
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadgen.output import OutputError, check_writable, write_file
from tests.loadgen.hostile import invoke
from tests.loadgen.processes import environment

RUN = ("handshake", "-n", "5", "--format", "json")
NULL_DEVICE = os.makedev(1, 3)
FULL_DEVICE = os.makedev(1, 7)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loadgen(*args, **more):
    return subprocess.run(
        [sys.executable, "-m", "loadgen", *RUN, *map(str, args)],
        **{"env": environment(), "capture_output": True, "text": True, "timeout": 120} | more,
    )


def device(path, number):
    """A node of our own: never the machine's."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a device node")
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, number)
    except PermissionError:
        pytest.skip("no device nodes may be made here")
    return path


def told(error):
    """What is said: one line, no traceback."""
    assert "Traceback" not in error and "Exception ignored" not in error
    lines = error.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


# -- regular files ------------------------------------------------------------------


def test_a_new_file_has_the_mode_of_new_files(folder):
    before = os.umask(0o027)
    try:
        assert invoke([*RUN, "--output", "r.json"]).code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "r.json").stat().st_mode) == 0o640
    assert os.listdir(folder) == ["r.json"]


def test_a_replaced_file_keeps_its_mode(folder):
    path = folder / "r.json"
    path.write_text("old")
    path.chmod(0o604)
    assert invoke([*RUN, "--output", "r.json"]).code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert json.loads(path.read_text())["command"] == "handshake"


def test_a_name_as_long_as_names_can_be(folder):
    path = folder / ("n" * 250 + ".json")
    write_file(path, "text")
    assert path.read_text() == "text"


@pytest.mark.parametrize("name", ["missing/r.json", "folder", "", "\0", "n" * 300])
def test_what_cannot_be_written_is_one_line(folder, name):
    (folder / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot write") as caught:
        write_file(folder / name, "text")
    assert "\n" not in str(caught.value)
    assert os.listdir(folder) == ["folder"]


def test_a_folder_that_is_missing_is_told_before_the_run(folder, monkeypatch):
    monkeypatch.setattr("loadgen.cli.playing._require_memory", lambda *args: None)
    outcome = invoke(["handshake", "-n", "1G", "--output", "missing/r.json"])
    assert outcome.code == 1 and "there is no folder" in outcome.stderr


def test_a_full_disk_leaves_the_old_file(folder):
    """The limit on the size of a file stands for the disk: the system says no in the middle."""
    path = folder / "r.json"
    path.write_text("old")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = loadgen("--output", path, preexec_fn=limit)
    assert done.returncode == 1
    assert "cannot write" in told(done.stderr)
    assert path.read_text() == "old"
    assert os.listdir(folder) == ["r.json"]


# -- everything else ------------------------------------------------------------------


def test_a_device_is_written_through(folder):
    node = device(folder / "null", NULL_DEVICE)
    done = loadgen("--output", node)
    assert done.returncode == 0, done.stderr
    after = os.lstat(node)
    assert stat.S_ISCHR(after.st_mode) and after.st_rdev == NULL_DEVICE
    assert os.listdir(folder) == ["null"]


def test_a_device_that_is_full(folder):
    node = device(folder / "full", FULL_DEVICE)
    done = loadgen("--output", node)
    assert done.returncode == 1
    assert "No space left" in told(done.stderr)
    assert os.lstat(node).st_rdev == FULL_DEVICE


def written_through(name):
    """What a reader of the FIFO "pipe" gets from a command that writes to `name`; the FIFO stays one."""
    os.mkfifo("pipe")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        read = pool.submit(Path("pipe").read_text)
        done = loadgen("--output", name)
        assert done.returncode == 0, done.stderr
        assert json.loads(read.result(60))["command"] == "handshake"
    assert stat.S_ISFIFO(os.lstat("pipe").st_mode)


def test_a_fifo_is_written_through(folder):
    written_through("pipe")


@pytest.mark.parametrize("target", ["old", "new"])
def test_a_symbolic_link_stays_one(folder, target):
    (folder / "old").write_text("old")
    (folder / "link").symlink_to(target)
    assert invoke([*RUN, "--output", "link"]).code == 0
    assert os.readlink("link") == target
    assert json.loads((folder / target).read_text())["command"] == "handshake"


def test_the_file_behind_symbolic_links_is_replaced_whole(folder):
    """Links to links, relative to where each is, through a folder that is a link: the last is a file, whose
    readers keep what they have opened."""
    (folder / "far" / "away").mkdir(parents=True)
    old = folder / "far" / "old"
    old.write_text("old")
    old.chmod(0o604)
    (folder / "near").symlink_to("far/away")
    (folder / "far" / "away" / "second").symlink_to("../old")
    (folder / "link").symlink_to("near/second")
    with old.open() as reader:
        assert invoke([*RUN, "--output", "link"]).code == 0
        assert reader.read() == "old"
    assert (os.readlink("link"), os.readlink("far/away/second")) == ("near/second", "../old")
    assert json.loads(old.read_text())["command"] == "handshake"
    assert stat.S_IMODE(old.stat().st_mode) == 0o604
    assert sorted(os.listdir("far")) == ["away", "old"] and os.listdir("far/away") == ["second"]


def test_a_full_disk_leaves_the_old_file_behind_a_symbolic_link(folder):
    (folder / "old").write_text("old")
    (folder / "link").symlink_to("old")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = loadgen("--output", folder / "link", preexec_fn=limit)
    assert done.returncode == 1
    assert "cannot write" in told(done.stderr)
    assert (folder / "old").read_text() == "old" and os.readlink("link") == "old"
    assert sorted(os.listdir(folder)) == ["link", "old"]


@pytest.mark.parametrize(
    ("links", "why"),
    [
        ({"link": "link"}, "Too many levels of symbolic links"),
        ({"link": "b", "b": "link"}, "Too many levels of symbolic links"),
        ({"link": "missing/r.json"}, "there is no folder missing"),
        ({"link": "folder"}, "it is a folder"),
        ({"link": "n" * 300}, "File name too long"),
    ],
)
def test_a_symbolic_link_to_nowhere_is_told_before_the_run(folder, links, why, monkeypatch):
    (folder / "folder").mkdir()
    for name, target in links.items():
        (folder / name).symlink_to(target)
    monkeypatch.setattr("loadgen.cli.playing._require_memory", lambda *args: None)
    outcome = invoke(["handshake", "-n", "1G", "--format", "json", "--output", "link"])
    assert outcome.code == 1 and f"cannot write link: {why}" in told(outcome.stderr)
    with pytest.raises(OutputError, match="cannot write link: "):
        write_file(Path("link"), "text")
    assert {name: os.readlink(name) for name in links} == links


@contextmanager
def nobody(folder):
    """In this folder without root's rights to write everywhere."""
    folder.chmod(0o755)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["link", "old", "new"])
def test_where_no_file_may_be_made_nothing_is_written(folder, name):
    """A file that may be written to, too: in place it would not be whole at every moment."""
    (folder / "kept").mkdir()
    (folder / "kept" / "old").write_text("old")
    (folder / "kept" / "old").chmod(0o666)
    (folder / "link").symlink_to("kept/old")
    (folder / "kept").chmod(0o555)
    path = Path(name if name == "link" else f"kept/{name}")
    with nobody(folder):
        with pytest.raises(OutputError, match=f"^cannot write {path}: no new file may be made in kept$"):
            check_writable(path)
        with pytest.raises(OutputError, match=f"^cannot write {path}: Permission denied$"):
            write_file(path, "text")
    assert (folder / "kept" / "old").read_text() == "old"
    assert os.listdir(folder / "kept") == ["old"]


def test_what_may_not_be_written_to_is_told_before_the_run(folder):
    os.mkfifo("pipe", 0o400)
    with nobody(folder), pytest.raises(OutputError, match="^cannot write pipe: it may not be written to$"):
        check_writable(Path("pipe"))


def test_a_file_that_somebody_has_open_is_written_through(folder):
    """/dev/stdout, which is a link to /proc/self/fd/1: what else is written to the file comes behind it."""
    with open("r.json", "w+") as file:
        inode = os.stat("r.json").st_ino
        done = loadgen("--output", "/dev/stdout", capture_output=False, stdout=file, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr
        file.seek(0)
        assert json.load(file)["command"] == "handshake"
    assert os.stat("r.json").st_ino == inode
    done = loadgen("--output", "/dev/stdout")
    assert json.loads(done.stdout)["command"] == "handshake"
    assert os.listdir(folder) == ["r.json"]


def test_a_symbolic_link_to_a_fifo(folder):
    (folder / "link").symlink_to("pipe")
    written_through("link")
    assert os.readlink("link") == "pipe"


def test_a_symbolic_link_to_a_device(folder):
    node = device(folder / "null", NULL_DEVICE)
    (folder / "link").symlink_to("null")
    assert invoke([*RUN, "--output", "link"]).code == 0
    assert os.readlink("link") == "null"
    assert os.lstat(node).st_rdev == NULL_DEVICE


def test_a_socket_stays_one():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        outcome = invoke([*RUN, "--output", "socket"])
        assert outcome.code == 1 and "cannot write socket" in outcome.stderr
        assert stat.S_ISSOCK(os.lstat("socket").st_mode)


# -- standard output ------------------------------------------------------------------


@pytest.mark.parametrize("args", [(), ("--output", "r.json")])
def test_standard_output_closed(folder, args):
    done = loadgen(*args, capture_output=False, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    if args:
        assert done.returncode == 0, done.stderr
        assert json.loads((folder / "r.json").read_text())["command"] == "handshake"
    else:
        assert done.returncode == 1
        assert "standard output" in told(done.stderr)


def test_everything_closed(folder):
    done = loadgen(
        "--output", "r.json", capture_output=False, preexec_fn=lambda: [os.close(n) for n in (0, 1, 2)]
    )
    assert done.returncode == 0
    assert json.loads((folder / "r.json").read_text())["command"] == "handshake"


@pytest.mark.parametrize("args", [[], ["--help"]])
def test_standard_output_on_a_full_disk(folder, args):
    node = device(folder / "full", FULL_DEVICE)
    with open(node, "w") as full:
        done = loadgen(*args, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "No space left" in told(done.stderr)


@pytest.mark.parametrize("args", [[], ["--help"]])
def test_nobody_reads(args):
    """As `loadgen ... | true`: no word, as of any Unix tool."""
    ours, theirs = os.pipe()
    os.close(ours)
    done = loadgen(*args, capture_output=False, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_reader_that_has_enough(folder):
    """As `| head -1`, with more to say than a pipe holds."""
    command = f"{sys.executable} -m loadgen flood --duration 60s --flood-rate 200/s --rate 50/s --format json"
    done = subprocess.run(
        ["sh", "-c", f"{{ {command}; echo code $? >&2; }} | head -1"],
        env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "{\n"
    assert done.stderr in ("code 0\n", "code 1\n")


def test_standard_error_closed_or_full(folder):
    done = loadgen("-n", "many", capture_output=False, stdout=subprocess.PIPE, preexec_fn=lambda: os.close(2))
    assert (done.returncode, done.stdout) == (2, "")
    node = device(folder / "full", FULL_DEVICE)
    with open(node, "w") as full:
        done = loadgen("-n", "many", capture_output=False, stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (2, "")
