"""How many rows a run has at the relay at once."""

import pytest

from connector.window import MOST, Window


class Queue:
    """A relay that takes *depth* jobs, of which *others* are somebody else's."""

    def __init__(self, depth: int, others: int = 0) -> None:
        self.depth = depth
        self.others = others
        self.ours = 0
        self.most = 0

    def takes(self, rows: int) -> bool:
        if self.others + self.ours + rows > self.depth:
            return False
        self.ours += rows
        self.most = max(self.most, self.ours)
        return True


def handed_in(queue: Queue, rows: int, *, finishing: int, window: Window | None = None) -> Window:
    """Hand in *rows* while *finishing* of them are finished per step; the window at the end."""
    window = window or Window()
    left, steps = rows, 0
    while left:
        steps += 1
        assert steps < 20 * rows + 1000, "it does not come to an end"
        if window.has_room(queue.ours):
            part = min(left, window.batch)
            if queue.takes(part):
                left -= part
                window = window.after_taken(part)
            else:
                window = window.after_refused(part, outstanding=queue.ours)
        queue.ours = max(0, queue.ours - finishing)
    return window


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 100, 499, 500, 501, 5_000, 200_000])
@pytest.mark.parametrize("finishing", [1, 50])
def test_every_row_gets_in_however_little_the_relay_takes(depth: int, finishing: int) -> None:
    queue = Queue(depth)

    handed_in(queue, 1500, finishing=finishing)

    assert queue.most <= depth


def test_one_refusal_teaches_how_much_the_relay_takes() -> None:
    window = Window().after_refused(500, outstanding=480)

    assert window.size == 480
    assert not window.has_room(480)
    assert window.has_room(360)


def test_a_relay_that_takes_all_holds_no_more_than_the_window() -> None:
    queue = Queue(depth=200_000)

    handed_in(queue, 60_000, finishing=10)

    assert MOST - 500 <= queue.most <= MOST


def test_when_others_leave_the_window_opens_again() -> None:
    queue = Queue(depth=10_000, others=9_990)
    narrow = handed_in(queue, 100, finishing=5)
    assert narrow.size <= 20

    queue.others = 0
    wide = handed_in(queue, 20_000, finishing=500, window=narrow)

    assert wide.size >= 500
