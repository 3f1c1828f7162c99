"""The version, the changelog, the tag and the names of distributions agree before a release."""

import shutil
import subprocess
import sys

import pytest

import tcpcore
from tests.project.release import ROOT, entries, version_of, wrong_release

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [{}] - 2026-12-01\n\n### Added\n\n- All of it.\n"
NAMES = ("tcpcore/__init__.py", "CITATION.cff", "CHANGELOG.md")


@pytest.fixture
def tree(tmp_path):
    """What the check reads, ready for a release."""
    (tmp_path / "tcpcore").mkdir()
    for name in NAMES:
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG.format(tcpcore.__version__))
    return tmp_path


def test_this_tree_agrees_with_itself():
    assert version_of(ROOT) == tcpcore.__version__
    assert wrong_release(ROOT) == []
    assert entries((ROOT / "CHANGELOG.md").read_text())[0][0] == "Unreleased"


def test_a_release_that_agrees(tree):
    version = tcpcore.__version__
    names = [f"dist/tcpcore-{version}.tar.gz", f"tcpcore-{version}-cp314-cp314t-musllinux_1_2_aarch64.whl"]
    assert wrong_release(tree, f"v{version}", names) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## [Unreleased]\n", "", "expected [Unreleased] first"),
        ("## [Unreleased]\n", "## [Unreleased]\n\n- More.\n", "[Unreleased] is not empty"),
        (" - 2026-12-01", "", "expected `- YYYY-MM-DD` after it, got ''"),
        (" - 2026-12-01", " - 2026-13-01", "got '- 2026-13-01'"),
        ("### Added\n\n- All of it.\n", "", "is empty"),
        ("## [{}]", "## [0.0.9]", "expected one entry"),
        ("## [{}] - 2026-12-01", "## [0.0.9] - 2026-11-01\n\n- a\n\n## [{}] - 2026-12-01", "right after"),
    ],
)
def test_a_changelog_that_is_not_ready(tree, old, new, said):
    text = CHANGELOG.replace(old, new).format(tcpcore.__version__)
    (tree / "CHANGELOG.md").write_text(text)
    [wrong] = wrong_release(tree, f"v{tcpcore.__version__}")
    assert said in wrong


def test_another_version_somewhere(tree):
    (tree / "CITATION.cff").write_text("version: 9.9.9\n")
    wrong = wrong_release(tree, "v9.9.9", ["tcpcore-9.9.9.tar.gz", f"tcpcore-{tcpcore.__version__}.zip"])
    assert [line.partition(":")[0] for line in wrong] == [
        "CITATION.cff", "tag", "tcpcore-9.9.9.tar.gz", f"tcpcore-{tcpcore.__version__}.zip"
    ]  # fmt: skip


def test_it_runs_in_a_checkout_that_is_not_compiled():
    done = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; sys.path.insert(0, '.'); sys.argv[1:] = ['v9.9.9'];"
         "import runpy; runpy.run_module('tests.project.release', run_name='__main__')"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "tag: expected v" in done.stderr and "Traceback" not in done.stderr
