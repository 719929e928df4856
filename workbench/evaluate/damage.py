"""What was damaged: which words, what they have in common, and which codes they share."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd

from ..storage import Coded, Normed, Projected, unpack_codes
from ..subwords import END_OF_SENTENCE
from ..vectors import Vectors, check_finite, remembered
from ..vocab import printable
from .fidelity import cosines, splits

SHAPES = ("number", "mixed scripts", "other script", "punctuation", "joined", "long", "short", "plain")
FATES = ("kept", "remapped", "dropped")
GROUPINGS = {"frequency": "band", "shape": "shape", "fate": "split"}  # and the column that says which group

HEAD = 1 / 3  # of a sample, the most frequent words
ROUNDING = 1e-6  # of 1 - cosine in float32: what is below is no damage
LONG = 12  # letters that a long word has at least
SHORT = 3  # and a short one at most
LEARN_FROM = 20_000  # words, evenly spread over a vocabulary, that say what is usual in it
N_WORST = 5  # words named for each group
N_CODES = 10  # codes returned
MIN_WORDS_A_CODE = 20

ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK", "IDEOGRAPHIC": "CJK"}  # Japanese

GROUP_COLUMNS = ["by", "group", "n", "share_of_vocabulary", "mean", "low", "high", "p5", "no_vector", "worry", "worst"]
CODE_COLUMNS = ["by", "group", "level", "code", "n", "mean", "z", "p", "worst"]


def check_comparable(original: Vectors, small: Vectors) -> None:
    """Refuse what is no pair of models of the same dimensions."""
    for name, v in (("original", original), ("small", small)):
        if not isinstance(v, Vectors):
            raise TypeError(f"{name} must be Vectors, as from load(), got {type(v).__name__}")
    if original.dim != small.dim:
        raise ValueError(f"the original has {original.dim} dimensions, the other {small.dim}; they cannot be compared")


def word_damage(original: Vectors, small: Vectors, n_words: int = 20_000, random_state: int = 0) -> pd.DataFrame:
    """How far each word moved, what kind of word it is, and how much texts suffer from it.

    Parameters
    ----------
    original, small : Vectors
    n_words : int
        A larger vocabulary is sampled: a third of these are its most frequent words, the others
        are drawn from the rest.
    random_state : int
        Seed of that sample.

    Returns
    -------
    DataFrame
        A row for each word, the most frequent first; the index is its position in the
        original's vocabulary. Columns:

        - ``word``, fit to be shown; ``rank``, its place by frequency, from 1 (where nothing was
          counted, its place in the vocabulary); ``count``, missing where nothing was counted;
        - ``band``: ranks between powers of ten, from 100 on;
        - ``shape``: see `word_shapes`; ``split``: kept, remapped or dropped, see `splits`;
        - ``cosine`` to the original vector, 0 for a word without ``has_vector``;
        - ``represents``: how many words of the vocabulary it stands for, 1 where all are scored;
        - ``worry``: its share of the whole damage as texts meet it, which is 1 - cosine,
          weighted by count; by 1 / rank (Zipf's law) where nothing was counted. Times
          ``represents`` it adds up to 1, unless nothing was damaged.

        ``attrs``: ``how`` (exact or sampled), ``n_total`` (words of the vocabulary) and
        ``weights`` (what worry is weighted by). Words whose original vector is zero have no
        direction to keep and are left out.

    Raises
    ------
    ValueError
        If the two differ in dimensions, or the original holds NaN or infinity.
    """
    check_comparable(original, small)
    if n_words < 1:
        raise ValueError(f"expected n_words >= 1, got {n_words}")
    asked = _asked(original, n_words, random_state)
    words = [original.words[i] for i in asked.index]
    before = original.get_vectors(words)
    check_finite(before, words)
    after = small.get_vectors(words, missing="nan")
    has_vector = ~np.isnan(after[:, 0])
    fate = np.empty(len(words), np.int8)
    for name, places in splits(words, small).items():
        fate[places] = FATES.index(name)
    damage = asked.assign(
        split=pd.Categorical.from_codes(fate, categories=FATES, ordered=True),
        cosine=cosines(before, np.nan_to_num(after, copy=False)).astype(np.float64),
        has_vector=has_vector,
    )
    damage = damage[before.any(axis=1)]
    counted = bool((damage["count"] > 0).any())
    damage = damage.assign(worry=_worry(damage, (damage["count"] if counted else 1 / damage["rank"]).to_numpy(float)))
    sampled = len(words) < len(original)
    damage.attrs = {
        "how": f"sampled, seed {random_state}" if sampled else "exact",
        "n_total": len(original),
        "weights": "counts" if counted else "Zipf's law: 1 / rank",
    }
    return damage


def _worry(damage: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    """Each word's share of the whole damage: (n,) float64, zeros where there is none."""
    lost = 1 - damage["cosine"].to_numpy()
    lost = np.where(lost > ROUNDING, lost, 0) * weights
    return lost / ((lost @ damage["represents"].to_numpy()) or 1)


@remembered
def _asked(original: Vectors, n_words: int, seed: int) -> pd.DataFrame:
    """The words to score, the most frequent first, and what is known of them before any compression."""
    order = original.vocab.by_frequency()
    ranks, represents = _sample(original.vocab.is_for_scoring[order], n_words, seed)
    places, counts = order[ranks], original.vocab.counts
    words = [original.words[i] for i in places]
    shapes = word_shapes(words, original.words[:: max(1, len(original) // LEARN_FROM)])
    return pd.DataFrame(
        {
            "word": [printable(word) for word in words],
            "rank": ranks + 1,
            "count": pd.array(np.full(len(words), None) if counts is None else counts[places], dtype="Int64"),
            "band": _bands(ranks, len(order)),
            "shape": pd.Categorical(shapes, categories=SHAPES, ordered=True),
            "represents": represents,
        },
        index=pd.Index(places, name="position"),
    )


def _sample(is_for_scoring: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranks to score, from 0 and in order, and how many words each stands for: (<= n,) int64 and float64."""
    n_total = len(is_for_scoring)
    if n_total <= n:
        return np.arange(n_total), np.ones(n_total)
    n_head = int(n * HEAD)
    rest = np.flatnonzero(is_for_scoring[n_head:]) + n_head
    drawn = np.sort(np.random.default_rng(seed).permutation(rest)[: n - n_head])
    ranks = np.concatenate([np.arange(n_head), drawn])
    return ranks, np.where(ranks < n_head, 1, (n_total - n_head) / max(len(drawn), 1))


def _bands(ranks: np.ndarray, n_total: int) -> pd.Categorical:
    """Ranks (n,), from 0, between powers of ten."""
    edges = [0, *(10**e for e in range(2, 10) if 10**e < n_total), n_total]
    names = [f"{low + 1:,} to {high:,}" for low, high in pairwise(edges)]
    return pd.cut(ranks + 1, edges, labels=names)


# -- shapes of words ----------------------------------------------------------------------


def word_shapes(words: Sequence[str], like: Sequence[str] | None = None) -> list[str]:
    """What kind of word each is, by its characters alone; the first that fits, in this order.

    - ``"number"``: has a digit;
    - ``"mixed scripts"``: has letters of two scripts, as Latin ones inside a Cyrillic word;
    - ``"other script"``: has letters of a script that is not the vocabulary's usual one;
    - ``"punctuation"``: has no letter (the end of a sentence, ``</s>``, counts as such);
    - ``"joined"``: has other signs beside letters: hyphen, apostrophe, underscore, full stop;
    - ``"long"``: is among the longest 5% of the vocabulary's words of its usual letters alone,
      and of 12 characters or more;
    - ``"short"``: has 3 characters or fewer;
    - ``"plain"``: all others.

    Parameters
    ----------
    words : sequence of str
    like : sequence of str, optional
        The vocabulary, or a sample of it, that says which script and which length are usual;
        by default `words`.
    """
    script, longest = _usual(words if like is None else like)
    return [_shape(word, script, longest) for word in words]


def _usual(words: Sequence[str]) -> tuple[str, float]:
    """The script that most words are written in, and the length that one in twenty of them exceeds."""
    lengths: dict[str, list[int]] = {}
    for word in words:
        kinds = {_kind(character) for character in word} - {"mark"}
        if len(kinds) == 1:
            lengths.setdefault(kinds.pop(), []).append(len(word))
    found = Counter({kind: len(them) for kind, them in lengths.items() if kind.isupper()}).most_common(1)
    return (found[0][0], float(np.percentile(lengths[found[0][0]], 95))) if found else ("", LONG)


def _shape(word: str, script: str, longest: float) -> str:
    kinds = {_kind(character) for character in word}
    scripts = [kind for kind in kinds if kind.isupper()]
    if "digit" in kinds:
        return "number"
    if word == END_OF_SENTENCE or not scripts:
        return "punctuation"
    if len(scripts) > 1:
        return "mixed scripts"
    if scripts[0] != script:
        return "other script"
    if "sign" in kinds:
        return "joined"
    if len(word) >= LONG and len(word) > longest:
        return "long"
    return "short" if len(word) <= SHORT else "plain"


@cache
def _kind(character: str) -> str:
    """The script of a letter, in capitals; ``"digit"``, ``"mark"`` (as vowel signs are) or ``"sign"``."""
    if character.isdigit():
        return "digit"
    category, script = unicodedata.category(character)[0], unicodedata.name(character, "?").split(" ")[0]
    if category == "L" and script != "MODIFIER":  # such as the Ukrainian apostrophe
        return ONE_SCRIPT.get(script, script)
    return "mark" if category == "M" else "sign"


# -- groups of words ----------------------------------------------------------------------


def damage_groups(damage: pd.DataFrame, min_words: int = 5) -> pd.DataFrame:
    """What words of one frequency, of one shape and of one fate suffered.

    Where words are sampled, each counts as many times as it ``represents``, so that numbers are
    of the vocabulary and not of the sample.

    Parameters
    ----------
    damage : DataFrame
        From `word_damage`.
    min_words : int
        Groups of fewer scored words are left out.

    Returns
    -------
    DataFrame
        ``by`` ("all", "frequency", "shape" or "fate"), ``group``, ``n`` (words scored),
        ``share_of_vocabulary``, ``mean`` (cosine), ``low`` and ``high`` (its 95% interval, NaN
        where none of the words scored was drawn), ``p5`` (5th percentile), ``no_vector``
        (share), ``worry`` (share of the whole damage) and ``worst`` (a tuple of up to five words,
        the least similar first). ``attrs`` as those of `damage`. The interval is the normal one
        for a mean of a group whose words come from two strata (Cochran, "Sampling Techniques",
        1977, chapter 5A: linearised, finite population): a bootstrap must not draw anew the
        frequent words, which are there whole.
    """
    found = [("all", "all words", damage)]
    for by, column in GROUPINGS.items():
        found += [(by, str(name), group) for name, group in damage.groupby(column, observed=True)]
    rows = [_group(by, name, group) for by, name, group in found if len(group) >= max(min_words, 1)]
    groups = pd.DataFrame(rows, columns=GROUP_COLUMNS)
    groups["share_of_vocabulary"] /= damage["represents"].sum()
    groups.attrs = dict(damage.attrs)
    return groups


def _group(by: str, name: str, group: pd.DataFrame) -> dict:
    """One row of `damage_groups`, its share of the vocabulary as a number of words still."""
    cosine, weights = group["cosine"].to_numpy(), group["represents"].to_numpy()
    total = weights.sum()
    mean = cosine @ weights / total
    # A word drawn with probability 1 / w adds w (w - 1) times its squared deviation.
    spread = 1.96 * np.sqrt(weights * (weights - 1) @ (cosine - mean) ** 2) / total
    order = np.argsort(cosine, kind="stable")
    below = np.cumsum(weights[order]) >= 0.05 * total
    sampled = bool((weights > 1).any())
    return {
        "by": by,
        "group": name,
        "n": len(group),
        "share_of_vocabulary": total,
        "mean": mean,
        "low": mean - spread if sampled else np.nan,
        "high": min(mean + spread, 1.0) if sampled else np.nan,
        "p5": cosine[order][below.argmax()],
        "no_vector": ~group["has_vector"].to_numpy() @ weights / total,
        "worry": group["worry"].to_numpy() @ weights,
        "worst": tuple(group["word"].to_numpy()[order[:N_WORST]]),
    }


# -- codes --------------------------------------------------------------------------------


def word_codes(small: Vectors, words: Sequence[str]) -> tuple[np.ndarray, Coded] | None:
    """The codes of words' rows, if word rows are coded.

    Parameters
    ----------
    small : Vectors
    words : sequence of str

    Returns
    -------
    codes : (n_words, n_levels) int64 array
        -1 for words that have no row; those that borrow one have its codes.
    coded : Coded
        The storage that the codes are from, below rotations and lengths.
    """
    storage = small.storage.words
    while isinstance(storage, Projected | Normed):
        storage = storage.inner
    if not isinstance(storage, Coded):
        return None
    places = np.array([small.key_to_index.get(word, -1) for word in words], np.int64)
    known = places >= 0
    codes = np.full((len(words), len(storage.spans)), -1, np.int64)
    packed = storage.packed[small.vocab.rows(places[known])]
    codes[known] = unpack_codes(packed, len(storage.spans), storage.n_bits)
    return codes, storage


def code_damage(original: Vectors, small: Vectors, damage: pd.DataFrame) -> pd.DataFrame:
    """The codes whose words suffered most: a bad entry of a codebook harms all that share it.

    Parameters
    ----------
    original, small : Vectors
    damage : DataFrame
        From `word_damage` of these two.

    Returns
    -------
    DataFrame
        The ten codes of the lowest mean cosine, of those that 20 scored words have; none where
        word rows are not coded. ``by`` ("code"), ``group`` ("subvector 3, code 17"; where codes
        serve whole rows, "level 3, code 17"), ``level`` and ``code`` from 0, ``n``, ``mean``,
        ``z`` (how many standard errors the mean lies from that of all words with codes; below it if
        negative), ``p`` and ``worst``. Thousands of codes are compared, and some are always the worst: ``p`` is the
        chance that the lowest of so many would be so low if codes had nothing to do with it (one-sided,
        Bonferroni's correction). It takes means to be normal, and so is rough for few words.
    """
    found = word_codes(small, [original.words[i] for i in damage.index])
    if found is None:
        return pd.DataFrame(columns=CODE_COLUMNS)
    codes, coded = found
    known = codes[:, 0] >= 0
    damage, codes = damage[known], codes[known]
    table = _code_table(damage["cosine"].to_numpy(), damage["represents"].to_numpy(), codes, 2**coded.n_bits)
    kind = "subvector" if coded.side_by_side else "level"
    table["by"] = "code"
    table["group"] = [f"{kind} {r.level + 1}, code {r.code}" for r in table.itertuples()]
    words = damage.sort_values("cosine", kind="stable")["word"].to_numpy()
    codes = codes[np.argsort(damage["cosine"].to_numpy(), kind="stable")]
    table["worst"] = [tuple(words[codes[:, r.level] == r.code][:N_WORST]) for r in table.itertuples()]
    return table[CODE_COLUMNS]


def _code_table(cosine: np.ndarray, weights: np.ndarray, codes: np.ndarray, n_entries: int) -> pd.DataFrame:
    """Mean cosine of each code's words, the lowest first, and how likely chance made it so low."""
    from scipy.special import ndtr

    n_levels = codes.shape[1]
    keys = (codes + n_entries * np.arange(n_levels)).T.reshape(-1)  # (n_levels * n,)
    size = n_levels * n_entries
    total, squared, summed = (
        np.bincount(keys, np.tile(x, n_levels), size) for x in (weights, weights**2, weights * cosine)
    )
    n = np.bincount(keys, minlength=size)
    key = np.flatnonzero(n >= MIN_WORDS_A_CODE)
    if not len(key):
        return pd.DataFrame(columns=["level", "code", "n", "mean", "z", "p"])
    mean = summed[key] / total[key]
    overall = np.average(cosine, weights=weights)
    deviation = np.sqrt(np.average((cosine - overall) ** 2, weights=weights))
    z = (mean - overall) / np.maximum(deviation * np.sqrt(squared[key]) / total[key], 1e-12)
    columns = {"level": key // n_entries, "code": key % n_entries, "n": n[key], "mean": mean}
    table = pd.DataFrame(columns | {"z": z, "p": np.minimum(ndtr(z) * len(key), 1)})
    return table.nsmallest(N_CODES, "mean").reset_index(drop=True)
