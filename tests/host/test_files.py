"""Each file of a host is recognised by its content, and half of one is an error with file and line."""

import shutil
from pathlib import Path

import pytest

from loadgen.host import caches, folder
from loadgen.scenario.errors import Mistake

DATA = Path(__file__).parent.parent / "data" / "host"
WEB1 = DATA / "web1"


def one(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    return folder.read(tmp_path)


def test_a_folder_is_read_whole():
    host = folder.read(WEB1)
    assert host.files == {
        "counters-1.txt": "counters", "counters-2.txt": "counters", "slabinfo.txt": "memory",
        "ss-ltn.txt": "listeners", "ss-s.txt": "sums", "sysctl.txt": "sysctl",
    }  # fmt: skip
    assert (host.system, host.release) == ("linux", "6.18.44")
    assert host.rates.seconds == 60.0
    assert host.rates.per_second("PassiveOpens") == 300.0
    assert host.rates.per_second("TW", "TCPTimeWaitOverflow") == 90.0
    assert host.rates.gauges["CurrEstab"] == 60.0
    assert host.sums["timewait"] == 5400 and host.sums["orphaned"] == 4
    assert [(one.port, one.backlog, one.queued) for one in host.listeners] == [
        (25, 128, 0), (443, 511, 512), (443, 511, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "form"),
    [
        ("00-linux-6.18-tcp-keys.sysctl", "sysctl"), ("01-centos7-grep-tcp.sysctl", "sysctl"),
        ("05-freebsd-loader-sysctl.conf", "sysctl"), ("07-slash-keys.conf", "sysctl"),
        ("16-bom.conf", "sysctl"), ("18-sysctl-w.sh", "sysctl"),
        ("09-nstat-az.txt", "counters"), ("11-ss-lnt.txt", "listeners"),
    ],
)  # fmt: skip
def test_the_samples_are_recognised(tmp_path, sample, form):
    shutil.copy(DATA / "samples" / sample, tmp_path / "any-name")
    assert folder.read(tmp_path).files == {"any-name": form}


def test_nstat_and_proc_name_counters_alike(tmp_path):
    shutil.copy(DATA / "samples" / "09-nstat-az.txt", tmp_path / "nstat")
    (moment,) = folder.read(tmp_path).moments
    assert moment.counts["PassiveOpens"] == 19110 and moment.counts["TCPReqQFullDoCookies"] == 33
    assert folder.read(tmp_path).rates is None


def test_nstat_twice_with_a_time_before_it_has_rates(tmp_path):
    text = (DATA / "samples" / "09-nstat-az.txt").read_text()
    (tmp_path / "a").write_text("1764226300\n" + text)
    (tmp_path / "b").write_text("1764226310.5\n" + text.replace("19110 ", "19215 "))
    rates = folder.read(tmp_path).rates
    assert (rates.seconds, rates.per_second("PassiveOpens")) == (10.5, 10.0)


def test_node_exporter_has_its_time_with_it():
    host = folder.read(DATA / "node")
    assert (host.rates.seconds, host.rates.per_second("PassiveOpens")) == (30.0, 200.0)
    assert host.sums == {"timewait": 1800}


def test_what_is_of_no_known_form_is_named_and_left_out(tmp_path):
    shutil.copy(DATA / "samples" / "07-slash-keys.conf", tmp_path / "s.conf")
    (tmp_path / "README").write_text("web1, taken on Monday\n")
    (tmp_path / "trace.pcap").write_bytes(b"\xd4\xc3\xb2\xa1\x00\xff")
    (tmp_path / "empty").write_text("")
    (tmp_path / "deeper").mkdir()
    assert folder.read(tmp_path).unknown == ("README", "empty", "trace.pcap")


def test_half_a_file_is_told_with_its_line(tmp_path):
    """Every file, cut in the middle of each of its lines: read, or refused with its name and a line."""
    offenders = []
    for path in sorted(WEB1.iterdir()):
        lines = path.read_text().splitlines(keepends=True)
        for number in range(1, min(len(lines), 12)):
            cut = "".join(lines[:number]) + lines[number][: len(lines[number]) // 2]
            (tmp_path / "cut.txt").write_text(cut)
            try:
                folder.read(tmp_path)
            except Mistake as error:
                text = str(error)
                told = text.startswith((f"{tmp_path / 'cut.txt'}:", f"{tmp_path}: expected"))
                if "\n" in text or not told:
                    offenders.append((path.name, number, text))
    assert not offenders


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Tcp: ActiveOpens PassiveOpens\n", ":2: expected the numbers of Tcp, the file ends"),
        ("Tcp: ActiveOpens PassiveOpens\nTcp: 1\n", ":2: expected 2 numbers of Tcp, got 'Tcp: 1'"),
        ("Tcp: ActiveOpens\nTcp: many\n", ":2: expected whole numbers of Tcp, got 'Tcp: many'"),
        ("#kernel\nTcpActiveOpens  18\n", ":2: expected a name, a count and a rate, got 'Tcp"),
        ("node_time_seconds 1\nnode_netstat_Tcp_Act\n", ":2: expected a name and a number"),
        ("slabinfo - version: 2.1\nTCP 1 2\n", ":2: expected a cache: a name, five numbers"),
        ("Total: 5\nTCP:   4 (estab 1, clo\n", ":2: expected TCP: N (estab N"),
        ("Total: 5\nUDP: 1\n", ":3: expected a line TCP: N (estab N, ...), the file ends"),
        ("State Recv-Q Send-Q Local Address:Port Peer Address:Port\nLISTEN 0\n", ":2: expected a socket"),
        ("net.core.somaxconn = 1024\nnet.ipv4.tcp_sy", ":2: expected a setting, NAME = VALUE"),
        ("net.core.somaxconn = 1024\nnet.ipv4.tcp_syncookies = maybe\n", ":2: tcp_syncookies: expected"),
        ("slabinfo - version: 2.1\n", ": expected the caches of TCP"),
    ],
)
def test_mistakes_name_the_line(tmp_path, text, said):
    with pytest.raises(Mistake) as error:
        one(tmp_path, "f.txt", text)
    assert str(error.value).startswith(str(tmp_path / "f.txt")) and said in str(error.value)


def test_a_folder_that_cannot_be_read_is_told(tmp_path):
    for make, said in (
        (lambda: None, "No such file or directory"),
        (lambda: (tmp_path / "d").mkdir(), "expected files of a host"),
        (lambda: (tmp_path / "d" / "x").write_text("hello\n"), "got x"),
    ):
        make()
        with pytest.raises(Mistake, match=said):
            folder.read(tmp_path / "d")


def test_two_files_of_one_kind_are_told(tmp_path):
    for name in ("a.conf", "b.conf"):
        shutil.copy(DATA / "samples" / "07-slash-keys.conf", tmp_path / name)
    with pytest.raises(Mistake, match=r"expected one file with sysctl, got a\.conf and b\.conf"):
        folder.read(tmp_path)


def test_a_host_that_was_restarted_has_no_rates(tmp_path):
    for name, other in (("counters-1.txt", "counters-2.txt"), ("counters-2.txt", "counters-1.txt")):
        time = (WEB1 / name).read_text().splitlines(keepends=True)[0]
        counts = (WEB1 / other).read_text().splitlines(keepends=True)[1:]
        (tmp_path / name).write_text(time + "".join(counts))
    with pytest.raises(Mistake, match="fell from .* the host was restarted"):
        folder.read(tmp_path)


def test_bytes_are_an_objects_share_of_its_slab():
    costs = caches.costs(folder.caches_of(str(WEB1 / "slabinfo.txt")), "slabinfo.txt")
    assert (costs["half_open"].low, costs["half_open"].high) == (341, 341)  # 4096 / 12
    assert costs["established"].low == 2521  # 32768 / 13
    assert costs["established"].high == 2521 + 862 + 195 + 195
    assert (costs["time_wait"].low, costs["time_wait"].high) == (256, 256 + 2 * 128)
    assert costs["orphan"].low == 2521 and costs["orphan"].high == 2521 + 512 + 585


def test_a_host_whose_sockets_are_ipv6_pays_for_those(tmp_path):
    text = (WEB1 / "slabinfo.txt").read_text()
    path = tmp_path / "slabinfo"
    path.write_text(text.replace("TCPv6                 26", "TCPv6              26000"))
    costs = caches.costs(folder.caches_of(str(path)), "slabinfo")
    assert costs["established"].low == 2521 and costs["established"].objects.startswith("TCPv6")


def test_freebsd_tells_a_size():
    costs = caches.costs(folder.caches_of(str(DATA / "vmstat-z.txt")), "vmstat-z.txt")
    assert (costs["established"].low, costs["established"].high) == (1352, 2312)
    assert costs["half_open"].low == 168 and costs["time_wait"].low == 1352
