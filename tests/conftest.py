"""What every test shares: which tcpcore is tested, and how hypothesis draws.

The tests are of the tcpcore beside them, which must be compiled. With TCPCORE_INSTALLED=1 they are of the one
that is installed: the folder of the tests comes last on the path then, for `tests` and `benchmarks` alone.
Hypothesis has no deadline, as machines differ, and a profile "ci", which draws the same examples each time.
"""

import importlib.util
import os
import sys
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = os.environ.get("TCPCORE_INSTALLED") == "1"

if INSTALLED:
    sys.path[:] = [*(entry for entry in sys.path if Path(entry).resolve() != ROOT), str(ROOT)]
    spec = importlib.util.find_spec("tcpcore")
    if spec is None or spec.origin is None or ROOT in Path(spec.origin).resolve().parents:
        sys.exit(f"TCPCORE_INSTALLED=1: {sys.executable} has no tcpcore but the one beside the tests")
else:
    try:
        import tcpcore  # noqa: F401
    except ImportError as error:
        sys.exit(f"{error}; TCPCORE_INSTALLED=1 tests that")

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_report_header():
    """The tcpcore that is tested."""
    import tcpcore

    return f"tcpcore: {Path(tcpcore.__file__).parent}"
