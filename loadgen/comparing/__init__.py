"""Two results, or two studies, set against each other: what differs, what moved, whether one is worse."""
