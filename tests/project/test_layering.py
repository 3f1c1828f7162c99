"""The arrows between the layers, and the limits that keep a file small, asserted from folder names and text.

    base <- records <- tcp
    base, records   <- components         a component imports no component
    all of them     <- loops <- the public modules (engine and what stands beside it) <- loadgen

Each check is one test that lists its offenders. The numbers are those of ADR 4.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: The layers a layer may import from. "components" stands for the module itself only.
REACH = {
    "base": {"base"},
    "records": {"base", "records"},
    "tcp": {"base", "records", "tcp"},
    "components": {"base", "records"},
    "loops": {"base", "records", "tcp", "components", "loops"},
    "public": {"base", "records", "tcp", "components", "loops", "public"},
}
#: May be longer than a file: ADR 4 says why.
LONGER = {"tcpcore/engine.pyx"}
FILE, OUTLINE, FUNCTION = 400, 120, 60
ELSEWHERE = 600                       # a Python file outside of tcpcore

SOURCES = {".pxd", ".pyx", ".py", ".pyi"}
TCPCORE = sorted(path for path in (ROOT / "tcpcore").rglob("*") if path.suffix in SOURCES)
CYTHON = [path for path in TCPCORE if path.suffix in (".pxd", ".pyx")]
LOADGEN = sorted((ROOT / "loadgen").rglob("*.py"))
LOADGEN_CYTHON = sorted(path for path in (ROOT / "loadgen").rglob("*") if path.suffix in (".pxd", ".pyx"))
#: What Cython files of loadgen may name besides; not loadgen's own Python modules.
FOREIGN = r"(libc|cpython)\.\w+|cython|numpy|array"
OTHERS = LOADGEN + sorted(path for top in ("tests", "benchmarks") for path in (ROOT / top).rglob("*.py"))

IMPORT = re.compile(r"^\s*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|.+)|^\s*c?import\s+([\w., ]+)", re.M)
KERNEL = re.compile(r"^cdef (?:inline )?([\w* ]+?)\b\w+\(([^)]*)\)([^\n]*)", re.M)
HEAD = re.compile(
    r"(\s*)(?:cdef|cpdef|def|async def)\b(?!\s*(?:class|struct|enum|extern|union)\b)[^=(#]*?(\w+)\(")
PYTHON_TYPES = {"list", "dict", "tuple", "str", "bytes", "object"}


def name_of(path):
    return str(path.relative_to(ROOT))


def listed(offenders):
    """One a line, for the message."""
    return "\n" + "\n".join(offenders)


def module_of(path):
    """The dotted name below tcpcore: base.seq, engine."""
    return ".".join(path.relative_to(ROOT / "tcpcore").with_suffix("").parts)


def layer_of(module):
    return module.partition(".")[0] if module.partition(".")[0] in REACH else "public"


def imports(text, package="tcpcore"):
    """The modules of tcpcore that a text in this package imports or cimports, named below tcpcore."""
    for source, names, plain in IMPORT.findall(text):
        if source.startswith("."):
            above = len(source) - len(source.lstrip("."))
            parts = package.split(".")[: len(package.split(".")) - above + 1]
            source = ".".join([*parts, *filter(None, [source.lstrip(".")])])
        if plain:
            for module in plain.split(","):
                top, _, rest = module.split(" as ")[0].strip().partition(".")
                if top == "tcpcore" and rest:
                    yield rest
        elif source == "tcpcore" or source.startswith("tcpcore."):
            below = source.partition(".")[2]
            if below and below not in REACH:
                yield below
            else:                     # of a package: the names may be modules
                for word in filter(str.strip, re.sub(r"[()]|#.*", "", names).split(",")):
                    yield f"{below}.{word.split()[0]}".lstrip(".")


def functions(text):
    """The functions of a Cython or Python text that have a body: name and lines, by indentation."""
    lines = text.splitlines()
    for first, line in enumerate(lines):
        if not (head := HEAD.match(line)):
            continue
        last, open_ = first, 0
        while True:                   # to the end of the signature
            code = lines[last].partition("#")[0].rstrip()
            open_ += code.count("(") - code.count(")")
            if open_ <= 0 or last + 1 == len(lines):
                break
            last += 1
        if not code.endswith(":"):
            continue                  # declared only
        end = last
        for number in range(last + 1, len(lines)):
            rest = lines[number].lstrip()
            if rest and len(lines[number]) - len(rest) <= len(head[1]):
                break
            end = number if rest else end
        yield head[2], end - first + 1


def lines_of(path):
    return path.read_text().count("\n")


def is_outline(path):
    """A .pxd that declares and defines nothing."""
    return path.suffix == ".pxd" and not any(True for _ in functions(path.read_text()))


# -- arrows


def test_arrows_point_one_way():
    offenders = []
    for path in TCPCORE:
        module = module_of(path)
        package = ".".join(["tcpcore", *path.relative_to(ROOT / "tcpcore").parts[:-1]])
        layer = layer_of(module)
        for other in sorted(set(imports(path.read_text(), package)) - {module, ""}):
            if layer_of(other) not in REACH[layer]:
                offenders.append(f"{name_of(path)}: {layer} must not import {other}")
    assert not offenders, listed(offenders)


def test_every_folder_of_tcpcore_is_a_layer():
    folders = {path.name for path in (ROOT / "tcpcore").iterdir() if any(path.glob("*.pxd"))}
    assert folders == set(REACH) - {"public"}


def test_the_import_reader_reads_every_form():
    text = """\
from tcpcore.components.timer_wheel cimport (
    Wheel)
    from tcpcore.components.isn import make  # inside a function
from tcpcore.base cimport seq, arena as a  # and more
from tcpcore cimport Segment
cimport tcpcore.base.bitmap, cython
import tcpcore.engine
from .ports cimport x
from ..records.tcb cimport Tcb
from libc.stdint cimport uint8_t
import tcpcore
"""
    assert list(imports(text, "tcpcore.components")) == [
        "components.timer_wheel", "components.isn", "base.seq", "base.arena", "Segment", "base.bitmap",
        "engine", "components.ports", "records.tcb"]  # fmt: skip


def test_names_are_cimported_one_by_one():
    found = [f"{name_of(path)}: {line.strip()}" for path in CYTHON for line in path.read_text().splitlines()
             if re.search(r"\bc?import\s+\*", line)]  # fmt: skip
    assert not found, listed(found)


def test_loadgen_uses_public_names_only():
    offenders = []
    for path in LOADGEN:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                if any(alias.name.split(".")[0] == "tcpcore" for alias in node.names):
                    offenders.append(f"{name_of(path)}: write from tcpcore import X")
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tcpcore":
                names = [alias.name for alias in node.names]
                if node.module != "tcpcore":
                    offenders.append(f"{name_of(path)}: {node.module} is not public")
                elif any(name in REACH or name.startswith("_") for name in names if name != "__version__"):
                    offenders.append(f"{name_of(path)}: {names} are not public")
    assert not offenders, listed(offenders)


def cimported(text):
    """The module of each import of a Cython text, at any depth."""
    for source, _, plain in IMPORT.findall(text):
        for module in [source] if source else plain.split(","):
            yield module.split(" as ")[0].strip()


def test_compiled_modules_of_loadgen_use_public_names_only():
    """They cimport from tcpcore's own .pxd and from each other's, and import no Python module of loadgen."""
    own = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in LOADGEN_CYTHON}
    offenders = []
    for path in LOADGEN_CYTHON:
        text = path.read_text()
        offenders += [
            f"{name_of(path)}: {module} is not public" for module in cimported(text)
            if module not in own and module != "tcpcore" and not re.fullmatch(FOREIGN, module)]  # fmt: skip
        offenders += [
            f"{name_of(path)}: {line.strip()}" for line in text.splitlines()
            if re.search(r"\bc?import\s+\*|from\s+tcpcore\s+c?import\s.*\b_\w", line)]  # fmt: skip
    assert own and not offenders, listed(offenders)


def test_the_reader_of_compiled_modules_reads_every_form():
    text = """\
from tcpcore.records.tcb cimport (
    Tcb)
    import numpy as np, loadgen.units
cimport tcpcore.base.seq as s
from . cimport x
from tcpcore cimport Segment
"""
    assert list(cimported(text)) == [
        "tcpcore.records.tcb", "numpy", "loadgen.units", "tcpcore.base.seq", ".", "tcpcore"]  # fmt: skip


def test_nobody_imports_the_command_line_or_what_stands_above():
    above = {"tcpcore": "loadgen|benchmarks|tests", "loadgen": "benchmarks|tests", "benchmarks": "(?!)"}
    offenders = []
    for path in TCPCORE + [path for path in OTHERS if not name_of(path).startswith("tests/")]:
        text, name = path.read_text(), name_of(path)
        if name != "loadgen/entry.py" and not name.startswith("loadgen/cli"):
            if re.search(r"^\s*(from|import)\s+(loadgen)?\.cli\b", text, re.M) or re.search(
                    r"^\s*from\s+(loadgen|\.)\s+import\b.*\bcli\b", text, re.M):  # fmt: skip
                offenders.append(f"{name} imports the command line")
        if re.search(rf"^\s*(from|c?import)\s+({above[name.split('/')[0]]})\b", text, re.M):
            offenders.append(f"{name} imports what stands above it")
    assert not offenders, listed(offenders)


# -- limits


def test_the_limits_are_those_of_adr_4():
    (adr,) = (ROOT / "docs" / "adr").glob("0004-*.md")
    text = adr.read_text()
    rows = re.findall(r"^\| ([^|]+?) \| (\d+) \|$", text, re.M)
    said = {next((key for key in ("function", ".pxd", "file") if key in what), what): int(number)
            for what, number in rows}  # fmt: skip
    assert said == {"file": FILE, ".pxd": OUTLINE, "function": FUNCTION}
    assert [path for path in LONGER if f"| `{Path(path).name}` |" not in text] == []


def test_files_stay_small():
    offenders = []
    for path in TCPCORE + LOADGEN_CYTHON:
        limit = OUTLINE if path in TCPCORE and is_outline(path) else FILE
        if lines_of(path) > limit and name_of(path) not in LONGER:
            offenders.append(f"{name_of(path)}: {lines_of(path)} lines, {limit} allowed")
    offenders += [f"{name_of(path)}: {lines_of(path)} lines, {ELSEWHERE} allowed" for path in OTHERS
                  if lines_of(path) > ELSEWHERE]  # fmt: skip
    assert not offenders, listed(offenders)


def test_what_may_be_longer_is():
    assert [path for path in LONGER if lines_of(ROOT / path) <= FILE] == []


def test_functions_stay_small():
    offenders = [f"{name_of(path)}: {name} has {lines} lines, {FUNCTION} allowed"
                 for path in TCPCORE + LOADGEN_CYTHON
                 for name, lines in functions(path.read_text()) if lines > FUNCTION]  # fmt: skip
    assert not offenders, listed(offenders)


def test_the_function_reader_counts_by_indentation():
    text = """\
cdef extern from "x.h":
    int outside(int a)

cdef uint32_t declared(Tcb* tcb) noexcept nogil

cdef inline bint one(int a,
                     int b) noexcept nogil:
    cdef int c = other(a)             # not a function

    return c

cdef class Two:
    def three(self):
        if True:
            return 1

    cdef int four(self, (int) x): return 4


def five(
    a,
):
    pass
# the end
"""
    assert list(functions(text)) == [("one", 5), ("three", 3), ("five", 4)]


# -- the dialect


def test_the_dialect():
    rules = {
        r"^\s*include\s+[\"']": "no include",
        r"^\s*(DEF\s+\w+\s*=|IF\s+.+:|ELIF\s+.+:)": "no DEF, no IF",
        r"^\s*cpdef\s+(?!enum)": "no cpdef functions",
        r"^#\s*(cython|distutils):": "directives live in setup.py",
    }
    found = [f"{name_of(path)}: {rule}: {hit.group().strip()!r}" for path in CYTHON
             for pattern, rule in rules.items()
             for hit in re.finditer(pattern, path.read_text(), re.M)]  # fmt: skip
    assert not found, listed(found)


def test_kernel_functions_cannot_raise_and_need_no_gil():
    """What takes a Python object for a compiled caller needs the GIL anyway, and raises TypeError."""
    offenders = []
    for path in CYTHON:
        if path.suffix == ".pxd" or layer_of(module_of(path)) == "tcp":
            for returns, arguments, tail in KERNEL.findall(path.read_text()):
                if arguments == "object engine" and tail.rstrip(":") == " except NULL":
                    continue
                if returns.split()[-1] not in PYTHON_TYPES and not tail.startswith(" noexcept nogil"):
                    offenders.append(f"{name_of(path)}: cdef {returns}...{tail}")
    assert not offenders, listed(offenders)


def test_no_other_languages():
    tree = ROOT / "tcpcore"
    strays = [name_of(path) for pattern in ("*.pxi", "*.h", "*.cpp") for path in tree.rglob(pattern)
              if path != tree / "include" / "tcpcore.h"]  # fmt: skip
    written = [name_of(path) for path in tree.rglob("*.c") if not path.with_suffix(".pyx").exists()]
    assert not strays + written, listed(strays + written)


def test_profiles_are_tables():
    """What a stack does is a knob: no code asks for a profile."""
    found = [name_of(path) for path in TCPCORE + LOADGEN
             if re.search(r"\bprofile\s*[!=]=", path.read_text())]  # fmt: skip
    assert not found, listed(found)
