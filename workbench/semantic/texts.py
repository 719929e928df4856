"""The built-in texts: paragraphs cut in two, so that what a reader wants next is known without any readers."""

import re
from functools import cache
from typing import NamedTuple

from ..data import paragraphs

NAME = "builtin:texts"
LEAST = 40  # words of a paragraph that is long enough to be cut
END, BEGIN = re.compile(r"[.!?][\"')]*$"), re.compile(r"[\"'(]*[a-z]")  # of a sentence; what cannot begin one
SHORTEST, LONGEST = 10, 40  # words of a beginning


class Piece(NamedTuple):
    """A paragraph: the title of its article (of news, nothing), about its first third, and the rest."""

    article: str
    beginning: str
    continuation: str


@cache
def pieces() -> tuple[Piece, ...]:
    """Of the Wikipedia sample and the news inside gensim's package, see ``data/README.md``; parsed once."""
    found = []
    for article, paragraph in paragraphs():
        words = readable(paragraph).split()
        if len(words) >= LEAST:
            cut = _cut(words)
            found.append(Piece(article, " ".join(words[:cut]), " ".join(words[cut:])))
    return tuple(found)


def _cut(words: list[str]) -> int:
    """How many words are the beginning: a third, or what a sentence's end near that makes of it."""
    third, most = min(len(words) // 3, LONGEST), min(len(words) // 2, LONGEST)
    ends = [i for i in range(SHORTEST, most + 1) if END.search(words[i - 1]) and not BEGIN.match(words[i])]
    return min(ends, key=lambda end: abs(end - third), default=third)


def readable(text: str) -> str:
    """Without the marks of bold, italics and lists, and without the holes that templates left."""
    text = re.sub(r"'{2,}|^[*#:;\s]+", "", text)
    text = re.sub(r"\(\s*[;,\s]+", "(", text)
    text = re.sub(r"\(\s*\)", "", text)
    return " ".join(re.sub(r"\s+([,.;:)])", r"\1", text).split())
