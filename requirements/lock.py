"""`python requirements/lock.py`: write the newest versions of all requirements to requirements/ci.txt.

Needs pip and nothing else. pip is asked which versions it would install for the requirements in
pyproject.toml (build system, package, tests, developers' tools) and for what those require in turn. Only
names and versions are written: no index, no address, no path.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# Exact versions of all that CI and `make lint types` install, written by `make lock`, used as constraints.
"""


def requirements() -> list[str]:
    """All direct requirements in pyproject.toml, the package's own name left out."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    found = [*pyproject["build-system"]["requires"], *project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        found += [line for line in extra if not line.startswith(project["name"])]
    return found


def resolved(wanted: list[str]) -> dict[str, str]:
    """Name and version of each package that pip would install into an empty environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
    command += ["--ignore-installed", "--report", "-", *wanted]
    report = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    packages = [entry["metadata"] for entry in json.loads(report)["install"]]
    return {re.sub(r"[-_.]+", "-", package["name"]).lower(): package["version"] for package in packages}


def main() -> None:
    lines = [f"{name}=={version}\n" for name, version in sorted(resolved(requirements()).items())]
    (ROOT / "requirements" / "ci.txt").write_text(HEAD + "".join(lines))


if __name__ == "__main__":
    main()
