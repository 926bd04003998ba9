import os
import socket
from collections.abc import Iterator

import pytest

from agent import readiness
from agent.readiness import READ, WRITE, Readiness, Selected

KINDS = [Selected, *([readiness.Polled] if hasattr(readiness, "Polled") else [])]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def sockets(request) -> Iterator[Readiness]:
    kept = request.param()
    yield kept
    kept.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_socket_is_ready_for_what_is_waited_for(sockets, pair):
    ours, theirs = pair
    sockets.watch(ours.fileno(), READ)
    assert sockets.wait(0) == []
    sockets.watch(ours.fileno(), READ | WRITE)
    assert sockets.wait(10) == [(ours.fileno(), WRITE)]
    theirs.send(b"x")
    assert sockets.wait(10) == [(ours.fileno(), READ | WRITE)]
    sockets.watch(ours.fileno(), READ)
    assert sockets.wait(10) == [(ours.fileno(), READ)]


def test_a_socket_that_was_let_go_says_nothing_until_it_is_taken_up_again(sockets, pair):
    ours, theirs = pair
    sockets.watch(ours.fileno(), READ)
    sockets.let_go(ours.fileno())
    theirs.send(b"x")
    assert sockets.wait(0) == []
    assert sockets.wait(0) == []

    sockets.watch(ours.fileno(), READ)

    assert sockets.wait(10) == [(ours.fileno(), READ)]


def test_letting_go_of_a_stranger_is_nothing(sockets, pair):
    sockets.let_go(pair[0].fileno())

    assert sockets.wait(0) == []


def test_a_number_that_another_socket_got_meanwhile_is_that_sockets(sockets, pair):
    ours, theirs = pair
    first, other = socket.socketpair()
    number = first.detach()
    sockets.watch(number, READ)
    sockets.let_go(number)
    os.close(number)
    other.close()
    os.dup2(ours.fileno(), number)

    sockets.watch(number, READ)
    theirs.send(b"x")

    assert sockets.wait(10) == [(number, READ)]
    sockets.let_go(number)
    os.close(number)


def test_a_connection_that_ended_is_ready_for_all_that_is_waited_for(sockets, pair):
    ours, theirs = pair
    sockets.watch(ours.fileno(), READ | WRITE)

    theirs.close()

    assert sockets.wait(10) == [(ours.fileno(), READ | WRITE)]
