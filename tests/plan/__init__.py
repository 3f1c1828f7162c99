"""The planner: its answers, and the page that shows them."""
