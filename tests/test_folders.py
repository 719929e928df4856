"""Models that are folders, spaCy's and sentence-transformers': read as they are meant, written so that those read them.

`test_golden` has the vectors that the tools give; where they are installed, they open what is written here.
"""

import json
import os
import random
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import is_mapped
from safetensors.numpy import save_file

import workbench as wb
from workbench import formats
from workbench.formats import spacy_vocab
from workbench.vocab import Vocab

GOLDEN = Path(__file__).parent / "golden"
SPACY, STATIC = GOLDEN / "spacy", GOLDEN / "static_embedding"
SPACY_SAYS = json.loads((SPACY / "expected.json").read_text(encoding="utf-8"))
ODD = ["New York", "fine", "", "a\nb", "mark", "NOUN", "żółw", " ", "[UNKNOWN]", "😀"]


def exported(v, path, format):
    """Written without the warnings, which have tests of their own."""
    return wb.export(v, path, format, warn=False)


def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "model"))


def odd_vectors(words=ODD, seed=0):
    matrix = np.random.default_rng(seed).normal(size=(len(words), 5)).astype(np.float32)
    return wb.Vectors.from_arrays(words, matrix)


def sharing(scales=None):
    """Six words on three rows, the last of which no word has first; row 3 is nobody's."""
    vocab = Vocab(["a", "b", "c", "d", "e", "f"], np.array([4, 0, 4, 2, 0, 2]), scales=scales)
    matrix = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    return wb.Vectors(vocab, wb.Vectors.from_arrays(list("vwxyz"), matrix).storage)


# -- spaCy, read ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("whole", "Dense"), ("pruned", "Dense"), ("halves", "Scaled")])
def test_rows_that_words_share_and_their_order_are_spacys_and_stay_in_the_file(name, kind):
    v, rows = wb.load(SPACY / name), SPACY_SAYS[name]["rows"]
    assert v.words == list(rows)
    assert v.vocab.rows(np.arange(len(v))).tolist() == list(rows.values())
    assert type(v.storage).__name__ == kind
    assert is_mapped(v.storage.matrix)
    if name == "whole":
        nearest = ["apple", *(word for word, _ in v.most_similar("apple", topn=20))]
        assert nearest == SPACY_SAYS["whole"]["nearest"]


def test_words_that_share_rows_share_them_here_in_a_file_of_ours_and_after_pq(tmp_path):
    v = wb.load(SPACY / "pruned")
    assert (len(v.storage), len(v)) == (5, 9)
    back = wb.load(v.save(tmp_path / "own.safetensors"))
    assert (len(back.storage), back.matrix().tolist()) == (5, v.matrix().tolist())
    assert len(wb.PQ(n_subvectors=2, n_bits=2).fit_transform(v).storage) == 5
    assert len(wb.load(STATIC / "mapped").storage) == 3


@pytest.mark.parametrize("change", [np.asfortranarray, lambda matrix: matrix.astype(">f4"), np.float64])
def test_other_numbers_and_orders_are_the_same_vectors(tmp_path, change):
    model = copied(SPACY / "whole", tmp_path)
    np.save(tmp_path / "m.npy", change(np.load(model / "vectors")))
    (tmp_path / "m.npy").rename(model / "vectors")
    v = wb.load(model)
    assert {word: v[word].tolist() for word in v.words} == SPACY_SAYS["whole"]["vectors"]
    assert v.storage.matrix.flags.c_contiguous


def test_floret_vectors_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"floret vectors.*Vectors\.from_arrays"):
        wb.load(SPACY / "floret")


def test_vectors_without_a_word_that_can_be_held_are_left_out_and_counted(tmp_path):
    model = copied(SPACY / "whole", tmp_path)
    strings = json.loads((model / "strings.json").read_text())
    strings = ["apple\0" if word == "apple" else word for word in strings if word != "żółw"]
    (model / "strings.json").write_text(json.dumps(strings))
    apple, with_nul = (struct.pack(">Q", n) for n in spacy_vocab.word_numbers(["apple", "apple\0"]).tolist())
    (model / "key2row").write_bytes((model / "key2row").read_bytes().replace(apple, with_nul))
    with pytest.warns(UserWarning, match=r"2 of 10 vectors have no word in .*strings\.json: they are left out"):
        v = wb.load(model)
    assert {word: v[word].tolist() for word in v.words} == {
        word: vector for word, vector in SPACY_SAYS["whole"]["vectors"].items() if word not in ("apple", "żółw")
    }


# -- spaCy, written ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scales", "row_of", "lost"),
    [
        (None, [0, 1, 0, 2, 1, 2], []),
        (
            np.array([np.nan, np.nan, 0.5, np.nan, 2, np.nan], np.float16),
            [0, 1, 2, 3, 4, 3],
            ["2 get a row of their own"],
        ),
    ],
    ids=["rows alone", "at lengths of their own"],
)
def test_words_that_share_a_row_come_back_and_those_that_borrow_one_at_their_own_length_get_one(
    scales, row_of, lost, tmp_path
):
    v = sharing(scales)
    said = " ".join(formats.losses(v, "m", "spacy"))
    assert all(text in said for text in lost)
    back = wb.load(exported(v, tmp_path / "m", "spacy"))
    assert (back.words, back.matrix().tolist()) == (v.words, v.matrix().tolist())
    assert back.vocab.row_of.tolist() == row_of


@pytest.mark.parametrize("make", [odd_vectors, sharing])
def test_spacy_opens_what_is_written(tmp_path, make):
    spacy = pytest.importorskip("spacy")
    v = make()
    exported(v, tmp_path / "m", "spacy")
    blank = spacy.blank("xx")
    blank.vocab.from_disk(tmp_path / "m")
    for vocab in (spacy.vocab.Vocab().from_disk(tmp_path / "m"), blank.vocab):
        assert all(vocab.has_vector(word) for word in v.words)
        assert np.array_equal([vocab.get_vector(word) for word in v.words], v.matrix())
        assert vocab.vectors.shape == (len(set(v.vocab.rows(np.arange(len(v))).tolist())), v.dim)


def test_reserved_names_and_hashes_are_spacys():
    pytest.importorskip("spacy")
    from spacy.strings import get_string_id
    from spacy.symbols import IDS

    assert spacy_vocab.NUMBERS == IDS
    rng = random.Random(0)
    words = ["".join(chr(rng.randrange(1, 3000)) for _ in range(n % 40)) for n in range(2_000)]
    assert spacy_vocab.word_numbers(words).tolist() == [get_string_id(word) for word in words]


# -- StaticEmbedding, read -----------------------------------------------------------------


def test_modules_behind_the_vectors_are_named_and_others_refused(tmp_path):
    with pytest.warns(UserWarning, match="what Normalize of .* make of the vectors is left out"):
        wb.load(STATIC / "unigram")
    model = copied(STATIC / "wordpiece", tmp_path)
    (model / "modules.json").write_text('[{"type": "sentence_transformers.models.Transformer", "path": ""}]')
    with pytest.raises(ValueError, match=r"modules\.json .* begins with module 'Transformer'"):
        wb.load(model)


@pytest.mark.parametrize("path", ["../../wordpiece", "/etc", "..\\x", 3])
def test_a_module_outside_the_folder_is_refused(tmp_path, path):
    model = copied(STATIC / "wordpiece", tmp_path)
    module = {"type": "sentence_transformers.models.StaticEmbedding", "path": path}
    (model / "modules.json").write_text(json.dumps([module]))
    with pytest.raises(ValueError, match=r"modules\.json cannot be read as a list of modules"):
        wb.load(model)


# -- StaticEmbedding, written --------------------------------------------------------------


@pytest.mark.parametrize("words", [["fine"], ["fine", "[UNK]"]])
def test_a_row_of_zeros_stands_for_unknown_words_unless_the_model_has_one(words, tmp_path):
    v = odd_vectors(words)
    assert wb.load(exported(v, tmp_path / "m", "static-embedding")).words == words
    said = any("[UNK], a row of zeros" in lost for lost in formats.losses(v, "m", "static-embedding"))
    assert said == (len(words) == 1)
    tokenizer = json.loads((tmp_path / "m" / "0_StaticEmbedding" / "tokenizer.json").read_text())
    assert tokenizer["model"]["vocab"] == {"fine": 0, "[UNK]": 1}


def test_sentence_transformers_opens_what_is_written_and_averages_it(tmp_path):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    v = wb.load(exported(odd_vectors(), tmp_path / "m", "static-embedding"))
    model = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    assert np.array_equal(model.encode(v.words), v.matrix())
    phrase, with_unknown, unknown = model.encode(["fine mark żółw", "fine 😁 mark żółw", "😁"])
    mean = v[["fine", "mark", "żółw"]].mean(axis=0)
    np.testing.assert_allclose(phrase, mean, atol=1e-6)
    np.testing.assert_allclose(with_unknown, mean * 3 / 4, atol=1e-6)
    assert not unknown.any()
    model.save(str(tmp_path / "again"))
    again = wb.load(tmp_path / "again")
    assert (again.words, again.matrix().tolist()) == (v.words, v.matrix().tolist())


# -- damaged -------------------------------------------------------------------------------

NEEDED = [
    *(SPACY / "whole" / name for name in ("vectors", "key2row", "strings.json")),
    *(STATIC / "wordpiece" / name for name in ("model.safetensors", "tokenizer.json")),
]


@pytest.mark.parametrize("file", NEEDED, ids=lambda file: file.name)
def test_a_missing_file_an_empty_one_and_what_is_no_file_are_named(tmp_path, file, refusal):
    model = copied(file.parent, tmp_path)
    file = model / file.name
    for make in (lambda: None, file.mkdir, lambda: file.symlink_to(file), lambda: os.mkfifo(file), file.touch):
        file.unlink() if file.exists() and not file.is_dir() else None
        file.rmdir() if file.is_dir() else None
        file.unlink(missing_ok=True)
        make()
        assert refusal(model).startswith(f"/{file.name}")


@pytest.mark.parametrize(
    "matrix",
    [np.zeros(40, "<f4"), np.zeros((10, 0), "<f4"), np.zeros((10, 4), int), np.full((10, 4), None)],
    ids=lambda matrix: f"{matrix.dtype} {matrix.shape}",
)
def test_a_matrix_that_is_none_is_refused(tmp_path, matrix, refusal):
    model = copied(SPACY / "whole", tmp_path)
    with open(model / "vectors", "wb") as file:
        np.save(file, matrix)
    assert "/vectors" in refusal(model)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xdf\xff\xff\xff\xff", "claims 4,294,967,295 entries, which cannot be in its 5 bytes"),
        (b"\x81\x5c\xff", "whole numbers from 0 on, got type 0xff at byte 2"),
        (b"\x81\x5c\xce\x00\x00", "do not end with the file"),
        (b"\x82\x5c\x00\x5c\x01", "or one comes twice"),
        (b"\x81\x5c\x64", "names row 100, and the matrix beside it has 100 rows"),
        (b"\x80", "holds no vector of any word: small pipelines"),
    ],
)
def test_rows_that_cannot_be_are_refused(tmp_path, data, why, refusal):
    model = copied(SPACY / "whole", tmp_path)
    (model / "key2row").write_bytes(data)
    assert why in refusal(model)


def test_tokens_of_a_quantised_vocabulary_share_rows_and_have_a_weight_each(tmp_path):
    """As model2vec writes them since 0.7: token i is ``weights[i] * embeddings[mapping[i]]``."""
    model = copied(STATIC / "wordpiece", tmp_path)
    n = 20  # more than there are tokens
    rows = np.arange(1, 5, dtype="<f4").reshape(2, 2)
    mapping, weights = np.arange(n, dtype="<i4") % 2, np.linspace(0.5, 2, n, dtype="<f4")
    save_file({"embeddings": rows, "mapping": mapping, "weights": weights}, model / "model.safetensors")
    v = wb.load(model)
    vocab = json.loads((model / "tokenizer.json").read_bytes())["model"]["vocab"]
    for back in (v, wb.load(v.save(tmp_path / "own.safetensors"))):
        for word in set(back.words) & set(vocab):
            np.testing.assert_array_equal(back[word], weights[vocab[word]] * rows[mapping[vocab[word]]])


MATRIX = np.zeros((8, 2), np.float32)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"bert": MATRIX}, "has no array 'embedding.weight' or 'embeddings'.* it has bert"),
        ({"embeddings": MATRIX[0]}, "should hold a matrix of floats or int8"),
        ({"embeddings": MATRIX[:, :0]}, "should hold a matrix of floats or int8"),
        ({"embeddings": MATRIX > 0}, "numbers of F64, .*: KeyError: 'BOOL'"),
        ({"embeddings": MATRIX[:4]}, "the number 4; there are rows for whole numbers from 0 to 3"),
        ({"embeddings": MATRIX, "mapping": np.full(8, -1)}, "'mapping' should be row numbers below 8"),
        ({"embeddings": MATRIX, "mapping": np.full(8, 8)}, "'mapping' should be row numbers below 8"),
        ({"embeddings": MATRIX, "weights": MATRIX[:7, 0].copy()}, "'weights' should be 8 numbers"),
        ({"embeddings": MATRIX, "mapping": np.arange(8), "weights": MATRIX[:7, 0].copy()}, "8 numbers"),
    ],
)
def test_arrays_that_cannot_be_are_refused(tmp_path, arrays, why, refusal):
    model = copied(STATIC / "wordpiece", tmp_path)
    save_file(arrays, model / "model.safetensors")
    assert re.search(why, refusal(model))


@pytest.mark.parametrize("number", [-1, 8, 1.0, None])
def test_a_token_with_a_number_that_no_row_has_is_refused(tmp_path, number, refusal):
    model = copied(STATIC / "wordpiece", tmp_path)
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"]["apple"] = number
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "gives token 'apple' the number" in refusal(model)


def test_another_kind_of_folder_is_told_from_these(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(IsADirectoryError, match="no model is known to look like that"):
        wb.load(tmp_path)
    assert [formats.format_of(path) for path in (STATIC / "mapped", SPACY / "whole")] == ["static-embedding", "spacy"]
