"""`python -m tests.fuzz FILE`: play what libFuzzer found, and print the calls as Python source.

Copied into a file the lines are a program of their own.
"""

import sys
from pathlib import Path

from tests.fuzz.script import HEAD, play

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.fuzz FILE...")
    for file in sys.argv[1:]:
        print(f"# {file}\n{HEAD}")
        play(Path(file).read_bytes(), trace=print)
