"""What is simulated: hosts, loads, floods, link and events, as values that print and parse."""
