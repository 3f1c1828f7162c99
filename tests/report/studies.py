"""Studies as a sweep writes them: study.toml, a result a point under points/, failed/, search.json."""

import json
from dataclasses import replace

from loadgen.report.reading import digest
from loadgen.report.result import build
from loadgen.scenario.model import Listen, Load
from tests.report import made

MS = made.MS


def played(backlog=511, rate=1000.0, share=0.999, *, seeds=4, seed=7, spread=1, thresholds=(),
           connect=20 * MS, **rest):  # fmt: skip
    """A result whose first_try_ratio is about `share`, with a little noise from seed to seed."""
    given = []
    for replicate in range(seeds):
        first = round(10_000 * share) - spread * ((replicate * 7 + seed + backlog) % 5)
        one = made.outcome(
            made.load("api", served=10_000, first_try=first, connect=[connect] * 90 + [1020 * MS] * 10),
            replicate=replicate, peaks={"half_open": 100 + replicate}, virtual_ns=10**10)  # fmt: skip
        given.append(replace(one, seed=seed))
    scenario = made.scenario(Load(name="api", shape=((0, rate),)), seeds=seeds, thresholds=thresholds, **rest)
    server = replace(scenario.server, listen=Listen(port=443, backlog=backlog))
    return build(replace(scenario, server=server, seed=seed), given, command="loadgen run api.toml")


def written(folder, results, *, failed=(), searches=None, schema=1):
    """A study in a folder; gives the folder."""
    (folder / "points" / "ab").mkdir(parents=True)
    (folder / "failed").mkdir()
    about = {"schema": schema, "behaviour": 1}
    lines = [*(f"{name} = {value}" for name, value in about.items()), f'hash = "{digest(about)}"']
    (folder / "study.toml").write_text("\n".join(lines))
    for number, result in enumerate(results):
        result.to_json(folder / "points" / "ab" / f"ab{number:03}.json")
    for number, reason in enumerate(failed):
        text = json.dumps({"schema": 1, "point": {}, "replicate": 0, "reason": reason})
        (folder / "failed" / f"cd{number}.json").write_text(text)
    if searches is not None:
        document = {"schema": 1, "searches": [{"sentence": text} for text in searches]}
        (folder / "search.json").write_text(json.dumps(document))
    return folder
