"""Mutation testing: break one rule of TCP, see which test says so.

Each mutant is one small textual change (`mutants.toml`), built in a tree of its own under build/mutants: only
the modules that the changed file reaches are translated and compiled again, without optimisation. Then the
tests that name behaviours run until one fails. The golden table and the comparisons with the reference
implementation would catch nearly everything and name nothing, so they are left out: a mutant that only they
could see has survived.

Invariant: the working tree is only read. A mutation whose text is not in the source exactly once is an error.
"""

from __future__ import annotations

import ast
import json
import keyword
import os
import queue
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREES = ROOT / "build" / "mutants"
COPIED = ("tcpcore", "loadgen", "tests", "examples", "pyproject.toml")
#: Where the tests that name behaviours are, those first that find most; some are wanted by their file's name.
PATTERNS = (
    "tests/dialogues",
    "tests/corpus/test_corpus.py",
    "tests/**/test_isn.py",
    "tests/**/test_queues.py",
    "tests/**/test_policies.py",
    "tests/behaviour/test_ports.py",
    "tests/behaviour/test_bound_ports.py",
    "tests/components/test_syn_policy.py",
    "tests/**/test_api.py",
    "tests/components/test_syncookie.py",
    "tests/api/test_play.py",
)
PARALLEL = 2
HANGS_AFTER = 300                     # s; all of TESTS take a few
NOTHING_RAN = 5                       # pytest's code

OUTCOME = re.compile(r"^(tests/\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)?(?: |$)")


def found_by(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """What the patterns find, in their order; nothing twice that lies in a folder found before."""
    found: list[Path] = []
    for pattern in patterns:
        for path in sorted(path.relative_to(ROOT) for path in ROOT.glob(pattern)):
            if not any(path.is_relative_to(before) for before in found):
                found.append(path)
    return tuple(map(str, found))


TESTS = found_by(PATTERNS)


class Stale(Exception):
    """The mutation's text is not in the source exactly once."""


@dataclass
class Mutant:
    """One rule, broken: `old` becomes `new`, in whichever `file` of tcpcore it stands. `cimports`: what `new`
    needs and the file does not have."""

    behaviour: str
    old: str
    new: str
    cimports: str = ""

    @cached_property
    def file(self) -> str:
        found = [name for name, text in sources().items() for _ in range(text.count(self.old))]
        if len(found) != 1:
            raise Stale(f"{self.behaviour}: {len(found)} places ({', '.join(found)}) read\n{self.old}")
        return found[0]

    @property
    def source(self) -> str:
        """The whole file, mutated."""
        mutated = sources()[self.file].replace(self.old, self.new)
        return f"{self.cimports}\n{mutated}" if self.cimports else mutated

    def unknown_names(self) -> set[str]:
        """What `new` names and nothing in the file's code does: such a mutant would not compile."""
        outline = sources().get(self.file.replace(".pyx", ".pxd"), "")
        known = names_in(sources()[self.file] + outline + self.cimports)
        return names_in(self.new) - known - set(keyword.kwlist)


def names_in(text: str) -> set[str]:
    """The names in Cython code, but not those behind a dot, in comments and in docstrings."""
    code = re.sub(r"#.*", "", re.sub(r"\"{3}.*?\"{3}", "", text, flags=re.S))
    return set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", code))


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant; `caught_by` is a test's id, empty for a survivor and without a verdict."""

    mutant: Mutant
    caught_by: str
    seconds: float
    trouble: str = ""

    def __str__(self) -> str:
        said = f"caught by {self.caught_by}" if self.caught_by else self.trouble or "SURVIVED"
        return f"{self.mutant.behaviour}  ({self.mutant.file}, {self.seconds:.0f} s)\n    {said}"


def load() -> list[Mutant]:
    document = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text(encoding="utf-8"))
    return [Mutant(**entry) for entry in document["mutant"]]


@cache
def sources() -> dict[str, str]:
    """tcpcore's Cython files by path. Header prediction and the image of a SYN are left out: they are the
    state machine worked out a second time, and mutants are built without them."""
    paths = [path for path in (ROOT / "tcpcore").rglob("*.p[yx][xd]")
             if path.stem not in ("predict", "syn_image")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(paths)}


def dotted(file: str) -> str:
    """The module that a file belongs to: tcpcore.tcp.rto for tcpcore/tcp/rto.pxd."""
    return ".".join(Path(file).with_suffix("").parts)


def directives() -> dict[str, object]:
    """Cython's, as setup.py has them."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DIRECTIVES":
            return ast.literal_eval(node.value)
    raise LookupError("setup.py has no DIRECTIVES")


def reached_by(file: str) -> list[str]:
    """The modules to compile again when `file` changes: its own, or all that cimport it, directly or not."""
    texts = sources()
    changed, news = set(), {file}
    while news:
        changed |= news
        modules = "|".join(re.escape(dotted(name)) for name in news if name.endswith(".pxd"))
        wanted = re.compile(rf"^\s*(?:from\s+({modules})\s+cimport|cimport\s+({modules})\b)", re.M)
        news = {name for name, text in texts.items() if modules and wanted.search(text)}
        news |= {str(Path(name).with_suffix(".pyx")) for name in changed} & texts.keys()
        news -= changed
    return sorted(dotted(name) for name in changed if name.endswith(".pyx"))


def batch_loops() -> list[str]:
    """The modules that choose between header prediction and the state machine."""
    return [dotted(name) for name in sources() if re.fullmatch(r"tcpcore/loops/\w+\.pyx", name)]


class Tree:
    """A copy of the project in which one mutant at a time lives."""

    def __init__(self, number: int) -> None:
        self.path = TREES / f"tree{number}"
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.path / name, ignore=shutil.ignore_patterns("live", "*.c"))
            else:
                shutil.copy2(ROOT / name, self.path / name)
        self.compile(batch_loops())       # every segment goes to the state machine
        shutil.copytree(self.path / "tcpcore", self.path / "pristine")
        self.environment = os.environ | {"PYTHONPATH": str(self.path), "HYPOTHESIS_PROFILE": "ci"}

    def put(self, mutant: Mutant) -> None:
        """Build the mutant, and nothing else that differs from the project."""
        (self.path / mutant.file).write_text(mutant.source, encoding="utf-8")
        self.compile(reached_by(mutant.file))

    def compile(self, modules: list[str]) -> None:
        suffix, include = sysconfig.get_config_var("EXT_SUFFIX"), sysconfig.get_path("include")
        options = [word for name, value in directives().items() for word in ("-X", f"{name}={value}")]
        compiler = os.environ.get("CC", "gcc").split()
        flags = ["-O0", "-w", "-fPIC", "-shared", "-fno-strict-aliasing",
                 "-DTCPCORE_NO_PREDICTION"]  # fmt: skip
        for module in modules:
            base = module.replace(".", "/")
            self.run([sys.executable, "-m", "cython", *options, f"{base}.pyx"])
            (self.path / f"{base}{suffix}").unlink()
            self.run([*compiler, *flags, f"-I{include}", f"{base}.c", "-o", f"{base}{suffix}"])

    def run(self, command: list[str]) -> None:
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")

    def restore(self) -> None:
        shutil.rmtree(self.path / "tcpcore")
        shutil.copytree(self.path / "pristine", self.path / "tcpcore")

    def failing_test(self, *tests: str) -> str:
        """The id of the first test that fails, crashes or does not end; empty when all pass."""
        command = [sys.executable, "-u", "-m", "pytest", "-v", "-x", "--tb=no", "-p", "no:cacheprovider",
                   "--color=no", "-k", "not reference", *tests]
        try:
            done = subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True,
                                  text=True, timeout=HANGS_AFTER)
            said, code = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as expired:
            said, code = (expired.stdout or b"").decode(), -1
        tests = [OUTCOME.match(line) for line in said.splitlines() if line.startswith("tests/")]
        if code in (0, NOTHING_RAN):
            return ""
        for found in filter(None, tests):
            if found[2] in ("FAILED", "ERROR"):
                return found[1]
        if code < 0 and tests and tests[-1]:
            return f"{tests[-1][1].strip()} (crashed or never ended)"
        raise RuntimeError(f"pytest gave no verdict:\n{said[-3000:]}")


def judge(mutants: list[Mutant], said=print) -> list[Verdict]:
    """Every mutant's verdict, in the order given; `said` is called with each as it is known."""
    trees: queue.Queue[Tree] = queue.Queue()
    for number in range(PARALLEL):
        trees.put(Tree(number))

    killers = last_time()

    def one(mutant: Mutant) -> Verdict:
        tree, start = trees.get(), time.monotonic()
        try:
            tree.put(mutant)
            file, _, _ = killers.get(mutant.behaviour, "").partition("::")
            caught_by = (tree.failing_test(file) if file else "") or tree.failing_test(*TESTS)
            verdict = Verdict(mutant, caught_by, time.monotonic() - start)
        except RuntimeError as error:
            verdict = Verdict(mutant, "", time.monotonic() - start, f"NO VERDICT: {error}")
        finally:
            tree.restore()
            trees.put(tree)
        said(verdict)
        return verdict

    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(one, mutants))


def last_time() -> dict[str, str]:
    """Behaviour -> the test that caught it in the last run on this machine: its file is asked first."""
    try:
        return json.loads((TREES / "killers.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def check_the_yardstick() -> None:
    """Unmutated, but built and run in the same way, all tests must pass."""
    tree = Tree(0)
    tree.compile(["tcpcore.tcp.steps"])
    where = [sys.executable, "-c", "import tcpcore.tcp.steps as t; print(t.__file__)"]
    loaded = subprocess.run(where, cwd=tree.path, env=tree.environment, capture_output=True, text=True).stdout
    if not Path(loaded.strip()).is_relative_to(tree.path):
        raise RuntimeError(f"the tests would run {loaded.strip()}")
    if failed := tree.failing_test(*TESTS):
        raise RuntimeError(f"without any mutation {failed} fails")


def main(patterns: list[str]) -> int:
    """0: all caught. 1: survivors. Patterns choose mutants by a part of their behaviour's name."""
    mutants = [m for m in load() if not patterns or any(p in m.behaviour for p in patterns)]
    for mutant in mutants:
        reached_by(mutant.file)           # stale ones are an error before anything is built
    check_the_yardstick()
    verdicts = judge(mutants, lambda verdict: print(verdict, flush=True))
    survivors = [verdict for verdict in verdicts if not verdict.caught_by]
    caught = {verdict.mutant.behaviour: verdict.caught_by for verdict in verdicts if verdict.caught_by}
    (TREES / "killers.json").write_text(json.dumps(last_time() | caught, indent=1), encoding="utf-8")
    (TREES / "report.txt").write_text("\n".join(map(str, verdicts)) + "\n", encoding="utf-8")
    print(f"\n{len(verdicts)} mutants, {len(verdicts) - len(survivors)} caught, {len(survivors)} survived; "
          f"{max(v.seconds for v in verdicts):.0f} s the slowest")
    for verdict in survivors:
        word = "NO VERDICT" if verdict.trouble else "SURVIVED"
        print(f"{word} {verdict.mutant.behaviour}: {verdict.mutant.old!r} -> {verdict.mutant.new!r}")
    return 1 if survivors or not verdicts else 0
