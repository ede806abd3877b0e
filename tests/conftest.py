"""Settings of all tests: hypothesis repeats the same examples in every run, whatever the speed of the machine."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")

# The recipes of the golden files need PyTorch, which the tests do not.
collect_ignore_glob = ["golden/*.py"]
