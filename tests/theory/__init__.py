"""The queues against closed forms: `simulate` runs the engine, `grid` compares, `python -m tests.theory`
tells."""
