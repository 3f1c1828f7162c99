"""The transition table as the engine has it, printed; ``python -m tests.golden`` writes it again."""
