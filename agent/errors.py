"""What can go wrong in the agent, beyond what a link's own outcome says.

AgentError
    SpoolError
        SpoolBusy
        SpoolFull
        SpoolUnusable
    NoCredentials
    BadSetting
"""

from pathlib import Path


class AgentError(Exception):
    """The agent cannot do what it was asked. *code* is for machines, *permanent* for loops."""

    code = "agent_error"
    permanent = True


class SpoolError(AgentError):
    """The file that keeps unreported results cannot be used. *path* is that file."""

    code = "spool_error"

    def __init__(self, path: Path, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


class SpoolBusy(SpoolError):
    """Another agent process uses it."""

    code = "agent_already_running"

    def __init__(self, path: Path) -> None:
        super().__init__(path, f"another agent already works with {path}; stop that one first")


class SpoolFull(SpoolError):
    """The disk takes no more; nothing was changed."""

    code = "spool_full"
    permanent = False

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(path, f"{path} cannot grow ({why}); make room on that disk")
        self.why = why


class SpoolUnusable(SpoolError):
    """The file is damaged, foreign or of another version."""

    code = "spool_unusable"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            path,
            f"{path} is no usable spool: {why}; move it away and start again, "
            "the relay will hand out its work once more",
        )
        self.why = why


class NoCredentials(AgentError):
    """No device key was found anywhere. *places* says where was looked."""

    code = "no_credentials"

    def __init__(self, places: tuple[str, ...]) -> None:
        super().__init__(
            "no device key found; set LINKROW_DEVICE_KEY and LINKROW_DEVICE_SECRET "
            f"(also looked in {', '.join(places)})"
        )
        self.places = places


class BadSetting(AgentError):
    """One or more settings do not hold. *problems* names every one of them."""

    code = "bad_setting"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
