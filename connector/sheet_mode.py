"""Where the results of a sheet go."""

from enum import StrEnum


class SheetMode(StrEnum):
    """Into columns of the tab itself, or into a tab of our own beside it."""

    IN_PLACE = "in_place"
    RESULTS_TAB = "results_tab"
