"""The engine's automaton, learned as a black box, held against the twin's and against RFC 9293's figure 5."""
