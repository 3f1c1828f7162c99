"""The recorded kernel's scenarios, replayed through the engine and through the reference implementation."""

from fnmatch import fnmatch

import pytest

from tcpcore import Engine
from tests.corpus.adapter import Host, configuration, without_counterpart
from tests.corpus.interpreter import CORPUS, compare, execute
from tests.reference.engine import ReferenceEngine

#: Scenarios not replayed through the engine, by name or pattern, and why. None.
EXCLUDED = {}
#: What the reference engine leaves out: cookies are keyed and have their own (tests/components).
REFERENCE_LACKS = {
    "cookie_accepted_*": "the reference reads no cookies",
    "cookie_wrong_*": "the reference reads no cookies",
    "cookie_valid_*": "the reference reads no cookies",
}

NAMES = [scenario["name"] for scenario in CORPUS["scenarios"]]


@pytest.mark.parametrize("stack", [Engine, ReferenceEngine], ids=["engine", "reference"])
@pytest.mark.parametrize("scenario", CORPUS["scenarios"], ids=NAMES)
def test_answers_as_recorded(scenario, stack):
    for pattern, reason in (EXCLUDED if stack is Engine else EXCLUDED | REFERENCE_LACKS).items():
        if fnmatch(scenario["name"], pattern):
            pytest.skip(reason)
    if unknown := without_counterpart(scenario):
        pytest.skip(f"no knob for {', '.join(unknown)}")
    host = Host(stack(configuration(CORPUS["about"]["base_sysctl"], scenario["sysctl"])))
    played = execute(scenario, host)
    assert compare(scenario["steps"], played, scenario["name"]) == []
    assert host.stack.check() == []


@pytest.mark.parametrize("pattern", EXCLUDED | REFERENCE_LACKS)
def test_every_exclusion_excludes_something(pattern):
    assert any(fnmatch(name, pattern) for name in NAMES)
