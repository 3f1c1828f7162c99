"""The interpreter against the recording: played back it agrees, disturbed where it matters it does not."""

import copy
import json

import pytest

from tests.corpus.interpreter import CORPUS, SPACE, Incarnation, NotACorpus, compare, execute, load

SCENARIOS = {scenario["name"]: scenario for scenario in CORPUS["scenarios"]}

#: The stack's ISNs, which no recording fixes: in the middle, and where the numbers wrap.
ORIGINS = (0x5000_0000, SPACE - 1)


class Playback:
    """A target that has heard the recording: it answers every step as recorded, from ISNs of its own."""

    def __init__(self, scenario, origin):
        steps = scenario["steps"]
        self.lives = {label: Incarnation(label, (spec["src"], spec["sport"], spec["dport"]), spec["isn"],
                                         origin + 0x1000_0000 * number)
                      for number, (label, spec) in enumerate(scenario["conns"].items())}
        self.results = iter([step["result"] for step in steps if "call" in step])
        self.expected = iter([step["expect"] for step in steps if "within" in step])
        self.states = iter([state for step in steps for state in step.get("state", {}).values()])
        self.queues = iter([queue for step in steps for queue in step.get("queue", {}).values()])
        self.clock = 5000
        self.injected, self.adopted = [], []

    def inject(self, seg):
        self.injected.append(seg)

    def call(self, name, args, flow):
        result = next(self.results)
        return (f"socket of {result}", self.lives[result].flow) if result in self.lives else result

    def adopt(self, label, handle):
        self.adopted.append((label, handle))

    def state(self, flow):
        return next(self.states)

    def queue(self, port):
        return next(self.queues)

    def run_until(self, t):
        return [self.absolute(said) for said in next(self.expected)]

    def absolute(self, said):
        life = self.lives[said["conn"]]
        if "isn_from" in said:
            label, number = said["isn_from"].split()
            life.iss = self.lives[label].absolute(number)
        src, sport, dport = life.flow
        seg = {**said, "src": src, "sport": sport, "dport": dport,
               "seq": life.absolute(said["seq"]), "ack": life.absolute(said["ack"])}
        if "ts" in said.get("opts", ()):
            self.clock += 1
            seg["opts"] = said["opts"] | {"ts": [self.clock, said["opts"]["ts"][1]]}
        return seg


@pytest.mark.parametrize("origin", ORIGINS, ids=hex)
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_recording_agrees_with_itself(name, origin):
    scenario = SCENARIOS[name]
    played = execute(scenario, Playback(scenario, origin))
    assert compare(scenario["steps"], played) == []
    assert [step["t"] for step in played] == [step["t"] for step in scenario["steps"]]
    assert [step.get("expect") for step in played] == [step.get("expect") for step in scenario["steps"]]


def played_back(name):
    scenario = SCENARIOS[name]
    return scenario["steps"], copy.deepcopy(execute(scenario, Playback(scenario, ORIGINS[1])))


def sent(steps):
    return [seg for step in steps for seg in step.get("expect", ())]


DISTURBANCES = {
    "flag lost": ("passive_open", lambda steps: sent(steps)[0].update(flags="S")),
    "flag gained": ("passive_open", lambda steps: sent(steps)[0].update(flags="SAE")),
    "another number": ("close_active_client", lambda steps: sent(steps)[1].update(seq="L+2")),
    "another acknowledgement": ("passive_open", lambda steps: sent(steps)[0].update(ack="R+2")),
    "another length": ("abort_unacked_data", lambda steps: sent(steps)[1].update(len=99)),
    "another connection": ("close_active_client", lambda steps: sent(steps)[1].update(conn="c2")),
    "segment missing": ("passive_open", lambda steps: steps[3]["expect"].clear()),
    "segment in silence": ("passive_open", lambda steps: steps[8]["expect"].append(sent(steps)[0])),
    "order of one connection": ("syn_sent_synack_wrong_high", lambda steps: steps[3]["expect"].reverse()),
    "window shut": ("passive_open", lambda steps: sent(steps)[0].update(wnd=0)),
    "window opened": ("established_receive_buffer_full", lambda steps: sent(steps)[10].update(wnd=1)),
    "timestamp not echoed": ("time_wait_ts_old_fin",
                             lambda steps: sent(steps)[1]["opts"].update(ts=["T", 0])),
    "another result": ("passive_open", lambda steps: steps[1].update(result="ok")),
    "another count": ("established_data", lambda steps: steps[-1].update(result=149)),
    "another state": ("passive_open", lambda steps: steps[4]["state"].update(c1="LISTEN")),
    "another queue": ("passive_open", lambda steps: steps[5]["queue"]["l1"].update(syn=0)),
    "timer late": ("synack_schedule_3", lambda steps: sent(steps)[1].update(t=sent(steps)[1]["t"] + 0.3)),
    "timer early": ("synack_schedule_3", lambda steps: sent(steps)[1].update(t=sent(steps)[1]["t"] - 0.3)),
    "answer late": ("passive_open", lambda steps: sent(steps)[0].update(t=0.08)),
}

TOLERATED = {
    "push": ("abort_unacked_data", lambda steps: sent(steps)[1].update(flags="A")),
    "letters in another order": ("close_active_client", lambda steps: sent(steps)[2].update(flags="AF")),
    "size of an open window": ("passive_open", lambda steps: sent(steps)[0].update(wnd=1)),
    "window of a RST": ("close_unread_data", lambda steps: sent(steps)[-1].update(wnd=0)),
    "options of a SYN": ("passive_open", lambda steps: sent(steps)[0]["opts"].update(mss=536)),
    "30 ms": ("passive_open", lambda steps: sent(steps)[0].update(t=0.03)),
    "a timer wheel": ("synack_schedule_3", lambda steps: sent(steps)[2].update(t=sent(steps)[2]["t"] * 1.05)),
    "a delayed acknowledgement": ("established_receive_buffer_full",
                                  lambda steps: sent(steps)[-2].update(t=2.5)),
}


@pytest.mark.parametrize("name, disturb", DISTURBANCES.values(), ids=DISTURBANCES)
def test_a_disturbed_replay_is_found(name, disturb):
    recorded, played = played_back(name)
    disturb(played)
    assert compare(recorded, played)


@pytest.mark.parametrize("name, change", TOLERATED.values(), ids=TOLERATED)
def test_what_the_recording_machine_adds_is_tolerated(name, change):
    recorded, played = played_back(name)
    before = copy.deepcopy(played)
    change(played)
    assert played != before and compare(recorded, played) == []


def test_order_between_connections_is_free():
    def seg(label):
        return {"t": 1.0, "conn": label, "flags": "SA", "seq": "L+0", "ack": "R+1", "len": 0, "wnd": 1}

    def step(*labels):
        return {"t": 0.0, "within": 1, "expect": [seg(label) for label in labels]}

    assert compare([step("c1", "c2")], [step("c2", "c1")]) == []


def ack(number, **fields):
    return {"t": 0.0, "conn": "c1", "flags": "A", "seq": "L+1", "ack": number, "len": 0, "wnd": 1, **fields}


def one_step(*segs):
    return [{"t": 0.0, "within": 1, "expect": list(segs)}]


def test_of_several_acknowledgements_the_last_counts():
    delayed, prompt = one_step(ack("R+201")), one_step(ack("R+101"), ack("R+201"))
    assert compare(delayed, prompt) == compare(prompt, delayed) == []
    assert compare(delayed, one_step(ack("R+101")))


@pytest.mark.parametrize("other", [
    one_step(ack("R+101")),
    one_step(ack("R+101"), ack("R+101"), ack("R+101")),
    one_step(ack("R+101", len=5), ack("R+101")),
], ids=["fewer", "more", "text"])
def test_repeated_acknowledgements_are_counted(other):
    assert compare(one_step(ack("R+101"), ack("R+101")), other)


def test_text_and_a_fin_outdo_an_acknowledgement_but_no_text():
    assert compare(one_step(ack("R+2", len=10)), one_step(ack("R+1"), ack("R+2", len=10))) == []
    assert compare(one_step(ack("R+2")), one_step(ack("R+1", len=10), ack("R+2")))


def survivors(*labels):
    left = {label: "SYN_RCVD" if label in labels else "CLOSED" for label in ("c1", "c2", "c3")}
    return [{"t": 0.0, "within": 1, "expect": [ack("R+1", conn=label, flags="SA") for label in labels]},
            {"t": 1.0, "state": left}, {"t": 1.0, "queue": {"l1": {"syn": len(labels), "accept": 0}}}]


def test_where_entries_expire_together_only_their_number_counts():
    name = "syn_queue_prune_b16"
    assert compare(survivors("c1", "c2"), survivors("c2", "c3"), name) == []
    assert compare(survivors("c1", "c2"), survivors("c2", "c3"))
    assert compare(survivors("c1", "c2"), survivors("c3"), name)


def test_a_shorter_replay_is_an_error():
    recorded, played = played_back("passive_open")
    with pytest.raises(ValueError):
        compare(recorded, played[:-1])


def test_stimuli_are_numbered_from_both_isns():
    scenario = SCENARIOS["passive_open"]
    target = Playback(scenario, SPACE - 1)
    execute(scenario, target)
    syn, ack = target.injected
    assert (syn["seq"], syn["ack"]) == (1000, 0)
    assert (ack["seq"], ack["ack"]) == (1001, 0)
    assert target.adopted == [("c1", "socket of c1")]


def test_the_latest_timestamp_is_echoed():
    scenario = SCENARIOS["ts_synack_wrong_ecr"]
    target = Playback(scenario, ORIGINS[0])
    execute(scenario, target)
    assert [seg["opts"]["ts"] for seg in target.injected] == [[100000, 12345], [100000, 5001]]


def test_a_number_the_stack_derived_from_the_previous_life_is_told():
    played = execute(SCENARIOS["time_wait_syn_plus1"], Playback(SCENARIOS["time_wait_syn_plus1"], ORIGINS[1]))
    assert [seg["isn_from"] for seg in sent(played) if "isn_from" in seg] == ["c1 L+65539"]


def test_a_segment_of_nobody_is_told_as_such():
    class Stray(Playback):
        def run_until(self, t):
            return [seg | {"sport": 9} for seg in super().run_until(t)]

    scenario = SCENARIOS["passive_open"]
    played = execute(scenario, Stray(scenario, ORIGINS[0]))
    assert sent(played)[0]["conn"] is None
    assert compare(scenario["steps"], played)


def spoiled(change):
    corpus = {"about": CORPUS["about"], "scenarios": copy.deepcopy(CORPUS["scenarios"][:2])}
    return json.dumps(change(corpus) or corpus)


def first_segment(corpus):
    return next(step["in"] for step in corpus["scenarios"][0]["steps"] if "in" in step)


NOT_CORPORA = {
    "net.ipv4.tcp_sack = 1": "not JSON",
    "[]": "expected an object, got list",
    "{}": "about: expected an object with base_sysctl",
    spoiled(lambda corpus: corpus.update(scenarios=[])): "scenarios: expected a list",
    spoiled(lambda corpus: corpus["scenarios"][1].pop("name") and None): "expected an object with a name",
    spoiled(lambda corpus: corpus["scenarios"].append(corpus["scenarios"][0])): "a second one of this name",
    spoiled(lambda corpus: corpus["scenarios"][0].pop("steps") and None): "expected steps, a list",
    spoiled(lambda corpus: corpus["scenarios"][0]["steps"].insert(0, {"t": 0})): "step 0: expected a time t",
    spoiled(lambda corpus: first_segment(corpus).pop("seq") and None): "the segment lacks seq",
    spoiled(lambda corpus: first_segment(corpus).update(conn="c9")): "no connection 'c9'",
}


@pytest.mark.parametrize("text, words", NOT_CORPORA.items(), ids=NOT_CORPORA.values())
def test_a_file_that_is_no_corpus_is_refused_in_words(tmp_path, text, words):
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(NotACorpus) as told:
        load(path)
    assert str(told.value).startswith(f"{path}: ") and words in str(told.value)


def test_a_corpus_that_is_not_there(tmp_path):
    with pytest.raises(NotACorpus, match="cannot be read: No such file"):
        load(tmp_path / "none.json")
