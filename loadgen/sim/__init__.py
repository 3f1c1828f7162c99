"""The event loop: plays a scenario on engines and says what became of each connection."""
