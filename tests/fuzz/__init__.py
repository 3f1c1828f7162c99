"""The corpus of the fuzzer, and how large it may be."""

from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
MOST_FILES, MOST_BYTES = 200, 100_000
