"""Reading a formula: from its text to a tree of tuples."""

import re
from functools import lru_cache
from typing import Any

from tests.emulators.sheets import a1

Node = tuple[Any, ...]
"""("value", v) ("ref", title, Parsed) ("name", text) ("call", NAME, [args]) ("op", sign, a, b)
("minus", a) ("percent", a) ("array", [[nodes]])"""


class FormulaWrong(ValueError):
    """The text is no formula: the cell shows #ERROR!."""


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?![\w!:$])
    | (?P<string>"(?:[^"]|"")*")
    | (?P<ref>(?:(?:'(?:[^']|'')+'|[A-Za-z_][\w.]*)!)?
        (?:\$?[A-Za-z]{1,3}\$?\d+(?::\$?[A-Za-z]{1,3}(?:\$?\d+)?|:\$?\d+)?
          |\$?[A-Za-z]{1,3}:\$?[A-Za-z]{1,3}(?:\$?\d+)?|\$?\d+:\$?\d+|\#REF!)(?![\w(]))
    | (?P<name>[A-Za-z_][\w.]*)
    | (?P<error>\#(?:REF!|N/A|VALUE!|NAME\?|DIV/0!|NUM!))
    | (?P<op><>|<=|>=|[-+*/^&=<>%(),;{}\\])
    )""",
    re.VERBOSE,
)


@lru_cache(maxsize=4096)
def parse(formula: str) -> Node:
    """The tree of `=...`; raises FormulaWrong."""
    tokens = []
    at = 1
    text = formula.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise FormulaWrong(formula)
        kind = match.lastgroup
        assert kind is not None
        tokens.append((kind, match.group(kind)))
        at = match.end()
    parser = _Parser(tokens)
    tree = parser.comparison()
    if parser.at != len(tokens):
        raise FormulaWrong(formula)
    return tree


class _Parser:
    """Precedence: comparison < & < + - < * / < ^ < unary minus < %."""

    def __init__(self, tokens: list[tuple[str, str]]):
        self.tokens = tokens
        self.at = 0

    def peek(self) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "op":
            return self.tokens[self.at][1]
        return None

    def take(self, *signs: str) -> str | None:
        sign = self.peek()
        if sign in signs:
            self.at += 1
            return sign
        return None

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            raise FormulaWrong(sign)

    def _left(self, below: Any, *signs: str) -> Node:
        node: Node = below()
        while sign := self.take(*signs):
            node = ("op", sign, node, below())
        return node

    def comparison(self) -> Node:
        return self._left(self.joined, "=", "<>", "<", ">", "<=", ">=")

    def joined(self) -> Node:
        return self._left(self.sum, "&")

    def sum(self) -> Node:
        return self._left(self.product, "+", "-")

    def product(self) -> Node:
        return self._left(self.power, "*", "/")

    def power(self) -> Node:
        return self._left(self.signed, "^")

    def signed(self) -> Node:
        if self.take("-"):
            return ("minus", self.signed())
        if self.take("+"):
            return self.signed()
        node = self.atom()
        while self.take("%"):
            node = ("percent", node)
        return node

    def atom(self) -> Node:
        if self.take("("):
            node = self.comparison()
            self.expect(")")
            return node
        if self.take("{"):
            return self.array()
        if self.at >= len(self.tokens):
            raise FormulaWrong("ends too early")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            value = float(text)
            return ("value", int(value) if value.is_integer() and abs(value) < 1e15 else value)
        if kind == "string":
            return ("value", text[1:-1].replace('""', '"'))
        if kind == "error":
            return ("error", text)
        if kind == "ref":
            return _reference(text)
        if kind == "name":
            if self.take("("):
                return ("call", text.upper(), self.arguments())
            if text.upper() in ("TRUE", "FALSE"):
                return ("value", text.upper() == "TRUE")
            return ("name", text)
        raise FormulaWrong(text)

    def arguments(self) -> list[Node]:
        found: list[Node] = []
        if self.take(")"):
            return found
        while True:
            if self.peek() in (",", ";", ")"):
                found.append(("value", None))
            else:
                found.append(self.comparison())
            if self.take(")"):
                return found
            if not self.take(",", ";"):
                raise FormulaWrong(",")

    def array(self) -> Node:
        rows: list[list[Node]] = [[]]
        if self.take("}"):
            return ("array", rows)
        while True:
            rows[-1].append(self.comparison())
            if self.take("}"):
                return ("array", rows)
            sign = self.take(",", "\\", ";")
            if sign is None:
                raise FormulaWrong("}")
            if sign == ";":
                rows.append([])


def _reference(text: str) -> Node:
    if text.endswith("#REF!"):
        return ("error", "#REF!")
    title, rest = a1.split_title(text)
    assert rest is not None
    return ("ref", title, a1.parse_cells(rest))
