"""The corpus of `make fuzz` on the build that is there: each script runs, and what is printed of it.

It holds the inputs that reach more of the engine than the others do, and each that once found a fault.
"""

from tests.fuzz import CORPUS, MOST_BYTES, MOST_FILES
from tests.fuzz.script import HEAD, play

FILES = sorted(CORPUS.glob("*.bin"))


def failures(run):
    """The files on which `run` raises, and what."""
    found = []
    for file in FILES:
        try:
            run(file.read_bytes())
        except Exception as error:
            found.append(f"{file.name}: {type(error).__name__}: {error}")
    return found


def test_the_corpus_finds_nothing():
    assert len(FILES) > 50
    found = failures(play)
    assert not found, "\n".join(found)


def test_what_is_printed_is_a_program():
    def run(data):
        lines = [HEAD]
        play(data, lines.append)
        exec(compile("\n".join(lines), "script", "exec"), {})

    found = failures(run)
    assert not found, "\n".join(found)


def test_the_corpus_is_small():
    assert len(FILES) <= MOST_FILES
    assert sum(file.stat().st_size for file in FILES) <= MOST_BYTES
