"""`python -m tests.project.release [TAG [FILE...]]`: whether the places that name the version agree.

The version is tcpcore.__version__, in the text of tcpcore/__init__.py: nothing is imported. CITATION.cff has
it, too. With a TAG, this is v and the version, CHANGELOG.md has an entry of it under an empty [Unreleased],
and each FILE, a distribution, is of that version. Prints the entry, which is the text of a release; or what
is wrong, a line each, exit status 1.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def version_of(root: Path) -> str:
    """The value of __version__."""
    for node in ast.parse((root / "tcpcore" / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value))
    raise LookupError("tcpcore/__init__.py has no __version__")


def entries(changelog: str) -> list[tuple[str, str, str]]:
    """Of each section of the changelog its name, what follows the name, and its text."""
    parts = re.split(r"^## \[([^]]*)\](.*)$", changelog, flags=re.MULTILINE)
    return [(parts[n], parts[n + 1].strip(), parts[n + 2].strip()) for n in range(1, len(parts), 3)]


def wrong_changelog(changelog: str, version: str) -> list[str]:
    """What keeps the changelog from being that of a release."""
    found = entries(changelog)
    wrong = []
    if [name for name, _, _ in found][:1] != ["Unreleased"]:
        wrong.append("CHANGELOG.md: expected [Unreleased] first")
    elif found.pop(0)[2]:
        wrong.append(f"CHANGELOG.md: [Unreleased] is not empty: its lines belong to [{version}]")
    names = [name for name, _, _ in found]
    if names.count(version) != 1 or names[0] != version:
        return [*wrong, f"CHANGELOG.md: expected one entry [{version}], right after [Unreleased]"]
    _, dated, text = found[0]
    try:
        date.fromisoformat(dated.removeprefix("- "))
    except ValueError:
        wrong.append(f"CHANGELOG.md: [{version}]: expected `- YYYY-MM-DD` after it, got {dated!r}")
    if not text:
        wrong.append(f"CHANGELOG.md: [{version}] is empty")
    return wrong


def wrong_release(root: Path, tag: str | None = None, files: Sequence[str] = ()) -> list[str]:
    """What does not agree, a line each."""
    version = version_of(root)
    wrong = []
    cited = re.search(r"^version: *(.*)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    if cited is None or cited[1].strip("\"' ") != version:
        wrong.append(f"CITATION.cff: expected version: {version}, got {cited and cited[1]}")
    if tag is not None:
        if tag != f"v{version}":
            wrong.append(f"tag: expected v{version}, the version of tcpcore/__init__.py, got {tag}")
        wrong += wrong_changelog((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    for file in files:
        if not re.match(rf"tcpcore-{re.escape(version)}(-.*\.whl|\.tar\.gz)$", Path(file).name):
            wrong.append(f"{file}: expected a distribution of tcpcore {version}")
    return wrong


def main(arguments: Sequence[str]) -> int:
    tag, *files = [*arguments] or [None]
    wrong = wrong_release(ROOT, tag, [name for name in files if name is not None])
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    if tag is not None:
        found = entries((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
        print(*(text for name, _, text in found if f"v{name}" == tag))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
