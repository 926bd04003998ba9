"""Hold a server that cannot watch its parent: when our standard input closes, it ends.

Used for the private Redis where the system has no PR_SET_PDEATHSIG:
``python -m relay.keeper redis-server …``
"""

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Run *command* until it ends, we are told to stop, or our parent is gone."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own arguments

    def stop(*_: object) -> None:
        child.terminate()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
