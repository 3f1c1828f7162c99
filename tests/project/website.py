"""What `make docs` needs beside docs/: a hook of MkDocs, and an extension of griffe.

Texts that live outside docs/ become pages, links to them and to examples are led there, and a link to
anything else outside docs/ stays as it is, so that the strict build stops at it. The API pages take
signatures from stubs, and docstrings from the compiled modules, which are imported.
Source: MkDocs' plugin events; griffe's Extension.
"""

import enum
import importlib
import inspect
import posixpath
import re
import sys
from pathlib import Path

from griffe import Docstring, Extension
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
#: Page of the site by file of the repository.
OUTSIDE = {
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "tests/README.md": "project/tests.md",
    "README.md": "index.md",
}
DOCUMENT = re.compile(r"\bdocs/([\w/-]+)\.md\b")
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)]*)?\))")

sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path
from tests.project import generated  # noqa: E402


def on_files(files, config):
    """Pages from outside docs/, those that are printed, and the examples as files to download."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for page, printed in generated.PAGES.items():
        files.append(File.generated(config, page, content=printed()))
    schema = str(generated.SCHEMA)
    files.append(File.generated(config, "reference/schema.json", abs_src_path=schema))
    for path in sorted((ROOT / "examples").iterdir()):
        if path.is_file():
            files.append(File.generated(config, f"examples/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links between files of the repository, made links between pages."""
    here = page.file.src_uri
    source = next((name for name, target in OUTSIDE.items() if target == here), f"docs/{here}")

    def led(link):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        if target == "docs/adr":
            target = "docs/adr/0001-block-layout.md"
        to = OUTSIDE.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else target)
        if not files.get_file_from_path(to):
            return link[0]
        return f"{link[1]}{posixpath.relpath(to, posixpath.dirname(here))}{link[3]}"

    return LINK.sub(led, markdown)


class Docstrings(Extension):
    """Docstrings as Markdown, and those of compiled objects, of which griffe knows the stub or half of it."""

    def on_package(self, *, pkg, **kwargs):
        """After a package is loaded."""
        self._read(pkg, importlib.import_module(pkg.path))

    def _read(self, parent, running):
        order = list(vars(running))
        known = sorted(parent.members.items(), key=lambda one: order.index(one[0]) if one[0] in order else -1)
        for name, member in known:
            del parent.members[name]
            parent.members[name] = member
            if member.is_alias or name.startswith("_"):
                continue
            if member.is_module:
                self._read(member, importlib.import_module(member.path))
                continue
            found = getattr(running, name, None)
            text = _said_of(found) or (member.docstring.value if member.docstring and found is None else "")
            member.docstring = Docstring(_markdown(text), parent=member) if text else None
            if inspect.isclass(found) and issubclass(found, enum.Enum):
                numbers = ", ".join(f"`{one.name}` {one.value}" for one in found)
                member.docstring = Docstring(f"{text}\n\n{numbers}", parent=member)
                member.members.clear()
            elif member.is_class and found is not None:
                self._read(member, found)


def _said_of(found):
    """The docstring of a class, a function or a property; Cython puts the signature in its first line."""
    if not (callable(found) or inspect.isdatadescriptor(found)):
        return ""
    text = inspect.getdoc(found) or ""
    first, _, rest = text.partition("\n")
    if first.startswith("Alias for field number"):
        return ""
    return rest.strip("\n") if re.fullmatch(r"[\w.]+\(.*\)( -> .*)?", first) else text


def _markdown(text):
    """numpydoc's sections as definition lists; a document that is named becomes a link."""
    lines, old, entries = [], text.splitlines(), False
    for number, line in enumerate(old):
        under = old[number + 1] if number + 1 < len(old) else ""
        if line and re.fullmatch(r"-{3,}", under):
            lines += ["", f"**{line}**", ""]
            entries = line in ("Parameters", "Returns", "Raises")
        elif re.fullmatch(r"-{3,}", line):
            continue
        elif entries and line and not line.startswith(" "):
            term, _, kind = line.partition(" : ")
            lines += ["", f"`{term}`" + (f" ({kind})" if kind else "")]
            if not under.startswith(" "):
                lines += [":   "]
        elif entries and lines[-1].startswith("`"):
            lines.append(":   " + line.strip())
        else:
            lines.append(line)
    return DOCUMENT.sub(r"[docs/\1.md](../\1.md)", "\n".join(lines))
