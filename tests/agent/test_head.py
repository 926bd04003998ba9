import pytest

from agent.head import Head, read_head

OK = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n"


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        pytest.param([], Head(0, [], [], is_complete=False), id="nothing"),
        pytest.param([OK, b"A: b\r\n"], Head(200, [], [], is_complete=False), id="no end"),
        pytest.param([OK, END], Head(200, [], [], is_complete=True), id="only a status"),
        pytest.param([b"HTTP/2 302 \r\n", END], Head(302, [], [], is_complete=True), id="HTTP/2"),
        pytest.param([b"HTTP/1.0 200\n", b"\n"], Head(200, [], [], is_complete=True), id="bare LF"),
        pytest.param(
            [b"HTTP/1.1 302 Found\r\n", b"LOCATION: /b \r\n", b"location:/c\n", END],
            Head(302, [b" /b ", b"/c"], [], is_complete=True),
            id="raw values in their order",
        ),
        pytest.param(
            [OK, b"Server: nginx\r\n", b"Set-Cookie: a=1; Secure\r\n", b"Location-X: /\r\n", END],
            Head(200, [], [b" a=1; Secure"], is_complete=True),
            id="only what is read",
        ),
        pytest.param(
            [OK, b" Location : /b\r\n", END],
            Head(200, [b" /b"], [], is_complete=True),
            id="blanks around a name",
        ),
        pytest.param(
            [b"HTTP/1.1 103 Early\r\n", b"Location: /x\r\n", END, OK, b"Set-Cookie: a\r\n", END],
            Head(200, [], [b" a"], is_complete=True),
            id="an early answer is none",
        ),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n", END],
            Head(100, [], [], is_complete=False),
            id="only early",
        ),
        pytest.param(
            [OK, END, b"Location: /x\r\n", b"HTTP/1.1 500 No\r\n", END],
            Head(200, [], [], is_complete=True),
            id="trailers change nothing",
        ),
        pytest.param(
            [b"HTTP/1.1 2x0 OK\r\n", END], Head(0, [], [], is_complete=False), id="no number"
        ),
        pytest.param(
            [b"HTTP/1.1 3020 OK\r\n", END], Head(0, [], [], is_complete=False), id="four digits"
        ),
        pytest.param(
            [b"HTTP/1.1  302 OK\r\n", END], Head(302, [], [], is_complete=True), id="two blanks"
        ),
        pytest.param([b"HTTP/1.1 404\n", END], Head(404, [], [], is_complete=True), id="no reason"),
        pytest.param([b"HTTP/1.1\r\n", END], Head(0, [], [], is_complete=False), id="no status"),
        pytest.param(
            [b"HTTP/1.1 20 OK\r\n", END], Head(0, [], [], is_complete=False), id="two digits"
        ),
    ],
)
def test_a_head_is_read_as_far_as_a_walk_wants_to_know(lines: list[bytes], head: Head) -> None:
    assert read_head(lines) == head
