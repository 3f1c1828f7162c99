"""A preset played from Python, with the document that its command would write."""

import json

from loadgen.api import replicates_of, result_of
from loadgen.replicates import play
from loadgen.scenario import presets

MS = 1_000_000
S = 1000 * MS


def scenario_of(kind, **options):
    """The preset's scenario; `o` are dotted paths."""
    return presets.preset(kind, {**options.pop("o", {}), **options})


def document_of(scenario, kind):
    """Play it and give the JSON document without what depends on the clock."""
    outcomes = play(replicates_of(scenario)).outcomes
    document = json.loads(result_of(scenario, outcomes, kind=kind).to_text_json())
    del document["wall"]
    return document


def played(kind, **options):
    return document_of(scenario_of(kind, **options), kind)


def engines_sound(scenario, replicate=0):
    """What is wrong with the engines at the end of a replicate: nothing, or lines of check()."""
    from loadgen.scenario import hosts
    from loadgen.sim.build import build
    from loadgen.sim.run import Replay

    plan = build(
        scenario, hosts.config(scenario.server, "server"), hosts.config(scenario.client, "client"), replicate
    )
    Replay(scenario, plan, None, None).play()
    wrong = []
    for engine in (*plan.servers, *plan.clients):
        wrong += engine.check()
        alive, gauges = int(engine.state_counts()[2:].sum()), engine.gauges()
        if alive + gauges["held_dead"] != gauges["blocks_used"]:
            wrong.append(f"{alive} alive, {gauges['held_dead']} dead, {gauges['blocks_used']} blocks")
        ended = ("Established", "Evicted", "Expired", "Reset", "Aborted", "ListenerClosed")
        entries = sum(engine.counters[f"SynQueue{end}"] for end in ended) + gauges["half_open"]
        if engine.counters["SynQueueAdded"] != entries:
            wrong.append(
                f"{engine.counters['SynQueueAdded']} half-open entries made, {entries} accounted for"
            )
    return wrong
