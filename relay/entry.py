"""The command ``linkrow-relay``: say what to install when its extra is missing, else run it."""

import sys
from collections.abc import Sequence

_MISSING_EXTRA = 5
_ONLY_POSIX = 6


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with *arguments* (else those of the process)."""
    if sys.platform == "win32":
        sys.stderr.write("linkrow-relay: the relay runs on Linux and macOS; agents run here too\n")
        raise SystemExit(_ONLY_POSIX)
    try:
        # Here and not above: the base install has none of what the relay needs.
        from relay.cli import main as command  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("wire", "connector", "relay"):
            raise
        sys.stderr.write(
            f"linkrow-relay: {error.name} is not installed; "
            "pip install 'linkrow[embedded]' (or 'linkrow[relay]' if you have a Redis)\n"
        )
        raise SystemExit(_MISSING_EXTRA) from None
    command(args=arguments)


if __name__ == "__main__":
    main()
