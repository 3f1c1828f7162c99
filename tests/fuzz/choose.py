"""The corpus out of many inputs: `make fuzz-corpus` plays them, longest first, and keeps what reaches most.

An edge is one of the control flow; how many an input adds to those before it is what libFuzzer's own merging
writes down. Those that add most stay, as many as `MOST_FILES` and `MOST_BYTES` allow. Each is named by its
content; those named found-* once showed a fault and stay whatever they add.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import CORPUS, MOST_BYTES, MOST_FILES


def edges_added(files, command):
    """How many edges of the control flow each file reaches that no file before it does."""
    with tempfile.TemporaryDirectory() as folder:
        control = Path(folder, "control")
        control.write_text("\n".join([str(len(files)), "0", *map(str, files)]) + "\n")
        subprocess.run([*command, "-merge_inner=1", f"-merge_control_file={control}"], check=True)
        lines = [line.split() for line in control.read_text().splitlines()[len(files) + 2:]]
    return {files[int(line[1])]: len(line) - 2 for line in lines if line[0] == "COV"}


def main():
    where = sys.argv.index("--")
    folders, command = [CORPUS, *map(Path, sys.argv[1:where])], sys.argv[where + 1:]
    contents = {file.resolve(): file.read_bytes() for folder in folders for file in folder.iterdir()}
    files = sorted(contents, key=lambda file: (-len(contents[file]), contents[file]))
    added = edges_added(files, command)
    kept = [file for file in files if file.name.startswith("found-")]
    room = MOST_BYTES - sum(len(contents[file]) for file in kept)
    for file in sorted(files, key=lambda file: (-added.get(file, 0), len(contents[file]))):
        if file not in kept and added.get(file) and len(kept) < MOST_FILES and len(contents[file]) <= room:
            kept.append(file)
            room -= len(contents[file])
    for file in CORPUS.iterdir():
        if not file.name.startswith("found-"):
            file.unlink()
    for file in kept:
        if not file.name.startswith("found-"):
            name = hashlib.sha1(contents[file]).hexdigest()[:16] + ".bin"
            (CORPUS / name).write_bytes(contents[file])
    print(f"{len(kept)} of {len(files)} inputs, {MOST_BYTES - room} bytes, "
          f"{sum(added.get(file, 0) for file in kept)} of {sum(added.values())} edges")


if __name__ == "__main__":
    main()
