"""A network of its own for one test: what it does to interfaces and firewall rules reaches nobody else."""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_NEW_NETWORK = 0x40000000


def available() -> bool:
    """Whether this machine lets us make one: root may, in most containers."""
    try:
        in_own_network(lambda: None)
    except OSError:
        return False
    return True


def in_own_network(work: Callable[[], None]) -> None:
    """Do some work, and all programs that it calls, in a new network namespace, which ends with it.

    A namespace belongs to a thread, so a thread of its own enters it; OSError when it cannot.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(_apart, work).result()


def _apart(work: Callable[[], None]) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    own = Path("/proc/thread-self/ns/net").readlink()
    if own == Path(f"/proc/{os.getpid()}/ns/net").readlink():
        raise OSError("still in the machine's network")
    work()
