"""Texts as vectors: weights, types, scikit-learn's conventions, search and labels."""

import copy
import pickle
import re
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn.utils.estimator_checks as checks
from conftest import made_fasttext
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import workbench as wb
from workbench import networks
from workbench.__main__ import main
from workbench.networks import WordTokenizer, classify, embed_blocks, nearest_texts, stemmed
from workbench.networks.words import KINDS
from workbench.storage import Dense

STOL = ["стол", "стола", "столу", "столом", "столе", "столы", "столов", "столам", "столами", "столах"]
ANIMALS = {"cat": [1, 0.1], "car": [0, 1], "cats": [0.9, 0.3], "dog": [0.8, 0], "the": [0.5, 0.5], "cars": [0.1, 0.9]}


@pytest.fixture(scope="module")
def animals():
    return wb.Vectors.from_arrays(list(ANIMALS), np.array(list(ANIMALS.values())), np.array([5, 7, 15, 6, 100, 8]))


@pytest.fixture
def texts(fasttext):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(fasttext.words, rng.integers(2, 9))) for _ in range(60)]


@pytest.mark.parametrize("counted", ["by the model", "in the texts"])
def test_sif_is_the_algorithm_of_the_paper(counted, fasttext, texts):
    """Algorithm 1 of Arora, Liang and Ma (2017), with the first singular vector of the texts' matrix."""
    v, words = fasttext, [text.split() for text in texts]
    seen = pd.Series(fasttext.vocab.counts, fasttext.words)
    if counted == "in the texts":
        v = v.with_storage(v.storage, v.vocab.with_counts(None))
        seen = pd.Series(" ".join(texts).split()).value_counts()
    p = seen / seen.sum()
    X = np.array([np.mean([1e-3 / (1e-3 + p[w]) * v[w].astype(float) for w in of], axis=0) for of in words]).T
    u = np.linalg.svd(X)[0][:, :1]
    expected = X - u @ u.T @ X
    np.testing.assert_allclose(wb.TextVectors(v, "sif").fit_transform(texts), expected.T, atol=1e-5)
    rare = wb.TextVectors(v, "sif", a=1e-5, n_directions=2).fit(texts)
    assert np.abs(rare.transform(texts) @ rare.directions_.T).max() < 1e-4 < np.abs(rare.transform(texts)).max()


def test_idf_is_the_mean_by_scikit_learns_weights(fasttext, texts):
    tf_idf = TfidfVectorizer(analyzer=WordTokenizer(), norm="l1").fit(texts)
    expected = tf_idf.transform(texts) @ fasttext[tf_idf.get_feature_names_out().tolist()]
    np.testing.assert_allclose(wb.TextVectors(fasttext, "idf").fit_transform(texts), expected, atol=1e-5)


@pytest.mark.parametrize("weighting", ["mean", "sif", "idf"])
@pytest.mark.parametrize("tokenize", [*KINDS, str.split])
def test_a_text_has_the_same_vector_in_any_company_and_any_order_of_words(weighting, tokenize, fasttext, texts):
    to_vectors = wb.TextVectors(fasttext, weighting, tokenize).fit(texts)
    whole = to_vectors.transform(texts)
    assert (whole.dtype, whole.shape, np.isfinite(whole).all()) == (np.float32, (60, fasttext.dim), True)
    one_by_one = np.concatenate([*embed_blocks(to_vectors, iter(texts), 1)])
    np.testing.assert_allclose(one_by_one, whole, atol=1e-5)
    turned = [" ".join(text.split()[::-1]) for text in texts[::-1]]
    np.testing.assert_allclose(to_vectors.transform(turned)[::-1], whole, atol=1e-5)


def test_misspelt_words_have_vectors_by_n_grams_and_a_text_without_known_words_is_zeros(fasttext, plain):
    word = fasttext.words[5]
    np.testing.assert_allclose(
        wb.TextVectors(fasttext).transform([f"{word} {word}x"])[0], fasttext[[word, f"{word}x"]].mean(axis=0), atol=1e-6
    )
    with pytest.warns(UserWarning, match=r"^2 of 3 texts have no known word and are rows of zeros, as 'qqqq'$") as told:
        rows = wb.TextVectors(plain, "sif").fit([" ".join(plain.words)]).transform([plain.words[3], "qqqq", ""])
    assert len(told) == 1
    assert rows.any(axis=1).tolist() == [True, False, False]


def test_n_grams_are_mixed_in(fasttext):
    word = fasttext.words[5]
    mixed = wb.TextVectors(fasttext, tokenize="word+ngrams").transform([word])[0]
    means = fasttext.ngram_means([word])[0][0]
    np.testing.assert_allclose(mixed, (fasttext[word] + means) / 2, atol=1e-6)
    np.testing.assert_allclose(wb.TextVectors(fasttext, tokenize="stem ngrams").transform([word])[0], means, atol=1e-6)


def test_all_forms_of_a_noun_share_a_stem_and_the_ending_keeps_them_apart():
    both = [WordTokenizer("stem+ending", "russian")(form) for form in STOL]
    assert {tokens[0] for tokens in both} == {"стол"}
    assert ["".join(tokens).replace("+", "") for tokens in both] == STOL
    assert [WordTokenizer("stem", "russian")(form) for form in STOL] == [["стол"]] * 10
    assert WordTokenizer("stem+ending")("hoping, happy Cats") == ["hope", "+ing", "happi", "+y", "cat", "+s"]


def test_each_kind_says_what_it_gives_and_no_mark_can_be_in_a_word():
    for tokenize, kind in KINDS.items():
        types = WordTokenizer(tokenize)("Cats")
        said = kind.example.removesuffix(", ...").split(", ")
        assert types[: len(said)] == said
        assert all(token in ("cat", "cats") or not re.match(r"\w", token) for token in types)


def test_words_with_one_stem_have_their_mean_by_counts_also_where_they_are_very_many(animals, monkeypatch):
    monkeypatch.setattr("workbench.networks.words.BLOCK", 2)
    stems = stemmed(animals.head(6), "english")
    assert stems.words == ["cat", "car", "dog", "the"]
    assert stems.vocab.counts.tolist() == [20, 15, 6, 100]
    np.testing.assert_allclose(stems["cat"], [0.925, 0.25], atol=1e-6)
    rows = wb.TextVectors(animals, tokenize="stem+ending").transform(["cat", "cats"])
    np.testing.assert_allclose(rows, stems[["cat", "cat"]])


@pytest.mark.parametrize("residual", [False, True])
def test_an_unknown_stem_has_the_mean_of_its_n_grams(residual):
    v = made_fasttext()
    v = wb.Residual().fit_transform(v.adjusted()) if residual else v
    stems = stemmed(v, "english")
    np.testing.assert_allclose(stems["unheard"], v["unheard"], atol=1e-6)
    lone = [w for w in stems.words if w in v and w.isalpha()][:5]
    np.testing.assert_allclose(stems[lone], v[lone], atol=1e-6)


def test_the_costs_of_kinds_are_a_table():
    table = networks.token_costs(STOL, ["word", "stem", "stem+ending", str.split], "russian").set_index("tokenize")
    assert table["types"].to_dict() == {"word": 10, "stem": 1, "stem+ending": 10, "split": 10}
    assert table["tokens"].to_dict() == {"word": 10, "stem": 10, "stem+ending": 19, "split": 10}


class OfTables(wb.TextVectors):
    """Takes the tables of numbers that scikit-learn's checks feed: each number becomes a word."""

    def fit(self, X, y=None):
        return super().fit(self.told(X))

    def transform(self, X):
        return super().transform(self.told(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, True
        return tags

    def told(self, X):
        return [" ".join(f"w{abs(int(x * 10))}" for x in row) for row in np.asarray(X)]


CHECKS = """estimator_tags_renamed valid_tag_types estimator_repr no_attributes_set_in_init mixin_order set_params
estimators_unfitted do_not_raise_errors_in_init_or_set_params get_params_invariance transformers_unfitted
parameters_default_constructible estimator_cloneable set_output_transform"""
CHECKS_ON_TABLES = """fit_score_takes_y estimators_overwrite_params estimators_fit_returns_self dict_unchanged
dont_overwrite_parameters estimators_pickle pipeline_consistency methods_subset_invariance
readonly_memmap_input methods_sample_order_invariance fit_check_is_fitted"""


@pytest.mark.parametrize("name", CHECKS.split() + CHECKS_ON_TABLES.split())
@pytest.mark.filterwarnings("ignore:.*no known word")
def test_scikit_learns_own_checks(name, builtin):
    """Left out are those on what only tables have: their width and columns, complex numbers, NaN, sparse arrays."""
    v = builtin.head(50) if name != "parameters_default_constructible" else "builtin:en"
    estimator = (OfTables if name in CHECKS_ON_TABLES else wb.TextVectors)(v, "sif")
    getattr(checks, f"check_{name}")("TextVectors", estimator)


def test_it_works_in_a_pipeline_a_grid_a_table_and_other_processes(fasttext, texts, tmp_path):
    labels = ["ab"[i % 2] for i in range(60)]
    v = wb.load(fasttext.save(tmp_path / "v.safetensors"))  # mapped
    pipeline = make_pipeline(wb.TextVectors(v), LogisticRegression())
    choices = {"textvectors__weighting": ["mean", "sif", "idf"], "textvectors__tokenize": ["word", "stem"]}
    grid = GridSearchCV(pipeline, choices, cv=2).fit(texts, labels)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    best = wb.TextVectors(str(tmp_path / "v.safetensors"), "sif", "stem").fit(texts)
    for copied in (pickle.loads(pickle.dumps(best)), copy.deepcopy(best), clone(best).fit(texts)):
        np.testing.assert_array_equal(copied.transform(texts), best.transform(texts))
    pickled = pickle.dumps(best)
    best.transform(["some", "texts"])
    assert pickle.dumps(best) == pickled
    workers = Parallel(2)(delayed(best.transform)(texts[i::2]) for i in (0, 1))
    np.testing.assert_allclose(workers[1], best.transform(texts[1::2]), atol=1e-6)
    table = pd.DataFrame({"n": range(60), "text": texts}, index=range(100, 160))
    joined = make_column_transformer((clone(best), "text"), remainder="passthrough").set_output(transform="pandas")
    found = joined.fit_transform(table)
    assert found.columns[[0, -1]].tolist() == ["textvectors__textvectors0", "remainder__n"]
    assert (found.index[0], found.shape) == (100, (60, v.dim + 1))


def test_clones_share_the_model_and_hold_nothing_that_was_learned(fasttext, texts):
    fitted = make_pipeline(wb.TextVectors(fasttext, "sif").fit(texts))
    tracemalloc.start()
    copies = [clone(fitted) for _ in range(10)]
    assert tracemalloc.get_traced_memory()[1] < 300_000 < fasttext.nbytes * 10
    tracemalloc.stop()
    assert all(made[0].v is fasttext and not hasattr(made[0], "vectors_") for made in copies)


WITH_NAN = wb.Vectors.from_arrays(["a", "b"], np.eye(2)).with_storage(Dense(np.array([[1, 0], [0, np.nan]], "f4")))
BAD = {
    "one text": (lambda e: e.fit("a text"), TypeError, r"got one text; write \['a text'\]$"),
    "a table": (lambda e: e.fit(pd.DataFrame({"text": ["a"]})), TypeError, r"by the name 'text', not \['text'\]$"),
    "a gap": (lambda e: e.fit(["a", None]), TypeError, r"nothing else, got NoneType at place 1; fill"),
    "an iterator": (lambda e: e.fit(iter(["a"])), TypeError, r"got list_iterator, .*embed_blocks takes iterators$"),
    "no labels": (lambda e: classify(e, ["a"], []), ValueError, r"^expected at least one label, got none$"),
    "no fit": (lambda e: e.set_params(weighting="sif").transform(["a"]), NotFittedError, "not fitted"),
    "a weighting": (lambda e: e.set_params(weighting="tf").fit([]), ValueError, r"^weighting must be one of .*'tf'$"),
    "a kind": (lambda e: e.set_params(tokenize="stam").fit([]), ValueError, r"^tokenize must be one of .*'stam'$"),
    "a language": (lambda e: e.set_params(language="klingon").fit([]), ValueError, r"one of arabic, .*'klingon'$"),
    "a": (lambda e: e.set_params(a=0).fit([]), ValueError, r"^a must be a number above 0, got 0$"),
    "directions": (lambda e: e.set_params(n_directions=1.5).fit([]), ValueError, r"^n_directions must be a whole"),
    "a model": (lambda e: e.set_params(v=3).fit([]), TypeError, r"^v must be Vectors or the path of a model, got int$"),
    "one text for blocks": (lambda e: [*embed_blocks(e, "abc")], TypeError, r"got one text; write \['abc'\]$"),
    "NaN": (lambda e: e.set_params(v=WITH_NAN).transform(["b b2 a"]), ValueError, r"^vector 0 \(word 'b'\) holds NaN"),
    "topn": (lambda e: nearest_texts(e, ["a"], ["b"], 0), ValueError, r"^topn must be a whole number of at least 1"),
    "a label": (lambda e: classify(e, ["a"], ["?!"]), ValueError, r"^a description of label '\?!' has no known word"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore:.*no known word")
def test_what_is_wrong_is_said_in_one_line(case, fasttext):
    use, error, message = BAD[case]
    with pytest.raises(error, match=message):
        use(wb.TextVectors(fasttext))


@pytest.mark.filterwarnings("ignore:.*no known word")
def test_nearest_texts_are_those_of_greatest_cosine(animals, monkeypatch):
    monkeypatch.setattr("workbench.networks.matching.CANDIDATES", 2)
    found = nearest_texts(wb.TextVectors(animals), ["cats", "?"], ["car", "dog", "?", "the car"], 2)
    assert found[["query", "rank", "text"]].to_numpy().tolist() == [["cats", 1, "dog"], ["cats", 2, "the car"]]
    assert [len(nearest_texts(wb.TextVectors(animals), *of)) for of in ([[], ["cat"]], [["cat"], []])] == [0, 0]
    a, b = animals["cats"], animals["dog"]
    assert found["score"][0] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.filterwarnings("ignore:.*no known word")
def test_labels_come_from_their_descriptions_and_may_be_none(animals):
    model = wb.TextVectors(animals)
    found = classify(model, ["cats", "cars", "the", "?"], {"pet": ["cat", "dog"], "vehicle": "car"}, threshold=0.9)
    assert found["label"].tolist() == ["pet", "vehicle", "none of these", "none of these"]
    pet = wb.vectors.unit(wb.vectors.unit(animals[["cat", "dog"]]).mean(axis=0))
    assert found["score"][0] == pytest.approx(wb.vectors.unit(animals["cats"]) @ pet)
    assert (found["margin"][:3] > 0).all()
    assert classify(model, ["cats", "the"], ["cat", "car"])["label"].tolist() == ["cat", "cat"]
    other = SimpleNamespace(embed=lambda texts: animals[texts])
    assert classify(other, ["cats", "cars"], ["cat", "car"])["label"].tolist() == ["cat", "car"]


@pytest.mark.parametrize("kind", ["vectors", "sif", "network"])
def test_the_command_embeds_each_line_of_a_file(kind, fasttext, texts, tmp_path, capsys):
    teacher = networks.Teacher.of(texts, np.random.default_rng(0).normal(size=(60, 5)))  # whose width is another
    model = teacher.mapped(networks.bag(fasttext)) if kind == "network" else fasttext
    path, options = str(model.save(tmp_path / "model.safetensors")), ["--weighting", "sif"] * (kind == "sif")
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    files = [str(tmp_path / "texts.txt"), str(tmp_path / "new" / "vectors.npy")]
    assert main(["embed", path, *files, *options]) == 0
    by_hand = model if kind == "network" else wb.TextVectors(model, *options[1:]).fit(texts)
    expected = np.concatenate([*embed_blocks(by_hand, texts)])
    np.testing.assert_allclose(np.load(files[1]), expected, atol=1e-6)
    assert main(["embed", path, files[0], files[0]]) == 2
    if kind == "network":
        assert main(["embed", path, *files, "--tokenize", "stem"]) == 2
        assert "--tokenize: for word vectors only" in capsys.readouterr().err
