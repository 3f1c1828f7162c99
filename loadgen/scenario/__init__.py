"""What is simulated: hosts, loads, floods, link and events, as values that print and parse.

    toml -> schema -> tables -> readers -> numbers, values, traces      a file, key by key
    check      what the entries must be together        hosts    each side's Config and the limits
    paths      `-o PATH=VALUE`                          presets  handshake, close, churn, flood

`model` is what all of it is about; the simulator, the theory and the report read that alone.
"""

from loadgen.scenario.errors import ScenarioError

__all__ = ["ScenarioError"]
