"""The event loop: plays a scenario on engines and says what became of each connection."""

from loadgen.sim.run import simulate as simulate
