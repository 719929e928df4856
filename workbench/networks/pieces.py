"""The pieces of a `PieceTokenizer`: what each stands for, and a tokenizer with fewer of them."""

import json
import re
import string
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, NamedTuple

from ..vectors import remembered
from .tokens import PieceTokenizer

MODELS = ("WordPiece", "BPE", "Unigram")
ROLES = {  # of special tokens, by their names in usual tokenizers
    **dict.fromkeys(("[CLS]", "<s>", "<cls>", "<bos>"), "first"),
    **dict.fromkeys(("[SEP]", "</s>", "<sep>", "<eos>"), "last"),
    **dict.fromkeys(("[PAD]", "<pad>"), "padding"),
    **dict.fromkeys(("[UNK]", "<unk>"), "unknown"),
    **dict.fromkeys(("[MASK]", "<mask>"), "mask"),
}
PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]  # bytes that byte-level BPE writes as themselves
OTHERS = [byte for byte in range(256) if byte not in PRINTED]
BYTE_OF = {chr(byte): byte for byte in PRINTED} | {chr(256 + i): byte for i, byte in enumerate(OTHERS)}

BYTE = "<0x[0-9A-F]{2}>"  # as SentencePiece writes one


class Piece(NamedTuple):
    """The text that a token stands for, the same in tokenizers that mark it otherwise."""

    text: str  # without marks; of a special token its role, or its name; of parts of a character the token itself
    kind: str  # "start" and "inside" of a word, "mark" for punctuation anywhere, "special", "bytes"


@remembered
def pieces(tokenizer: PieceTokenizer) -> dict[str, Piece]:
    """Return what each token stands for, by the token, in order of their numbers.

    Words begin with a mark in byte-level BPE (``Ġ``) and after SentencePiece (``▁``), and go on with one in WordPiece
    (``##``). Without any marks all tokens count as starts.
    """
    about = json.loads(tokenizer.text)
    special, model, vocab = special_tokens(about), about["model"], tokenizer.vocab
    is_bytes, blank = "ByteLevel" in (found := splits(about)), found.get("Metaspace", {}).get("replacement")
    prefix, suffix = (model.get(name) or "" for name in ("continuing_subword_prefix", "end_of_word_suffix"))

    def piece(token: str) -> Piece:
        if token in special or token in ROLES:
            return Piece(ROLES.get(token, token), "special")
        text, is_start = token, True
        if re.fullmatch(BYTE, token):
            return Piece(token, "bytes")
        if is_bytes:
            try:
                text = bytes(BYTE_OF[letter] for letter in token).decode()
            except (KeyError, UnicodeDecodeError):
                return Piece(token, "bytes")
            is_start = text.startswith(" ")
        elif blank:
            is_start = token.startswith(blank)
            text = token.replace(blank, " ")
        elif prefix and token.startswith(prefix) and token != prefix:
            text, is_start = token.removeprefix(prefix), False
        elif suffix:
            text, is_start = token.removesuffix(suffix), token.endswith(suffix)
        text = text.strip() or text
        is_word = any(letter.isalnum() for letter in text)
        return Piece(text, "mark" if not is_word else "start" if is_start else "inside")

    return {token: piece(token) for token in sorted(vocab, key=vocab.__getitem__)}


def splits(about: dict) -> dict[str, dict]:
    """Return the parts of a tokenizer.json that say how texts are split and joined, by their type."""
    found, rest = dict[str, dict](), [about.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            found[str(part.get("type"))] = part
        rest += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return found


def special_tokens(about: dict) -> set[str]:
    """Return the tokens that are no text: added ones, what stands around texts, and the one for all unknown."""
    found = {added["content"] for added in about["added_tokens"]} | {about["model"].get("unk_token")}
    if (unknown := about["model"].get("unk_id")) is not None:
        found.add(about["model"]["vocab"][unknown][0])
    renumbered(about.get("post_processor"), {}, found)
    return found - {None}


def renumbered(part: Any, number: dict[str, int], met: set[str]) -> Any:
    """Return a part of a tokenizer.json with other numbers of the tokens in it, which are added to `met`."""
    if isinstance(part, list) and [type(of) for of in part] == [str, int]:  # ["[SEP]", 102]
        met.add(part[0])
        return [part[0], number.get(part[0], part[1])]
    if isinstance(part, list):
        return [renumbered(of, number, met) for of in part]
    if not isinstance(part, dict):
        return part
    if {"ids", "tokens"} <= part.keys():
        met.update(part["tokens"])
        return part | {"ids": [number.get(token, i) for token, i in zip(part["tokens"], part["ids"], strict=True)]}
    return {key: renumbered(of, number, met) for key, of in part.items()}


@remembered
def parents(tokenizer: PieceTokenizer) -> dict[str, set[str]]:
    """Return the tokens that BPE merges into each token, by the token."""
    model = json.loads(tokenizer.text)["model"]
    found: dict[str, set[str]] = {}
    for merge in model.get("merges", ()):
        parts, result = merged(merge, model)
        found.setdefault(result, set()).update(parts)
    return found


def merged(merge: str | list[str], model: dict) -> tuple[list[str], str]:
    """Return the two tokens of a merge, and what they become."""
    one, other = parts = merge.split(" ") if isinstance(merge, str) else merge
    return parts, one + other.removeprefix(model.get("continuing_subword_prefix") or "")


def with_parents(tokenizer: PieceTokenizer, tokens: Collection[str]) -> set[str]:
    """Return tokens and all that BPE merges them from, step by step."""
    found, rest, of = set[str](), list(tokens), parents(tokenizer)
    while rest:
        token = rest.pop()
        if token not in found:
            found.add(token)
            rest += of.get(token, ())
    return found


def cut_tokenizer(tokenizer: PieceTokenizer, tokens: Collection[str]) -> PieceTokenizer:
    """Return a tokenizer with these tokens alone, numbered anew in their old order.

    A text whose tokens all stay is cut as before. Tokens that are no text stay, too: special and other added ones,
    and those for single bytes; of BPE also the tokens that are merged into one that stays.

    Parameters
    ----------
    tokenizer : PieceTokenizer
        With a WordPiece, BPE or Unigram model.
    tokens : collection of str

    Raises
    ------
    ValueError
        If the model is another, or a token is none of the tokenizer's.
    """
    about = json.loads(tokenizer.text)
    model, vocab = about["model"], tokenizer.vocab
    if model.get("type") not in MODELS:
        raise ValueError(f"expected a tokenizer with a model of {', '.join(MODELS)}, got {model.get('type')}")
    if strange := sorted({*tokens} - vocab.keys()):
        raise ValueError(f"the tokenizer has no token {', '.join(map(repr, strange[:3]))}")
    needed = {token for token, piece in pieces(tokenizer).items() if piece.kind == "special"}
    needed |= {token for token in vocab if re.fullmatch(BYTE, token)}
    if "ByteLevel" in splits(about):
        needed |= {token for token in vocab if len(token) == 1}
    kept = with_parents(tokenizer, needed.union(tokens))
    listed = model["vocab"] if isinstance(model["vocab"], dict) else dict(model["vocab"])  # of Unigram: scores
    order = sorted(kept, key=lambda token: (token not in listed, vocab[token]))  # added ones stand behind the others
    number = {token: i for i, token in enumerate(order)}
    if isinstance(model["vocab"], dict):
        model["vocab"] = {token: i for token, i in number.items() if token in listed}
    else:
        model["vocab"] = [[token, listed[token]] for token in order if token in listed]
        if model.get("unk_id") is not None:
            model["unk_id"] = number[[*listed][model["unk_id"]]]
    if "merges" in model:
        whole = [(merge, *merged(merge, model)) for merge in model["merges"]]
        model["merges"] = [merge for merge, parts, result in whole if kept.issuperset((*parts, result))]
    for added in about["added_tokens"]:
        added["id"] = number[added["content"]]
    about["post_processor"] = renumbered(about.get("post_processor"), number, set())
    cut = PieceTokenizer(json.dumps(about | {"padding": None, "truncation": None}, ensure_ascii=False))
    if cut.vocab != number:
        raise ValueError("the tokenizer.json numbers its tokens in a way that does not let it be cut")
    return cut


def most_used(tokenizer: PieceTokenizer, texts: Sequence[str], n: int) -> PieceTokenizer:
    """Return a tokenizer with the `n` tokens that texts use most.

    Tokens that no text uses come last, letters before others, in order of their numbers. Always there are the special
    tokens, and the single characters of ASCII and of the texts, so that any word of such letters can still be cut; of
    BPE all tokens that others are merged from.

    Raises
    ------
    ValueError
        If the tokenizer has fewer tokens, or more that must stay; if its model is none of WordPiece, BPE and Unigram.
    """
    of_all = pieces(tokenizer)
    if n > len(of_all):
        raise ValueError(f"vocabulary must be at most the {len(of_all):,} tokens that the tokenizer has, got {n:,}")
    counts = Counter(token for encoding in tokenizer.encode(texts) for token in encoding.tokens)
    letters = {*string.printable, *chain.from_iterable(of_all[token].text for token in counts)}
    kept = {*cut_tokenizer(tokenizer, [token for token, piece in of_all.items() if piece.text in letters]).vocab}
    if n < len(kept):
        raise ValueError(f"vocabulary must be at least {len(kept):,}: special tokens and single characters, got {n:,}")
    for token in sorted(of_all, key=lambda token: (-counts[token], not of_all[token].text.isalnum())):
        wanted = with_parents(tokenizer, [token]) - kept
        if len(kept) + len(wanted) <= n:
            kept |= wanted
    return cut_tokenizer(tokenizer, kept)
