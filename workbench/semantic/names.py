"""Names of items: the search for one, and the words that tell groups of items apart."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np
from scipy.sparse import csr_array

from ..vocab import printable
from .ids import SemanticIDs
from .tree import is_below, words_of

N_OFFERED = 8  # items that a search offers
PRIOR, MIN_SCORE = 2, 4.0  # names that all words are in by their frequency, besides the names of a group
WORD = re.compile(r"[^\W\d_]{3,}")


def find_item(ids: SemanticIDs, text: str) -> str:
    """Return the item that a person means: by itself, by its name, or by a part that no other name has."""
    text, names = text.strip(), dict(zip(ids.items, ids.names, strict=True))
    if text in ids:
        return text
    for plain in (str, str.casefold):
        found = [item for item, name in names.items() if plain(name) == plain(text)]
        if found:
            return found[0]
    alike = offered_items(ids, text)
    if len(alike) == 1 and text.casefold() in names[alike[0]].casefold():
        return alike[0]
    said = f"spelled most like it: {', '.join(repr(names[i]) for i in alike)}" if alike else "none is spelled like that"
    raise KeyError(f"there is no item {text!r}; {said}")


def offered_items(ids: SemanticIDs, text: str) -> list[str]:
    """Return items whose name holds the text, those that begin with it first; if none does, those spelled alike."""
    part, plain = text.strip().casefold(), dict[str, str]()
    for item, name in zip(ids.items, ids.names, strict=True):
        plain.setdefault(name.casefold(), item)
    found = sorted((n for n in plain if part in n), key=lambda n: (not n.startswith(part), len(n))) if part else []
    if part and not found:
        words = get_close_matches(part, {word for name in plain for word in WORD.findall(name)}, 3)
        found = [*get_close_matches(part, plain, N_OFFERED), *(n for word in words for n in plain if word in n)]
    itself = [text.strip()] if text.strip() in ids else []
    return list(dict.fromkeys([*itself, *(plain[name] for name in found)]))[:N_OFFERED]


class TellingWords:
    """Words of names that tell groups of items apart; none where items have no names.

    A word's score is the z-score of its log-odds to stand in a name (Monroe, Colaresi and Quinn, 2008), less for
    frequent words; at least two names must have it.
    """

    def __init__(self, ids: SemanticIDs) -> None:
        self.ids = ids
        place: dict[str, int] = {}
        names = () if ids.names is ids.items else ids.names
        found = [{place.setdefault(word, len(place)) for word in WORD.findall(name.casefold())} for name in names]
        columns, ends = [column for row in found for column in row], np.cumsum([0, *map(len, found)])
        self.words, ones = list(place), np.ones(len(columns), np.int32)
        self.has = csr_array((ones, np.array(columns, np.int32), ends), (len(found), len(place)))
        self.total = self.has.sum(axis=0)  # (n_words,)

    def of(self, is_here: np.ndarray) -> str:
        """Return up to three words for some of the items, (n_items,) bool, the best first."""
        if not self.words or is_here.all():
            return ""
        count, n_all, n = self.has[is_here].sum(axis=0), len(is_here), is_here.sum()  # (n_words,)
        prior = PRIOR * self.total / (n_all + 1)
        here, rest = count + prior, self.total - count + prior
        odds = np.log(here / (n + PRIOR - here)) - np.log(rest / (n_all - n + PRIOR - rest))
        score = odds / np.sqrt(1 / here + 1 / rest)
        score *= (count > 1) & (score > MIN_SCORE)
        score *= np.sqrt(np.log(n_all / self.total))
        best = np.argsort(-score, kind="stable")[:3]
        return " · ".join(self.words[i] for i in best if score[i] > 0)

    def path(self, prefix: Iterable[int]) -> list[dict]:
        """Describe each code on the way down to a prefix; a typical item stands in for words."""
        prefix, steps = tuple(prefix), []
        for own in (prefix[:end] for end in range(1, len(prefix) + 1)):
            group = self.ids.prefixes(len(own), own).iloc[0]
            text = self.of(is_below(self.ids.codes, own)) or printable(group["exemplars"][0])
            steps.append({"prefix": own, "id": words_of(own), "count": group["count"], "text": text})
        return steps
