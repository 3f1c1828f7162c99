"""Queueing forms and special functions against scipy, brute force and the figures of the contract."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from loadgen.scenario.values import Distribution
from loadgen.theory import intervals, populations, queues, special
from loadgen.theory.populations import Life


@pytest.mark.parametrize(("places", "load"), [
    (1, 0.3), (10, 4.46), (100, 130.0), (4096, 4000.5), (28232, 30015.0), (10**6, 999_000.25),
    (10**7, 1.0001e7),
])  # fmt: skip
def test_erlang_b_is_the_poisson_distribution_cut_off(places, load):
    whole = stats.poisson.pmf(places, load) / stats.poisson.cdf(places, load)
    assert queues.erlang_b(places, load) == pytest.approx(whole, rel=1e-6)


def test_erlang_b_at_its_ends():
    assert queues.erlang_b(0, 3.0) == 1 and queues.erlang_b(5, 0.0) == 0 and queues.erlang_b(0, 0.0) == 1
    assert queues.erlang_b(10**7, 1e6) == 0 and queues.erlang_b(10**7, 2e7) == pytest.approx(0.5, abs=1e-6)


def test_erlang_b_solved_for_places_and_load():
    for load, loss in [(4.46, 0.01), (300.0, 1e-4), (30_015.0, 0.01)]:
        places = queues.servers_for(load, loss)
        assert queues.erlang_b(places, load) <= loss < queues.erlang_b(places - 1, load)
        assert queues.erlang_b(places, queues.load_for(places, loss)) == pytest.approx(loss, rel=1e-6)


def test_the_time_wait_cap_of_linux():
    """reference.md G14 and planner.md Q7."""
    assert queues.erlang_b(262_144, 4369 * 60) == pytest.approx(0.0015, abs=5e-5)
    assert queues.erlang_b(262_144, 5000 * 60) == pytest.approx(0.126, abs=5e-4)
    overflow = queues.erlang_b(262_144, 50_000 * 60)
    assert overflow == pytest.approx(0.913, abs=5e-4) and 50_000 * overflow == pytest.approx(45_600, abs=50)
    assert queues.little(50_000, 0.2) == 10_000 and queues.little(50_000, 0.04) == 2000


def stationary(transitions):
    """Of a Markov chain, by its linear equations."""
    n = len(transitions)
    equations = np.vstack([transitions.T - np.eye(n), np.ones(n)])
    return np.linalg.lstsq(equations, np.append(np.zeros(n), 1.0), rcond=None)[0]


@pytest.mark.parametrize(("workers", "places", "rho"), [(1, 5, 0.9), (1, 20, 1.3), (3, 12, 0.7), (4, 4, 2.0)])
def test_mmmk_solves_its_balance_equations(workers, places, rho):
    rate, mu = rho * workers, 1.0
    flow = np.zeros((places + 1, places + 1))
    for k in range(places):
        flow[k, k + 1], flow[k + 1, k] = rate, min(k + 1, workers) * mu
    step = np.eye(places + 1) + (flow - np.diag(flow.sum(1))) / (rate + workers + 1)
    chance = stationary(step)
    queue = queues.mmmk(workers, places, rate, 1.0)
    assert queue.refused == pytest.approx(chance[-1], rel=1e-8)
    present = sum(k * p for k, p in enumerate(chance))
    assert queue.present == pytest.approx(present, rel=1e-8)
    assert queue.busy * workers == pytest.approx(rate * (1 - queue.refused))


def test_mm1k_is_the_geometric_form():
    for rho, places in [(0.5, 3), (0.99, 512), (1.0, 16), (1.5, 40)]:
        form = (1 - rho) * rho**places / (1 - rho ** (places + 1)) if rho != 1 else 1 / (places + 1)
        assert queues.mmmk(1, places, rho, 1.0).refused == pytest.approx(form, rel=1e-9)
    assert queues.mmmk(7, 7, 5.0, 1.0).refused == pytest.approx(queues.erlang_b(7, 5.0))


@pytest.mark.parametrize(("places", "rho"), [(1, 0.7), (2, 0.8), (6, 0.5), (12, 0.95), (15, 1.0), (10, 2.5)])
def test_md1k_solves_the_chain_at_the_ends_of_service(places, rho):
    chain = np.zeros((places, places))
    for j in range(places):
        left = max(j, 1) - 1
        for k in range(places - left):
            last = left + k == places - 1
            chance = stats.poisson.sf(k - 1, rho) if last else stats.poisson.pmf(k, rho)
            chain[j, left + k] += chance
    idle = stationary(chain)[0]
    queue = queues.md1k(places, rho, 1.0)
    assert queue.refused == pytest.approx(1 - 1 / (idle + rho), rel=1e-8)
    assert queue.busy == pytest.approx(rho * (1 - queue.refused))


def test_md1_of_many_places_waits_as_pollaczek_and_khinchine_say():
    for rho in (0.3, 0.8, 0.9):
        queue = queues.md1k(400, rho, 1.0)
        assert queue.waiting == pytest.approx(rho * rho / (2 * (1 - rho)), rel=1e-6)
    assert queues.md1k(10, 1e4, 1.0).refused == pytest.approx(1 - 1e-4)


def test_the_relaxation_time_is_the_spectral_gap():
    for rate, places in [(0.9, 8), (1.0, 12), (1.4, 5)]:
        flow = np.diag([rate] * places, 1) + np.diag([1.0] * places, -1)
        eigenvalues = np.sort(np.linalg.eigvals(flow - np.diag(flow.sum(1))).real)
        assert queues.relaxation_time(places, 1.0, rate) == pytest.approx(-1 / eigenvalues[-2])


def test_planner_q1_a_stalled_accept_queue():
    assert special.poisson_tail(240, 513) < 1e-50
    assert queues.places_for_stall(3000, 0.25, 1e-3) == 836
    for places in (836, 512, 40):
        rate = 750.0 if places == 836 else places * 0.9
        assert queues.stall_loss(places, rate, 1.0) == pytest.approx(stats.poisson.sf(places, rate), rel=1e-9)


def test_planner_q2_stalls_and_the_mean_service_time():
    stalls = [queues.stall_for(places, 3000, 1e-3) for places in (512, 1024, 2048, 4096)]
    assert [round(1000 * stall) for stall in stalls] == [149, 310, 637, 1301]     # the mock-up cuts 148.6 off
    service = queues.service_for(512, 3000, 1e-4)
    assert service == pytest.approx(330e-6, abs=1e-6) and service * 3000 == pytest.approx(0.991, abs=1e-3)
    assert queues.relaxation_time(512, service) == pytest.approx(8.8, abs=0.05)


def test_planner_q10_the_knee():
    assert queues.rate_for(512, 100e-6, 1e-3) == pytest.approx(9976, abs=1)
    assert queues.relaxation_time(512, 100e-6) == pytest.approx(2.7, abs=0.05)


# -- populations

STAYS = {
    "const": (Distribution("const", 0.3e9), None),
    "exp": (Distribution("exp", 0.3e9), stats.expon(scale=0.3)),
    "lognormal": (Distribution("lognormal", 0.3e9, 1.0), stats.lognorm(1.0, scale=0.3 * math.exp(-0.5))),
    "normal": (Distribution("normal", 0.3e9, 0.2e9), stats.norm(0.3, 0.2)),
    "uniform": (Distribution("uniform", 0.1e9, 0.5e9), stats.uniform(0.1, 0.4)),
}
SHAPE = [(0.0, 10.0), (2.0, 30.0), (2.5, 5.0), (4.0, 5.0)]


def rate_at(u):
    return np.interp(u, [at for at, _ in SHAPE], [rate for _, rate in SHAPE])


@pytest.mark.parametrize("at", [0.25, 1.9, 2.2, 3.3, 7.0])
@pytest.mark.parametrize(("least", "plus"), [(0.0, 0.0), (0.2, 0.1)])
@pytest.mark.parametrize("name", STAYS)
def test_a_population_is_the_integral_of_who_is_still_there(name, least, plus, at):
    given, exact = STAYS[name]

    def stays(x):
        x -= plus
        if x < max(least, 0.0):
            return 1.0
        return float(x < 0.3) if exact is None else exact.sf(x)

    kinks = [0.0, 2.0, 2.5, 4.0] + [at - plus - x for x in (0.0, least, 0.1, 0.3, 0.5)]
    edges = sorted({0.0, at, *(kink for kink in kinks if 0 < kink < at)})
    whole = sum(integrate.quad(lambda u: rate_at(u) * stays(at - u), a, b, epsabs=1e-9)[0]
                for a, b in zip(edges, edges[1:], strict=False))
    life = Life(given, least, plus)
    assert populations.present(SHAPE, life, at) == pytest.approx(whole, abs=1e-6)
    mean = sum(integrate.quad(stays, a, b)[0] for a, b in
               [(0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (0.6, 5), (5, 500)])
    assert life.mean == pytest.approx(mean, abs=1e-6)
    assert life.beyond(0.45) == pytest.approx(stays(0.45), abs=1e-4)


def test_a_trace_is_the_average_of_its_samples():
    trace = Life(Distribution("trace", samples=(100_000_000, 700_000_000)))
    parts = [Life(Distribution("const", 0.1e9)), Life(Distribution("const", 0.7e9))]
    for at in (0.05, 0.5, 3.0):
        half = sum(populations.present(SHAPE, part, at) for part in parts) / 2
        assert populations.present(SHAPE, trace, at) == pytest.approx(half)


def test_the_steady_state_is_littles():
    life = Life(Distribution("exp", 0.5e9))
    assert populations.present([(0.0, 40.0)], life, 50.0) == pytest.approx(queues.little(40, 0.5))
    assert populations.in_next_stage([(0.0, 40.0)], life, 3.0, 50.0) == pytest.approx(120)
    assert queues.mg_infinity(40, 0.5) == (20, 20)


def test_the_variance_of_an_average_is_that_of_simulated_populations():
    """M/D/infinity on a grid: 4,000 averages of five moments, one after the other."""
    rng = np.random.default_rng(7)
    arrivals = rng.poisson(50 * 0.1, size=(4000, 60))             # per 0.1 s; a stay is 2 s
    present = np.cumsum(arrivals, axis=1)
    present[:, 20:] -= present[:, :-20].copy()
    averages = present[:, 20:60:8].mean(axis=1)
    life = Life(Distribution("const", 2e9))
    expected = populations.variance_of_average(50.0, life, [0.8 * k for k in range(5)])
    assert intervals.of_variance(float(averages.var(ddof=1)), 3999, 0.999).low < expected
    assert intervals.of_variance(float(averages.var(ddof=1)), 3999, 0.999).high > expected


# -- special functions and intervals


@pytest.mark.parametrize("mean", [0.3, 7.0, 99.5, 1e4, 1e6])
def test_poisson_against_scipy(mean):
    for apart in (-6, -2, 0, 1, 5, 12):
        count = math.floor(mean + apart * math.sqrt(mean))
        close = 1e-8 if mean < 1e5 else 1e-5                      # scipy's own error, see below
        below = stats.poisson.cdf(count, mean)
        assert special.poisson_cdf(mean, count) == pytest.approx(below, rel=close, abs=0)
        tail = stats.poisson.sf(count, mean)
        assert special.poisson_tail(mean, count + 1) == pytest.approx(tail, rel=close, abs=1e-290)


def test_the_poisson_tail_of_a_million_summed_with_forty_digits():
    """Where scipy 1.17 has 2.91888e-7."""
    assert special.poisson_tail(1e6, 1_005_001) == pytest.approx(2.918892467003026878e-7, rel=1e-12)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9998])
def test_quantiles_against_scipy(confidence):
    tail = (1 + confidence) / 2
    assert special.normal_quantile(confidence) == pytest.approx(stats.norm.ppf(tail), rel=1e-9)
    assert special.normal_cdf(1.3) == pytest.approx(stats.norm.cdf(1.3))
    for dof in (1, 3, 40, 2000):
        assert special.student_t(confidence, dof) == pytest.approx(stats.t.ppf(tail, dof), rel=1e-7)
        assert special.chi_squared(tail, dof) == pytest.approx(stats.chi2.ppf(tail, dof), rel=1e-7)
        assert special.chi_squared(1 - tail, dof) == pytest.approx(stats.chi2.ppf(1 - tail, dof), rel=1e-6)


def test_counts_against_scipy():
    for hits, trials in [(0, 9), (3, 50), (40, 41), (700, 10_000)]:
        found = intervals.of_counts(hits, trials, 0.95)
        exact = stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_a_mean_of_known_variance():
    found = intervals.of_spread(10.0, 4.0, 0.95)
    assert (found.low, found.high) == pytest.approx(stats.norm(10, 2).interval(0.95))
    with pytest.raises(ValueError, match="dof: expected 1 or more, got 0"):
        intervals.of_variance(1.0, 0)
