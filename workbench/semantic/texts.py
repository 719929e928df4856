"""The built-in texts: paragraphs cut in two, so that the right continuation is known without any readers."""

import re
from functools import cache
from typing import NamedTuple

from ..data import paragraphs, readable

NAME = "builtin:texts"
MIN_WORDS = 40  # of a paragraph that is cut
MIN_BEGINNING, MAX_BEGINNING = 10, 40  # words
SENTENCE_END, NO_SENTENCE_START = re.compile(r"[.!?][\"')]*$"), re.compile(r"[\"'(]*[a-z]")


class Piece(NamedTuple):
    article: str  # its title; "" for news
    beginning: str  # about the first third of a paragraph
    continuation: str  # the rest


@cache
def pieces() -> tuple[Piece, ...]:
    """Return pieces of the Wikipedia sample and the news inside gensim's package, see ``data/README.md``."""
    found = []
    for article, paragraph in paragraphs():
        words = readable(paragraph).split()
        if len(words) >= MIN_WORDS:
            third, half = min(len(words) // 3, MAX_BEGINNING), min(len(words) // 2, MAX_BEGINNING)
            ends = [i for i in range(MIN_BEGINNING, half + 1) if SENTENCE_END.search(words[i - 1])]
            ends = [i for i in ends if not NO_SENTENCE_START.match(words[i])]
            cut = min(ends, key=lambda end: abs(end - third), default=third)
            found.append(Piece(article, " ".join(words[:cut]), " ".join(words[cut:])))
    return tuple(found)
