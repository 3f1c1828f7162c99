"""Small scenarios and studies for the tests of `loadgen.study`, and the bytes of a study without its wall."""

import json
from pathlib import Path

from loadgen.scenario.model import Scenario

TOML = """schema = 1
name = "small"
[server]
listen = { backlog = 5 }
[[load]]
name = "web"
rate = "300/s"
hold = "5ms"
[link]
rtt = "2ms"
[run]
duration = "30ms"
series = "10ms"
"""


def scenario(**changes):
    return Scenario.from_toml(TOML).replace(changes)


def written(folder, text=TOML):
    """The scenario as a file."""
    path = Path(folder) / "small.toml"
    path.write_text(text)
    return path


def contents(folder):
    """Name -> text of every file of a study, results without `wall`."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            text = path.read_text()
            name = str(path.relative_to(folder))
            if name.startswith("points/"):
                document = json.loads(text)
                document.pop("wall")
                text = json.dumps(document, sort_keys=True)
            found[name] = text
    return found


def threads():
    """A factory for --executor."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(3)


def no_executor():
    """A factory that gives something else."""
    return 5


def broken():
    """A factory that fails."""
    raise ConnectionError("nobody is there")
