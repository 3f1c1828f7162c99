"""What every test shares: hypothesis without a deadline, since machines differ, and the
profile "ci", which draws the same examples each time."""

import os

from hypothesis import settings

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
