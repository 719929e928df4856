"""Damage by word: how far words moved, what they have in common, and which codes they share."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd

from ..storage import Coded, Normed, Projected, unpack_codes
from ..subwords import END_OF_SENTENCE
from ..vectors import Vectors, check_finite, remembered
from ..vocab import printable
from .fidelity import check_comparable, cosines, splits

SHAPES = ("number", "mixed scripts", "other script", "punctuation", "joined", "long", "short", "plain")
FATES = ("kept", "remapped", "dropped")
GROUPINGS = {"frequency": "band", "shape": "shape", "fate": "split"}  # and the column that names the group
MEANINGS = {  # of groups of `damage_groups`, inside a sentence
    "number": "words with a digit", "mixed scripts": "words that mix two scripts", "long": "long words",
    "other script": "words in an unusual script", "punctuation": "punctuation marks", "plain": "plain words",
    "joined": "words joined by a hyphen, an apostrophe or the like", "short": "words of 3 characters or fewer",
    "kept": "kept words", "remapped": "words that use the row of a similar word", "dropped": "dropped words",
}  # fmt: skip

HEAD = 1 / 3  # of a sample, the most frequent words
ROUNDING = 1e-6  # of 1 - cosine in float32: smaller differences are no damage
MIN_LONG, MAX_SHORT = 12, 3  # letters of a long and of a short word
MAX_LEARNED = 20_000  # words, evenly spread over a vocabulary, that say which script and length are usual
N_WORST = 5  # words named for each group
N_CODES = 10  # codes returned
MIN_WORDS_A_CODE = 20

ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK", "IDEOGRAPHIC": "CJK"}  # Japanese

GROUP_COLUMNS = ["by", "group", "n", "share_of_vocabulary", "mean", "low", "high", "p5", "no_vector", "loss_share",
                 "worst"]  # fmt: skip
CODE_COLUMNS = ["by", "group", "level", "code", "n", "mean", "z", "p", "worst"]


def word_damage(original: Vectors, small: Vectors, n_words: int = 20_000, random_state: int = 0) -> pd.DataFrame:
    """Return how far each word moved, what kind of word it is, and its share of the loss in texts.

    Parameters
    ----------
    original, small : Vectors
    n_words : int
        Of a larger vocabulary, score the most frequent words (a third) and a sample of the rest.
    random_state : int
        Seed of that sample.

    Returns
    -------
    DataFrame
        A row for each word, the most frequent first; the index is its position in the original's
        vocabulary. Words whose original vector is zero are left out. Columns:

        - ``word``, printable; ``rank`` by frequency, from 1 (without counts, the place in the
          vocabulary); ``count``, missing without counts;
        - ``band``: ranks between powers of ten, from 100 on;
        - ``shape``: see `word_shapes`; ``split``: kept, remapped or dropped, see `splits`;
        - ``cosine`` to the original vector, 0 for a word without ``has_vector``;
        - ``represents``: the number of words of the vocabulary that it stands for in the sample;
        - ``loss_share``: its share of the loss, which is 1 - cosine weighted by count, or without counts by
          1 / rank (Zipf's law). Times ``represents`` it adds up to 1, unless nothing was damaged.

        ``attrs``: ``how`` (exact or sampled), ``n_total`` (words of the vocabulary) and
        ``weights`` (of the loss).

    Raises
    ------
    ValueError
        If the two differ in dimensions, or the original holds NaN or infinity.
    """
    check_comparable(original, small)
    if n_words < 1:
        raise ValueError(f"expected n_words >= 1, got {n_words}")
    asked = _sampled_words(original, n_words, random_state)
    words = [original.words[i] for i in asked.index]
    before = original.get_vectors(words)  # (n, dim)
    check_finite(before, words)
    after = small.get_vectors(words, missing="nan")  # (n, dim)
    fate = np.empty(len(words), np.int8)
    for name, places in splits(words, small).items():
        fate[places] = FATES.index(name)
    damage = asked.assign(
        split=pd.Categorical.from_codes(fate, categories=FATES, ordered=True),
        cosine=cosines(before, np.nan_to_num(after)).astype(np.float64),
        has_vector=~np.isnan(after[:, 0]),
    )
    damage = damage[before.any(axis=1)]
    has_counts = bool((damage["count"] > 0).any())
    weights = (damage["count"] if has_counts else 1 / damage["rank"]).to_numpy(float)
    loss = 1 - damage["cosine"].to_numpy()
    loss = np.where(loss > ROUNDING, loss, 0) * weights
    damage = damage.assign(loss_share=loss / ((loss @ damage["represents"].to_numpy()) or 1))
    damage.attrs = {
        "how": f"sampled, seed {random_state}" if len(words) < len(original) else "exact",
        "n_total": len(original),
        "weights": "counts" if has_counts else "Zipf's law: 1 / rank",
    }
    return damage


@remembered
def _sampled_words(original: Vectors, n: int, seed: int) -> pd.DataFrame:
    """The words to score, the most frequent first, and the columns that do not depend on the compressed model."""
    order, n_total = original.vocab.by_frequency(), len(original)
    ranks, represents = np.arange(n_total), np.ones(n_total)  # ranks from 0
    if n_total > n:
        n_head = int(n * HEAD)
        rest = np.flatnonzero(original.vocab.is_for_scoring[order[n_head:]]) + n_head
        drawn = np.sort(np.random.default_rng(seed).permutation(rest)[: n - n_head])
        ranks = np.concatenate([np.arange(n_head), drawn])
        represents = np.where(ranks < n_head, 1, (n_total - n_head) / max(len(drawn), 1))
    places, counts = order[ranks], original.vocab.counts
    words = [original.words[i] for i in places]
    shapes = word_shapes(words, original.words[:: max(1, n_total // MAX_LEARNED)])
    edges = [0, *(10**e for e in range(2, 10) if 10**e < n_total), n_total]
    bands = [f"{low + 1:,} to {high:,}" for low, high in pairwise(edges)]
    return pd.DataFrame(
        {
            "word": [printable(word) for word in words],
            "rank": ranks + 1,
            "count": pd.array(np.full(len(words), None) if counts is None else counts[places], dtype="Int64"),
            "band": pd.cut(ranks + 1, edges, labels=bands),
            "shape": pd.Categorical(shapes, categories=SHAPES, ordered=True),
            "represents": represents,
        },
        index=pd.Index(places, name="position"),
    )


def word_shapes(words: Sequence[str], like: Sequence[str] | None = None) -> list[str]:
    """Return the kind of each word by its characters: the first of these that fits.

    - ``"number"``: has a digit;
    - ``"punctuation"``: has no letter, or is ``</s>``, the end of a sentence;
    - ``"mixed scripts"``: has letters of two scripts, such as Latin ones inside a Cyrillic word;
    - ``"other script"``: has letters of a script that is not the vocabulary's usual one;
    - ``"joined"``: has other signs beside letters: hyphen, apostrophe, underscore, full stop;
    - ``"long"``: is among the longest 5% of the words of usual letters alone, and has 12 characters or more;
    - ``"short"``: has 3 characters or fewer;
    - ``"plain"``: all others.

    Parameters
    ----------
    words : sequence of str
    like : sequence of str, optional
        The vocabulary, or a sample of it, that says which script and which length are usual;
        by default `words`.
    """
    lengths: dict[str, list[int]] = {}  # of words of letters of one script alone
    for word in words if like is None else like:
        kinds = {_kind(character) for character in word} - {"mark"}
        if len(kinds) == 1 and (kind := kinds.pop()).isupper():
            lengths.setdefault(kind, []).append(len(word))
    usual = max(lengths, key=lambda kind: len(lengths[kind]), default="")
    longest = np.percentile(lengths[usual], 95) if usual else MIN_LONG

    def shape(word: str) -> str:
        kinds = {_kind(character) for character in word}
        scripts = [kind for kind in kinds if kind.isupper()]
        if "digit" in kinds:
            return "number"
        if word == END_OF_SENTENCE or not scripts:
            return "punctuation"
        if len(scripts) > 1:
            return "mixed scripts"
        if scripts[0] != usual:
            return "other script"
        if "sign" in kinds:
            return "joined"
        if len(word) >= MIN_LONG and len(word) > longest:
            return "long"
        return "short" if len(word) <= MAX_SHORT else "plain"

    return [shape(word) for word in words]


@cache
def _kind(character: str) -> str:
    """The script of a letter, in capitals; ``"digit"``, ``"mark"`` (such as vowel signs) or ``"sign"``."""
    if character.isdigit():
        return "digit"
    category, script = unicodedata.category(character)[0], unicodedata.name(character, "?").split(" ")[0]
    if category == "L" and script != "MODIFIER":  # such as the Ukrainian apostrophe
        return ONE_SCRIPT.get(script, script)
    return "mark" if category == "M" else "sign"


def damage_groups(damage: pd.DataFrame, min_words: int = 5) -> pd.DataFrame:
    """Return the damage to all words and by frequency, by shape and by fate.

    Each sampled word counts as many times as it ``represents``, so that numbers are estimates for the
    vocabulary. The interval is the normal one for a mean over two strata (Cochran, "Sampling Techniques", 1977,
    chapter 5A): a bootstrap must not redraw the frequent words, which are all there.

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
        where no word was drawn at random), ``p5`` (5th percentile), ``no_vector`` (share),
        ``loss_share`` (share of the loss) and ``worst`` (a tuple of up to five words, the least similar
        first). ``attrs`` are those of `damage`.
    """
    found = [("all", "all words", damage)]
    for by, column in GROUPINGS.items():
        found += [(by, str(name), group) for name, group in damage.groupby(column, observed=True)]
    rows = []
    for by, name, group in found:
        if len(group) < max(min_words, 1):
            continue
        cosine, weights = group["cosine"].to_numpy(), group["represents"].to_numpy()
        total = weights.sum()
        mean = cosine @ weights / total
        # A word drawn with probability 1 / w adds w (w - 1) times its squared deviation.
        spread = 1.96 * np.sqrt(weights * (weights - 1) @ (cosine - mean) ** 2) / total
        low, high = (mean - spread, min(mean + spread, 1.0)) if (weights > 1).any() else (np.nan, np.nan)
        order = np.argsort(cosine, kind="stable")
        p5 = cosine[order][(np.cumsum(weights[order]) >= 0.05 * total).argmax()]
        no_vector = ~group["has_vector"].to_numpy() @ weights / total
        share, loss_share = total / damage["represents"].sum(), group["loss_share"].to_numpy() @ weights
        worst = tuple(group["word"].to_numpy()[order[:N_WORST]])
        rows.append((by, name, len(group), share, mean, low, high, p5, no_vector, loss_share, worst))
    groups = pd.DataFrame(rows, columns=GROUP_COLUMNS)
    groups.attrs = dict(damage.attrs)
    return groups


def damage_summary(groups: pd.DataFrame) -> str:
    """Return in a sentence or two which words are the most affected, and where most of the loss is."""
    compared, everything = groups[groups["by"] != "all"], groups[groups["by"] == "all"]
    if everything.empty:
        return "Too few words were scored to compare groups of them."
    if everything["loss_share"].iloc[0] == 0:
        return "Nothing was damaged: every word keeps its direction."
    worst, bands = compared.loc[compared["mean"].idxmin()], compared[compared["by"] == "frequency"]
    name = MEANINGS.get(worst["group"], f"words of ranks {worst['group']}")
    text = (
        f"The most affected words are {name}: mean cosine {worst['mean']:.3f}, over all words "
        f"{everything['mean'].iloc[0]:.3f}; they are {worst['share_of_vocabulary']:.2%} of the vocabulary."
    )
    if bands.empty:
        return text
    heaviest = bands.loc[bands["loss_share"].idxmax()]
    return f"{text} {heaviest['loss_share']:.0%} of the loss in texts is in words of ranks {heaviest['group']}."


def word_codes(small: Vectors, words: Sequence[str]) -> tuple[np.ndarray, Coded] | None:
    """Return the codes of words' rows, or None where word rows are not coded.

    Returns
    -------
    codes : (n_words, n_levels) int64 array
        -1 for words that have no row; words that borrow a row have its codes.
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
    """Return the codes whose words lost most: a bad codebook entry harms every word that uses it.

    Parameters
    ----------
    original, small : Vectors
    damage : DataFrame
        From `word_damage` of these two.

    Returns
    -------
    DataFrame
        The ten codes of the lowest mean cosine among those that 20 scored words have; empty where word
        rows are not coded. ``by`` ("code"), ``group`` ("subvector 3, code 17", or "level 3, code 17"
        where codes serve whole rows), ``level`` and ``code`` from 0, ``n``, ``mean``, ``z`` (standard
        errors from the mean of all coded words), ``p`` and ``worst``. ``p`` is the chance of so low a
        lowest mean if codes did not matter (one-sided, Bonferroni's correction for the number of
        codes); it takes means to be normal, and so is rough for few words.
    """
    from scipy.special import ndtr

    found = word_codes(small, [original.words[i] for i in damage.index])
    if found is None:
        return pd.DataFrame(columns=CODE_COLUMNS)
    codes, coded = found
    has_code = codes[:, 0] >= 0
    order = np.flatnonzero(has_code)[np.argsort(damage["cosine"].to_numpy()[has_code], kind="stable")]
    codes, damage = codes[order], damage.iloc[order]  # the least similar words first
    words, cosine, weights = (damage[name].to_numpy() for name in ("word", "cosine", "represents"))
    n_levels, n_entries = codes.shape[1], 2**coded.n_bits
    keys = (codes + n_entries * np.arange(n_levels)).T.reshape(-1)  # (n_levels * n,)
    n = np.bincount(keys, minlength=n_levels * n_entries)
    keep = np.flatnonzero(n >= MIN_WORDS_A_CODE)
    total, squared, summed = (
        np.bincount(keys, np.tile(x, n_levels), len(n))[keep] for x in (weights, weights**2, weights * cosine)
    )
    if not len(keep):
        return pd.DataFrame(columns=CODE_COLUMNS)
    mean = summed / total
    overall = np.average(cosine, weights=weights)
    deviation = np.sqrt(np.average((cosine - overall) ** 2, weights=weights))
    z = (mean - overall) / np.maximum(deviation * np.sqrt(squared) / total, 1e-12)
    p = np.minimum(ndtr(z) * len(keep), 1)
    level, code = np.divmod(keep, n_entries)
    table = pd.DataFrame({"by": "code", "level": level, "code": code, "n": n[keep], "mean": mean, "z": z, "p": p})
    table = table.nsmallest(N_CODES, "mean").reset_index(drop=True)
    kind = "subvector" if coded.side_by_side else "level"
    table["group"] = [f"{kind} {row.level + 1}, code {row.code}" for row in table.itertuples()]
    table["worst"] = [tuple(words[codes[:, row.level] == row.code][:N_WORST]) for row in table.itertuples()]
    return table[CODE_COLUMNS]
