"""spaCy vectors: the ``vocab`` folder of a pipeline, in which several words may share a row.

Three files: ``vectors`` (a ``.npy`` matrix, which is mapped), ``key2row`` (msgpack: the 64-bit number of a word to its
row) and ``strings.json`` (the words). A word's number is its MurmurHash64A or, for the few hundred names that spaCy
reserves, its place among these. spaCy is not needed: its own loader copies the matrix and trusts what the files claim.

Source: `StringStore`, `Vectors.to_disk` and the symbols of spaCy 3.8; Appleby, MurmurHash2 (2008).
"""

import json
from array import array
from pathlib import Path

import numpy as np

from ..checks import reading, warn
from ..vectors import Vectors
from .base import Format, is_unicode, word_blocks
from .folder import file_in, mapped_array, read_json, vectors_over

TITLE = "spaCy vectors"
NONE = ": small pipelines (those named _sm) come without vectors"
PARTS = ("key2row", "vectors.cfg", "strings.json")
MULTIPLIER, SHIFT, SEED = 0xC6A4A7935BD1E995, np.uint64(47), 1  # of MurmurHash64A; the seed is spaCy's
WIDTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}  # bytes of msgpack's unsigned numbers, by the byte before them
MAPS = {0xDE: 2, 0xDF: 4}  # bytes of the number of entries
ENTRY = np.dtype([("key_type", "u1"), ("key", ">u8"), ("row_type", "u1"), ("row", ">u4")])

# Names that spaCy reserves: the number of each is its place here.
_BEFORE = """IS_ALPHA IS_ASCII IS_DIGIT IS_LOWER IS_PUNCT IS_SPACE IS_TITLE IS_UPPER LIKE_URL LIKE_NUM LIKE_EMAIL
IS_STOP IS_OOV_DEPRECATED IS_BRACKET IS_QUOTE IS_LEFT_PUNCT IS_RIGHT_PUNCT IS_CURRENCY"""
_BETWEEN = """ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS TAG DEP ENT_IOB ENT_TYPE HEAD SENT_START
SPACY PROB LANG ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X EOL SPACE"""
_AFTER = """PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT WORK_OF_ART LANGUAGE LAW DATE TIME PERCENT MONEY QUANTITY
ORDINAL CARDINAL acomp advcl advmod agent amod appos attr aux auxpass cc ccomp complm conj cop csubj csubjpass dep det
dobj expl hmod hyph infmod intj iobj mark meta neg nmod nn npadvmod nsubj nsubjpass num number oprd obj obl parataxis
partmod pcomp pobj poss possessive preconj prep prt punct quantmod relcl rcmod root xcomp acl ENT_KB_ID MORPH ENT_ID
IDX _"""
FLAGS = [f"FLAG{i}" for i in range(19, 64)]
DEPRECATED = [f"DEPRECATED{i:03}" for i in range(1, 277)]
SYMBOLS = ["", *_BEFORE.split(), *FLAGS, *_BETWEEN.split(), *DEPRECATED, *_AFTER.split()]
NUMBERS = {name: number for number, name in enumerate(SYMBOLS)}


def looks_like(path: Path, head: bytes) -> bool:
    return any((folder / part).exists() for folder in (path, path / "vocab") for part in PARTS)


def load(path: Path) -> Vectors:
    """Open the vectors of a folder that ``nlp.to_disk`` or ``nlp.vocab.to_disk`` made.

    Words that share a row, as they do after ``prune_vectors``, share it here. Words come in the order in which they
    were added. Vectors whose word is not in ``strings.json`` are left out, with a warning: spaCy cannot name them
    either.
    """
    folder = path if any((path / part).exists() for part in PARTS) else path / "vocab"
    files = [file_in(folder, name, TITLE) for name in ("vectors", "key2row", "strings.json")]
    if (folder / "vectors.cfg").exists():  # spaCy 2 has none
        _check_mode(file_in(folder, "vectors.cfg", TITLE))
    matrix = mapped_array(files[0])
    if matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise ValueError(f"{files[0]} should hold a matrix of floats, got shape {matrix.shape} of {matrix.dtype}")
    if 0 in matrix.shape:
        raise ValueError(f"{files[0]} holds an empty matrix of shape {matrix.shape}{NONE}")
    with reading(files[1], "a msgpack map of whole numbers"):
        keys, rows = _read_map(files[1].read_bytes())
        if (rows >= len(matrix)).any():
            raise ValueError(f"it names row {rows.max():,}, and the matrix beside it has {len(matrix):,} rows")
    with reading(files[2], "a list of strings"):
        strings = SYMBOLS + read_json(files[2])
        numbers = word_numbers(strings)
    order = np.argsort(numbers, kind="stable")
    which = order[np.searchsorted(numbers[order], keys).clip(max=len(strings) - 1)]
    is_named = (numbers[which] == keys) & np.array(["\0" not in strings[i] for i in which], bool)
    if not is_named.any():
        raise ValueError(f"{folder} holds no vector of any word{NONE}")
    if not is_named.all():
        warn(f"{(~is_named).sum():,} of {len(keys):,} vectors have no word in {files[2]}: they are left out")
    return vectors_over([strings[i] for i in which[is_named]], rows[is_named].astype(np.int64), matrix, files)


def _check_mode(path: Path) -> None:
    """Refuse tables that are not one row a word."""
    with reading(path, "settings"):
        mode = read_json(path).get("mode", "default")
    if mode == "floret":
        raise ValueError(
            f"{path} says that these are floret vectors, which are put together from hashed n-grams and cannot be "
            "read; in spaCy, take those of your words: Vectors.from_arrays(words, [nlp.vocab[w].vector for w in words])"
        )
    if mode != "default":
        raise ValueError(f"{path} should say mode 'default', got {str(mode)[:60]!r}")


def _read_map(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Keys and rows of a msgpack map: (n,) uint64 each."""
    size = MAPS.get(data[0], 0) if data else 0
    if not data or (size == 0 and data[0] >> 4 != 8):  # a map of up to 15 entries has their number in its first byte
        raise ValueError(f"it begins with {data[:8]!r}")
    n, at = int.from_bytes(data[1 : 1 + size], "big") if size else data[0] & 15, 1 + size
    if 2 * n > len(data) - at:
        raise ValueError(f"it claims {n:,} entries, which cannot be in its {len(data):,} bytes")
    numbers = array("Q", bytes(16 * n))
    for i in range(2 * n):
        kind = data[at] if at < len(data) else 0xCF
        if kind >= 0x80 and kind not in WIDTHS:
            raise ValueError(f"expected whole numbers from 0 on, got type {kind:#x} at byte {at:,}")
        width = WIDTHS.get(kind, 0)  # below 0x80 the byte is the number itself
        numbers[i] = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else kind
        at += 1 + width
    keys, rows = np.frombuffer(numbers, np.uint64).reshape(n, 2).T
    if at != len(data) or len(np.unique(keys)) < n:
        raise ValueError(f"its {n:,} entries do not end with the file, or one comes twice")
    return keys, rows


def word_numbers(words: list[str]) -> np.ndarray:
    """Return the number by which spaCy knows each word: (n,) uint64.

    MurmurHash64A of the UTF-8 bytes, or the place among `SYMBOLS`. Words of one length are hashed together.
    """
    encoded = [word.encode() for word in words]
    lengths = np.array([len(word) for word in encoded], np.int64)
    multiplier = np.uint64(MULTIPLIER)
    numbers = np.empty(len(words), np.uint64)
    for length in np.unique(lengths).tolist():
        which = np.flatnonzero(lengths == length)
        whole = -(-length // 8) * 8
        padded = b"".join(encoded[i].ljust(whole, b"\0") for i in which)
        blocks = np.frombuffer(padded, "<u8").reshape(len(which), whole // 8).astype(np.uint64)  # (n, n_blocks)
        full = blocks[:, : length // 8]
        full *= multiplier
        full ^= full >> SHIFT
        full *= multiplier
        hashes = np.full(len(which), SEED ^ (length * MULTIPLIER) % 2**64, np.uint64)
        for block in blocks.T:  # the last one, when it is not full, goes in as it is
            hashes ^= block
            hashes *= multiplier
        hashes ^= hashes >> SHIFT
        hashes *= multiplier
        numbers[which] = hashes ^ (hashes >> SHIFT)
    for i, word in enumerate(words):
        if word in NUMBERS:
            numbers[i] = NUMBERS[word]
    return numbers


# -- writing ------------------------------------------------------------------------------


def save(v: Vectors, folder: Path) -> None:
    """Write a folder that ``nlp.vocab.from_disk`` opens; words that share a row go on sharing it.

    Words that borrow a row at a length of their own get a row of their own.
    """
    rows, is_first = np.arange(len(v)), np.ones(len(v), bool)  # of each word: its row, whether no word before has it
    if v.vocab.row_of is not None and not v.is_composed:
        source = np.where(v.vocab.remapped, v.vocab.n_rows + np.arange(len(v)), v.vocab.row_of)
        _, first, which = np.unique(source, return_index=True, return_inverse=True)
        is_first = np.isin(rows, first)
        rows = (np.cumsum(is_first) - 1)[first[which]]
    with open(folder / "vectors", "wb") as file:
        about = {"descr": "<f4", "fortran_order": False, "shape": (int(is_first.sum()), v.dim)}
        np.lib.format.write_array_header_1_0(file, about)
        at = 0
        for words, block in word_blocks(v):
            file.write(block[is_first[at : at + len(words)]].astype("<f4", copy=False).data)
            at += len(words)
    entries = np.empty(len(v), ENTRY)
    entries["key_type"], entries["key"] = 0xCF, word_numbers(v.words)
    entries["row_type"], entries["row"] = 0xCE, rows
    (folder / "key2row").write_bytes(b"\xdf" + len(v).to_bytes(4, "big") + entries.tobytes())
    (folder / "strings.json").write_text(json.dumps(v.words), encoding="utf-8")
    (folder / "vectors.cfg").write_text('{"mode":"default"}', encoding="utf-8")


def also_lost(v: Vectors) -> list[str]:
    n = int(v.vocab.remapped.sum())
    return [f"words that borrow a row at a length of their own: {n:,} get a row of their own"] if n else []


SPACY = Format(
    name="spacy",
    title=TITLE,
    looks_like=looks_like,
    load=load,
    save=save,
    holds_word=is_unicode,
    also_lost=also_lost,
    is_folder=True,
)
