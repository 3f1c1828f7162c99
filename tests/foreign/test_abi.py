"""What is compiled against another tcpcore is refused at import, and the header says what the structs are."""

import shutil
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

import tcpcore
from tcpcore import EVENT, INFO, OP, SEGMENT, Engine
from tests.foreign.building import FLAGS, ROOT, attempt, build
from tests.foreign.conftest import load
from tests.foreign.hosts import CONNECT_ROW, FOUR_TUPLE

HEADER = ROOT / "tcpcore" / "include" / "tcpcore.h"
STRUCTS = {"tcpcore_segment": SEGMENT, "tcpcore_event": EVENT, "tcpcore_info": INFO, "tcpcore_op": OP,
           "tcpcore_connect_row": CONNECT_ROW, "tcpcore_four_tuple": FOUR_TUPLE}  # fmt: skip

CYTHON = """\
from tcpcore cimport engine_next_timer, engine_of
def probe(engine):
    return engine_next_timer(engine_of(engine))
"""
CPP = """\
#include "tcpcore.h"
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "foreign_cpp", NULL, -1, NULL, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_foreign_cpp(void) { return import_tcpcore() < 0 ? NULL : PyModule_Create(&module); }
"""


def another(folder, **replaced):
    """The declarations for Cython of a tcpcore in which some words of c_api.pxd are others."""
    place = folder / "another"
    for path in (ROOT / "tcpcore").rglob("*.pxd"):
        copy = place / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    outline = place / "tcpcore" / "c_api.pxd"
    text = outline.read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    outline.write_text(text)
    return place


def header(folder, old, new):
    """A tcpcore.h with another word."""
    assert old in HEADER.read_text()
    place = folder / "include"
    place.mkdir()
    (place / "tcpcore.h").write_text(HEADER.read_text().replace(old, new))
    return place


def test_a_cython_module_of_this_abi_is_imported(tmp_path):
    foreign = load(tmp_path, build(tmp_path, "foreign.pyx", CYTHON, path=[another(tmp_path)]))
    assert foreign.probe(Engine(capacity=4)) == -1


def test_a_cython_module_in_cpp_with_the_header(tmp_path):
    """The names of the Cython structs and of the header may be in one file, and it may be C++."""
    header = "cdef extern from 'tcpcore.h':\n    int import_tcpcore() except -1\n"
    text = f"# distutils: language = c++\n{CYTHON}\n{header}"
    foreign = load(tmp_path, build(tmp_path, "foreign.pyx", text + "import_tcpcore()\n"))
    assert foreign.probe(Engine(capacity=4)) == -1


def test_a_cython_module_of_another_abi_is_not_imported(tmp_path):
    place = another(
        tmp_path, **{"needs_tcpcore_abi_1": "needs_tcpcore_abi_2", "TCPCORE_ABI = 1": "TCPCORE_ABI = 2"}
    )
    build(tmp_path, "foreign.pyx", CYTHON, path=[place])
    done = attempt(tmp_path, sys.executable, "-c", "import foreign")
    assert done.returncode == 1
    assert ("ImportError: tcpcore.c_api does not export expected C variable needs_tcpcore_abi_2"
            in done.stderr.splitlines()[-1])  # fmt: skip


def test_a_number_that_differs_alone_is_found_with_the_first_engine(tmp_path):
    foreign = load(
        tmp_path,
        build(
            tmp_path,
            "foreign.pyx",
            CYTHON,
            path=[another(tmp_path, **{"TCPCORE_ABI = 1": "TCPCORE_ABI = 2"})],
        ),
    )
    with pytest.raises(
        ImportError, match="compiled for ABI 2 of tcpcore, the installed one has ABI 1: compile"
    ):
        foreign.probe(Engine(capacity=4))


def test_a_cpp_module_of_another_abi_is_not_imported(tmp_path):
    build(tmp_path, "foreign_cpp.cpp", CPP, include=header(tmp_path, "TCPCORE_ABI 1", "TCPCORE_ABI 2"))
    done = attempt(tmp_path, sys.executable, "-c", "import foreign_cpp")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: this module was compiled for ABI 2 of tcpcore, the installed one has ABI 1: "
        "compile the module again")  # fmt: skip


def test_a_cpp_module_that_wants_newer_functions_is_not_imported(tmp_path):
    newer = header(tmp_path, "} tcpcore_api;", "    int (*engine_newer)(void);\n} tcpcore_api;")
    build(tmp_path, "foreign_cpp.cpp", CPP, include=newer)
    done = attempt(tmp_path, sys.executable, "-c", "import foreign_cpp")
    assert done.stderr.splitlines()[-1].startswith(
        "ImportError: this module was compiled for a newer tcpcore"
    )


def test_every_place_has_the_same_number(through):
    assert through.ABI == 1
    outline = (ROOT / "tcpcore" / "c_api.pxd").read_text()
    assert (
        f"TCPCORE_ABI = {through.ABI}\n" in outline
        and f"cdef int needs_tcpcore_abi_{through.ABI}\n" in outline
    )


def test_the_header_is_found():
    assert tcpcore.get_include() == str(HEADER.parent)


@pytest.mark.parametrize("compiler", [["gcc", "-std=c11"], ["g++", "-std=c++11"]])
def test_the_structs_of_the_header_are_the_engines(tmp_path, compiler, through_cython):
    """Each offset and size, which the compiler asserts; and no warning, in C and in C++."""
    source = tmp_path / ("layout.c" if compiler[0] == "gcc" else "layout.cpp")
    lines = ["#define TCPCORE_LONG_NAMES", "#include <tcpcore.h>", "struct Segment { char other; };"]
    word = "_Static_assert" if compiler[0] == "gcc" else "static_assert"
    for struct, dtype in STRUCTS.items():
        lines.append(f'{word}(sizeof({struct}) == {dtype.itemsize}, "{struct}");')
        lines += [f'{word}(offsetof({struct}, {field}) == {dtype.fields[field][1]}, "{struct}.{field}");\n'
                  f'{word}(sizeof((({struct} *)0)->{field}) == {dtype.fields[field][0].itemsize}, "{field}");'
                  for field in dtype.names]  # fmt: skip
    source.write_text("\n".join(lines) + "\n")
    options = [*FLAGS, "-Wall", "-Wextra", "-Werror", f"-I{tcpcore.get_include()}"]
    options.append(f"-isystem{sysconfig.get_paths()['include']}")
    done = subprocess.run(
        [*compiler, *options, "-c", source, "-o", tmp_path / "layout.o"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name, dtype in (("ConnectRow", CONNECT_ROW), ("FourTuple", FOUR_TUPLE)):
        assert through_cython.OFFSETS[name] == {field: dtype.fields[field][1] for field in dtype.names}


def test_fields_that_python_names_are_all_there_are():
    """The dtypes, which are derived from the Cython structs, leave padding out only."""
    assert sum(SEGMENT[name].itemsize for name in SEGMENT.names) == SEGMENT.itemsize - 3
    assert sum(EVENT[name].itemsize for name in EVENT.names) == EVENT.itemsize - 1
    assert sum(INFO[name].itemsize for name in INFO.names) == INFO.itemsize
    assert np.dtype(CONNECT_ROW).itemsize == 24
