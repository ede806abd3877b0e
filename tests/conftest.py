"""Settings of all tests.

Hypothesis repeats the same examples in every run, whatever the speed of the machine. `--hypothesis-profile=explore`
draws new ones, and keeps those that fail in `.hypothesis`, so that the next run starts with them.
"""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
hypothesis.settings.load_profile("repeatable")

# The scripts that write the golden files are no tests.
collect_ignore_glob = ["golden/*.py"]
