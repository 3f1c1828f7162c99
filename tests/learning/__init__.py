"""The engine's automaton, learned as a black box, against the reference's and RFC 9293's figure 5."""
