"""By hand: python -m tests.emulators.sheets --port 8765"""

import argparse
import threading

from tests.emulators.sheets.emulator import Emulator


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.sheets")
    parser.add_argument("--port", type=int, default=8765)
    emulator = Emulator(parser.parse_args().port)
    emulator.start()
    print(f"Sheets emulator at {emulator.url}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
