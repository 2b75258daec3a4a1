"""Makes a process obey the permissions of files, also where its user is root."""

from __future__ import annotations

import ctypes
import os

# CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER: what lets root read and write whatever the permissions are.
_OVERRIDE = (1, 2, 3)
_PR_CAPBSET_DROP = 24
_VERSION_3 = 0x20080522


def obey_permissions() -> None:
    """Give up what root may beyond the permissions, for this thread and the ones that it starts, and their programs."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    # Effective, permitted and inheritable, of the lower 32 and then of the others.
    sets = (ctypes.c_uint32 * 6)()
    _require(libc.capget(header, sets))
    for number in _OVERRIDE:
        # Without this a program of root's would get them back.
        _require(libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))
        for index in range(3):
            sets[index] &= ~(1 << number) & 0xFFFFFFFF
    _require(libc.capset(header, sets))


def _require(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
