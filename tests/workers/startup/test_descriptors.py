"""The number of descriptors that a process of the studio may have."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from workers.startup.descriptors import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 512))
found = raise_limit()
print(found, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["512", "512", "512"]
