"""What the hosts of a scenario are: each side's Config, who set each knob, and which limits act.

Each wins over the one before it: the profile, the kernel, the sysctl file, the scenario's knobs. The sizes of
queues are asked of an engine and never computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadgen.host import caches, folder
from loadgen.host.caches import Cost
from loadgen.host.folder import HostFiles
from loadgen.scenario import knobs
from loadgen.scenario.check import check, read_knob
from loadgen.scenario.errors import Mistake, ScenarioError
from loadgen.scenario.model import WORKLOAD, Client, Event, Scenario, Server
from loadgen.scenario.traces import read_text
from tcpcore import Config, Engine

_PROFILES: Final[Mapping[str, Callable[..., Config]]] = {
    "linux": Config.linux,
    "freebsd": Config.freebsd,
    "strict": Config.strict,
}
DEFAULT: Final = "default"
LISTEN: Final = "listen()"  # the origin of a backlog


@dataclass(frozen=True)
class Resolved:
    """Both ends as engines take them, and what is to be said of them.

    server, client : Config
        Without capacity, seed and addresses, which are the simulation's.
    limits : list of {name, value, set_by, from, shadowed}
        Places of the queues, ports and TIME_WAIT, the knob or call that sets each, where its value is from,
        and what would act otherwise: a sentence each.
    not_modelled, warnings : list of str
        Settings of the sysctl files that matter and are not modelled; what was concluded from them.
    origins : side -> knob -> `default`, `profile NAME`, `kernel VERSION`, `sysctl FILE` or `knobs`
    measured : HostFiles or None
        What the server's host counted, where the scenario names its files.
    """

    server: Config
    client: Config
    limits: list[dict[str, Any]]
    not_modelled: list[str]
    warnings: list[str]
    origins: Mapping[str, Mapping[str, str]]
    measured: HostFiles | None = None


def resolve(scenario: Scenario) -> Resolved:
    """The hosts of a scenario. Raises ScenarioError, also for what `check` finds."""
    check(scenario)
    for number, load in enumerate(scenario.load):
        if load.arrivals == WORKLOAD:
            raise ScenarioError(
                f"load.{number}.arrivals: a workload is a function of a program: loadgen.run(workload=...)"
            )
    not_modelled: list[str] = []
    warnings: list[str] = []
    server, from_server = _host(scenario.server, "server", not_modelled, warnings)
    client, from_client = _host(scenario.client, "client", not_modelled, warnings)
    origins = {"server": from_server, "client": from_client}
    limits = [*_queues(scenario, server), *_others(server, client)]
    for limit in limits:
        limit["from"] = _from(limit, origins)
    _require_ports(scenario, client)
    changes(scenario, server, client)
    kernel_bytes(scenario)
    return Resolved(server, client, limits, not_modelled, warnings, origins, measured(scenario))


def measured(scenario: Scenario) -> HostFiles | None:
    """What the server's host counted. Raises ScenarioError."""
    if scenario.server.measured is None:
        return None
    try:
        return folder.read(scenario.server.measured)
    except Mistake as error:
        raise ScenarioError(f"server.measured: {error}") from None


def kernel_bytes(scenario: Scenario) -> dict[str, Cost] | None:
    """Kind of entry -> bytes by the file of the server's host, None without one. Raises ScenarioError."""
    name = scenario.server.bytes
    if name is None:
        return None
    try:
        return caches.costs(folder.caches_of(name), name)
    except Mistake as error:
        raise ScenarioError(f"server.bytes: {error}") from None


def config(end: Server | Client, side: str) -> Config:
    """The Config of one end. Raises ScenarioError."""
    return _host(end, side, [], [])[0]


def _host(
    end: Server | Client, side: str, not_modelled: list[str], warnings: list[str]
) -> tuple[Config, dict[str, str]]:
    """The Config of an end, and who set each knob."""
    found = profile(end.profile, side)
    standard = Config.linux()
    origins = {
        name: DEFAULT if getattr(found, name) == getattr(standard, name) else f"profile {end.profile}"
        for name in knobs.DECLARED
    }
    by_kernel, known = f"kernel {end.kernel}", set[str]()
    if end.kernel is not None:
        host = _kernel(end.kernel, side)
        found = found.replace(**{name: getattr(host, name) for name in host.sysctl_implied})
        origins |= dict.fromkeys(host.sysctl_implied, by_kernel)
        warnings += _older(host, end, side)
        known.update(host.sysctl_notes)
    if end.sysctl is not None:
        host = sysctl(end.sysctl, side, end.kernel)
        named = (*host.sysctl_implied, *host.sysctl_taken)
        found = found.replace(**{name: getattr(host, name) for name in named})
        origins |= dict.fromkeys(named, f"sysctl {end.sysctl}")
        origins |= dict.fromkeys(host.sysctl_implied if end.kernel else (), by_kernel)
        not_modelled += [f"{side}: {name}" for name in host.sysctl_unmodelled]
        warnings += [f"{side}: {end.sysctl}: {note}" for note in host.sysctl_notes if note not in known]
    origins |= dict.fromkeys(end.knobs, "knobs")
    try:
        return found.replace(**end.knobs), origins
    except (TypeError, ValueError, OverflowError) as error:
        raise ScenarioError(f"{side}.knobs: {error}") from None


def changed(event: Event) -> dict[str, dict[str, Any]]:
    """The knob that an event changes, with its value, by end."""
    side, name, value = read_knob(event.knob)
    return {end: {name: value} for end in (knobs.SERVER, knobs.CLIENT) if side in (end, knobs.BOTH)}


def changes(scenario: Scenario, server: Config, client: Config) -> dict[str, list[Config]]:
    """The Configs that each end has, one after the other, by the scenario's events.

    An engine is asked whether a host may make each of these changes. Raises ScenarioError.
    """
    found = {knobs.SERVER: [server], knobs.CLIENT: [client]}
    engines = {end: Engine(configs[0].replace(capacity=1)) for end, configs in found.items()}
    for number, event in sorted(enumerate(scenario.event), key=lambda one: one[1].at_ns):
        if event.do != "knob":
            continue
        try:
            for end, values in changed(event).items():
                engines[end].set_knobs(**values)
                found[end].append(found[end][-1].replace(**values))
        except (Mistake, TypeError, ValueError, OverflowError) as error:
            raise ScenarioError(f"event.{number}.do: {error}") from None
    return found


def profile(name: str, side: str = "profile") -> Config:
    """The profile of that name, or of a TOML file with the knobs that it sets. Raises ScenarioError."""
    if name in _PROFILES:
        return _PROFILES[name]()
    try:
        text = read_text(name)
        return Config.from_toml(text + "\n")
    except (Mistake, TypeError, ValueError, OverflowError) as error:
        message = str(error) if isinstance(error, Mistake) else f"{name}: {error}"
        raise ScenarioError(f"{side}.profile: {message}") from None


def _kernel(version: str, side: str) -> Config:
    """A Linux of that version. Raises ScenarioError."""
    try:
        return Config.linux(version)
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"{side}.{error}") from None


def _older(host: Config, end: Server | Client, side: str) -> list[str]:
    """Which rules the version of its kernel changes, in one line, and those that it does not model."""
    acts = [name for name in knobs.known(side) if name in host.sysctl_implied and name not in end.knobs]
    rules = ", ".join(f"{name} = {knobs.plain(getattr(host, name))}" for name in acts)
    found = [f"{side}: kernel {end.kernel} does otherwise than 6.18: {rules}"] if rules else []
    return found + [f"{side}: {note}" for note in host.sysctl_notes if ": not modelled: " in note]


def sysctl(name: str, side: str = "sysctl", kernel: str | None = None) -> Config:
    """A host by its own `sysctl -a`, of that `kernel` whatever the text says. Raises ScenarioError."""
    try:
        text = read_text(name)
        return Config.from_sysctl(text if kernel is None else f"{text}\nkernel.osrelease = {kernel}\n")
    except (Mistake, TypeError, ValueError, OverflowError) as error:
        message = str(error) if isinstance(error, Mistake) else f"{name}: {error}"
        raise ScenarioError(f"{side}.sysctl: {message}") from None


# -- limits --------------------------------------------------------------------------------------


def _queues(scenario: Scenario, server: Config) -> Iterator[dict[str, Any]]:
    """The two queues of a listener, as an engine has them."""
    listen = scenario.server.listen
    engine = Engine(server.replace(capacity=1))
    room = engine.room(engine.listen(listen.addr, listen.port, listen.backlog))
    accept_by, half_open_by = str(room["accept_set_by"]), str(room["half_open_set_by"])
    if listen.backlog is None:
        accept_by = "somaxconn" if accept_by == "backlog" else accept_by
        half_open_by = "somaxconn" if half_open_by == "backlog" else half_open_by
    beside = []
    if listen.backlog is not None and accept_by == "backlog":
        beside.append(f"somaxconn {server.somaxconn}: listen() asks for {listen.backlog}")
    if listen.backlog is not None and accept_by == "somaxconn":
        beside.append(f"backlog {listen.backlog}: somaxconn caps it at {server.somaxconn}")
    yield _limit("accept_queue", int(room["accept_max"]), accept_by, beside)
    yield _limit(
        "half_open", int(room["half_open_max"]), half_open_by, [*beside, *_syn_backlog(server, half_open_by)]
    )


def _syn_backlog(server: Config, set_by: str) -> list[str]:
    """Why tcp_max_syn_backlog does not act, where it does not."""
    if set_by == "tcp_max_syn_backlog":
        return []
    said = f"tcp_max_syn_backlog {server.tcp_max_syn_backlog}"
    if server.synq_policy != "linux":
        return [f"{said}: acts only with synq_policy=linux"]
    if server.tcp_syncookies:
        return [f"{said}: acts only with tcp_syncookies=0"]
    return [f"{said}: {set_by} leaves fewer places"]


def _others(server: Config, client: Config) -> Iterator[dict[str, Any]]:
    low, high = client.ip_local_port_range
    kept = [f"ip_local_reserved_ports: keeps {high - low + 1 - client.ports():,} of them"]
    yield _limit("ports", client.ports(), "ip_local_port_range", kept if client.reserved_ranges() else [])
    for side, config in (("server", server), ("client", client)):
        yield _limit(f"time_wait.{side}", config.tcp_max_tw_buckets, "tcp_max_tw_buckets", [])
    told = f"tcp_fin_timeout {server.tcp_fin_timeout}: bounds FIN_WAIT_2 without an application"
    yield _limit("time_wait_ms", server.time_wait_ms, "time_wait_ms", [told])


def _from(limit: Mapping[str, Any], origins: Mapping[str, Mapping[str, str]]) -> str:
    """Where the value of what sets a limit is from."""
    side = knobs.CLIENT if limit["name"] in ("ports", "time_wait.client") else knobs.SERVER
    return origins[side].get(limit["set_by"], LISTEN)


def _limit(name: str, value: int, set_by: str, shadowed: list[str]) -> dict[str, Any]:
    return {"name": name, "value": value, "set_by": set_by, "shadowed": shadowed}


def _require_ports(scenario: Scenario, client: Config) -> None:
    """Refuse more users of closed loops than there are ports."""
    hosts, destinations = scenario.client.hosts, scenario.client.destinations
    ports = client.ports() * hosts * destinations
    users = sum(load.concurrency for load in scenario.load)
    if users > ports:
        raise ScenarioError(
            f"load.concurrency: expected at most {ports:,} users, got {users:,}: {hosts:,} client hosts have "
            f"{client.ports():,} ports each towards each of {destinations:,} destinations"
        )
