"""The limit of file descriptors, in a process of its own: it cannot be undone in this one."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from api.serving.descriptors import most_connections, most_streams
from workers.startup.descriptors import raise_limit

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))
print(most_connections(1000), raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(most_connections(1000), most_connections(100), most_streams(500, 1000), raise_limit())
"""


def test_the_limit_is_raised_as_far_as_it_may_be_and_connections_have_half() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["32", "256", "256", "128", "100", "32", "256"]
