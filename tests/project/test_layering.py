"""The arrows between rooms, asserted from the source text, and the limits that keep a room small.

    ground <- nouns <- law
                    <- organs
                       all of them <- conductor <- face (the package) <- loadgen

A module that stands in no room fails here: give it one, and say in an ADR why it is needed.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ROOMS = {
    "ground": {"arena", "chunks", "intrin", "lanes", "marks", "seq", "siphash"},
    "nouns": {"action", "block", "counters", "knobs", "openings", "reassembly", "rto", "rules", "segment"},
    "law": {"emit", "handshake", "predict", "sending", "stamps", "transition", "trim", "update"},
    "organs": {
        "backlog", "events", "flowtable", "isn", "policy", "ports", "ranges", "syncookie", "synq", "wheel",
    },
    "conductor": {"check", "core", "engine", "pipeline"},
    "face": {"__init__", "sysctl"},
}
REACH = {  # the rooms a room may import from; an organ not even another organ
    "ground": {"ground"},
    "nouns": {"ground", "nouns"},
    "law": {"ground", "nouns", "law"},
    "organs": {"ground", "nouns"},
    "conductor": {"ground", "nouns", "law", "organs", "conductor", "face"},
    "face": {"ground", "nouns", "law", "organs", "conductor", "face"},
}
ROOM_OF = {module: room for room, modules in ROOMS.items() for module in modules}

LIMITS = {".pxd": 99, ".pyx": 600, ".py": 600, ".pyi": 600}
ORGAN_LIMIT = 399
LONGER: dict[str, str] = dict.fromkeys(  # file -> the ADR that allows it to be longer
    (
        "tcpcore/block.pxd",
        "tcpcore/chunks.pxd",
        "tcpcore/core.pyx",
        "tcpcore/counters.pxd",
        "tcpcore/emit.pxd",
        "tcpcore/engine.pyx",
        "tcpcore/flowtable.pxd",
        "tcpcore/predict.pxd",
        "tcpcore/rto.pxd",
        "tcpcore/transition.pyx",
    ),
    "docs/adr/0004-one-file-for-the-law.md",
)

TCPCORE = sorted(path for path in (ROOT / "tcpcore").iterdir() if path.suffix in LIMITS)
CYTHON = [path for path in TCPCORE if path.suffix in (".pxd", ".pyx")]
LOADGEN = sorted((ROOT / "loadgen").glob("*.py"))
EVERYTHING = TCPCORE + sorted(
    path for top in ("loadgen", "tests", "benchmarks") for path in (ROOT / top).rglob("*.py")
)

IMPORT = re.compile(r"^\s*from\s+(\.?[\w.]*)\s+c?import\s+(.+)|^\s*c?import\s+([\w., ]+)", re.M)
FUNCTION = re.compile(r"^cdef (?:inline )?([\w* ]+?)\b\w+\(([^)]*)\)([^\n]*)", re.M)
PYTHON_TYPES = {"list", "dict", "tuple", "str", "bytes", "object"}


def name_of(path):
    return str(path.relative_to(ROOT))


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=name_of)


def imports(text):
    """The modules of tcpcore that a text names in an import or cimport."""
    for source, names, plain in IMPORT.findall(text):
        for module in plain.split(",") if plain else [source]:
            package, _, rest = module.strip().partition(".")
            if package in ("tcpcore", "") and (rest or not plain):
                yield from [rest.partition(".")[0]] if rest else (
                    name.split()[0] for name in re.sub(r"[()]|#.*", "", names).split(",") if name.split()
                )


@each(TCPCORE)
def test_arrows_point_one_way(path):
    assert path.stem in ROOM_OF, "no room for it: add it to ROOMS"
    room = ROOM_OF[path.stem]
    for module in set(imports(path.read_text())) - {path.stem}:
        if module in ROOM_OF or (ROOT / "tcpcore" / f"{module}.pxd").exists():
            assert ROOM_OF.get(module) in REACH[room], f"{room} must not import {module}"


def test_the_import_reader_reads_every_form():
    text = """\
from tcpcore.components.timer_wheel cimport (
    Wheel)
    from tcpcore.components.isn import make  # inside a function
from tcpcore cimport seq, block as b  # and more
cimport tcpcore.base.arena, cython
import tcpcore.engine
from .ports cimport x
from libc.stdint cimport uint8_t
import tcpcore
"""
    assert list(imports(text)) == ["wheel", "isn", "seq", "block", "arena", "engine", "ports"]


@each(LOADGEN)
def test_loadgen_uses_public_names_only(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            whole = [alias.name for alias in node.names if alias.name.split(".")[0] == "tcpcore"]
            assert not whole, "write from tcpcore import X"
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tcpcore":
            assert node.module == "tcpcore", f"{node.module} is not public"
            names = [alias.name for alias in node.names]
            assert not any(name in ROOM_OF or name.startswith("_") for name in names), f"{names}: not public"


@each([path for path in EVERYTHING if "tests" not in path.parts])
def test_nobody_imports_the_command_line_or_what_stands_above(path):
    text = path.read_text()
    if name_of(path) != "loadgen/__main__.py":
        assert not re.search(r"^\s*(from|import)\s+(loadgen)?\.cli\b", text, re.M)
        assert not re.search(r"^\s*from\s+(loadgen|\.)\s+import\b.*\bcli\b", text, re.M)
    above = {"tcpcore": "loadgen|benchmarks|tests", "loadgen": "benchmarks|tests", "benchmarks": "(?!)"}
    top = name_of(path).split("/")[0]
    assert not re.search(rf"^\s*(from|c?import)\s+({above[top]})\b", text, re.M)


@each(EVERYTHING)
def test_files_stay_small(path):
    limit = LIMITS[path.suffix]
    if path.suffix == ".pyx" and ROOM_OF.get(path.stem) == "organs":
        limit = ORGAN_LIMIT
    lines = path.read_text().count("\n")
    if name_of(path) in LONGER:
        adr = ROOT / LONGER[name_of(path)]
        assert path.name in adr.read_text(), f"{adr} does not speak of {path.name}"
        assert lines > limit, "short enough again: take it off the list"
    else:
        assert lines <= limit, f"{lines} lines, {limit} allowed"


@each(CYTHON)
def test_the_dialect(path):
    text = path.read_text()
    for pattern, rule in {
        r"^\s*include\s+[\"']": "no include",
        r"^\s*(DEF\s+\w+\s*=|IF\s+.+:|ELIF\s+.+:)": "no DEF, no IF",
        r"^\s*cpdef\s+(?!enum)": "no cpdef functions",
        r"^#\s*(cython|distutils):": "directives live in setup.py",
        r"\bprofile\s*[!=]=": "profiles are knobs, never asked for",
    }.items():
        found = re.search(pattern, text, re.M)
        assert not found, f"{rule}: {found.group().strip()!r}"


@each([path for path in CYTHON if path.suffix == ".pxd" or ROOM_OF.get(path.stem) == "law"])
def test_kernel_functions_cannot_raise_and_need_no_gil(path):
    for returns, _arguments, tail in FUNCTION.findall(path.read_text()):
        if returns.split()[-1] not in PYTHON_TYPES:
            assert tail.startswith(" noexcept nogil"), f"cdef {returns}...{tail}"


def test_no_other_languages():
    strays = [path.name for pattern in ("*.pxi", "*.h", "*.cpp") for path in (ROOT / "tcpcore").glob(pattern)]
    written = [path.name for path in (ROOT / "tcpcore").glob("*.c") if not path.with_suffix(".pyx").exists()]
    assert strays + written == []


def test_profiles_are_tables():
    assert not re.search(r"\bprofile\s*[!=]=", "".join(path.read_text() for path in TCPCORE + LOADGEN))
