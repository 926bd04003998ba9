"""Which clock the agent keeps deadlines by: one that goes on while the machine sleeps."""

import time


def suspend_aware() -> float:
    """Seconds that also pass while the machine sleeps, where the system offers such a clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
