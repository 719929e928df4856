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
import torch
from conftest import made_fasttext, made_network, made_pieces
from joblib import Parallel, delayed
from scipy.special import softmax
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from transformers import BertConfig, BertForSequenceClassification

import workbench as wb
from workbench import networks
from workbench.__main__ import main
from workbench.networks import Network, WordTokenizer, classify, embed_blocks, nearest_texts, stemmed
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
NLI = ("CONTRADICTION", "ENTAILMENT", "not_entailment")
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
    "labels in one text": (lambda e: classify(e, ["a"], "ab"), TypeError, r"got one text; write \['ab'\]$"),
    "a text to classify": (lambda e: classify(e, "ab", ["a"]), TypeError, r"got one text; write \['ab'\]$"),
    "a label of 3": (lambda e: classify(e, ["a"], {3: "a"}), TypeError, r"nothing else, got 3 at place 0"),
    "a description of 3": (lambda e: classify(e, ["a"], {"a": ["b", 3]}), TypeError, r"nothing else, got 3 at place 1"),
    "a label twice": (lambda e: classify(e, ["a"], ["b", "a", "b"]), ValueError, r"^label 'b' is there 2 times"),
    "a description twice": (lambda e: classify(e, ["a"], {"a": ["c", "d"], "b": "d"}), ValueError, r"^description 'd'"),
    "an empty description": (lambda e: classify(e, ["a"], {"a": ["c", " "]}), ValueError, r"^label 'a' has .* empty"),
    "no description": (lambda e: classify(e, ["a"], {"a": []}), ValueError, r"^label 'a' has no description"),
    "a label for none": (lambda e: classify(e, ["a"], ["none of these"]), ValueError, r"^a label cannot be 'none of "),
    "a threshold": (lambda e: classify(e, ["a"], ["b"], "0.5"), ValueError, r"^threshold must be a number.* '0.5'$"),
    "a NaN": (lambda e: classify(e, ["a"], ["b"], np.nan), ValueError, r"^threshold must be a number.*, got nan$"),
    "by": (lambda e: classify(e, ["a"], ["b"], by="nli"), ValueError, r"^by must be one of 'embedding', .*got 'nli'$"),
    "about": (lambda e: classify(e, ["a"], ["b"], about="of {0}"), ValueError, r"^about must be a text with \{\} "),
    "no network": (lambda e: classify(e, ["a"], ["b"], by="entailment"), TypeError, r"a Network, .*TextVectors$"),
    "no entailment": (
        lambda e: classify(made_network(made_pieces()), ["a"], ["b"], by="entailment"), ValueError,
        r"^expected a network with one label 'entailment', got no, perhaps, yes; give a BERT that was trained on",
    ),
    "no head": (
        lambda e: classify(made_network(made_pieces(), labels=()), ["a"], ["b"], by="entailment"), ValueError,
        r"with one label 'entailment', got none at all; give a BERT",
    ),
    "entailment by n-grams": (
        lambda e: classify(made_network(networks.NgramTokenizer.of(e.v), labels=NLI), ["a"], ["b"], by="entailment"),
        ValueError, r"^only a BERT, .* takes pairs of texts; this is a bert of ngrams$",
    ),
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


@pytest.mark.parametrize("by", ["embedding", "entailment"])
def test_an_empty_text_is_none_of_these_and_one_label_has_no_margin(by):
    net = made_network(made_pieces(), labels=NLI)
    found = classify(net, ["cat", "", " \n", "dog"], ["a"], by=by)
    assert found["label"].tolist() == ["a", "none of these", "none of these", "a"]
    assert found["score"].isna().tolist() == [False, True, True, False]
    assert found["margin"].isna().all()
    assert classify(net, [], ["a", "b"], by=by).shape == (0, 4)


PET = {"pet": ["cat", "dogs"], "sleep": "sleep", "letter": ["a", "b", "c"]}
THINGS = ["cat and dog", "", "cats sleep", "x y z", "dog " * 9, "j k l m"]


@pytest.mark.parametrize("about", [None, "x {} y {}"])
def test_entailment_is_the_networks_probability_for_each_text_with_each_description(about, monkeypatch):
    net = made_network(made_pieces(), labels=NLI)
    pattern, pairs, run = about or "this text is about {}", [], Network.run
    found = classify(net, THINGS, PET, by="entailment", about=about)
    for i, text in enumerate(THINGS):
        if text:
            best = {}
            for label, of in PET.items():
                pairs = [(text, pattern.replace("{}", each)) for each in ([of] if isinstance(of, str) else of)]
                best[label] = softmax(net.run(pairs).logits, axis=1)[:, 1].max()
            first, second = sorted(best, key=best.get)[:-3:-1]
            assert found["label"][i] == first
            assert found["score"][i] == pytest.approx(best[first], abs=1e-6)
            assert found["margin"][i] == pytest.approx(best[first] - best[second], abs=1e-6)
    assert found["label"].nunique() == 3
    limit = float(found["score"].median())
    above = classify(net, THINGS, PET, limit, "entailment", about)
    expected = found["label"].where(found["score"] >= limit, "none of these")
    assert above["label"].tolist() == expected.tolist()
    sizes = []
    monkeypatch.setattr(Network, "run", lambda net, pairs: [sizes.append(len(pairs)), run(net, pairs)][1])
    monkeypatch.setattr("workbench.networks.matching.BLOCK", 13)
    pd.testing.assert_frame_equal(classify(net, THINGS, PET, by="entailment", about=about), found, atol=1e-6)
    assert sizes == [12, 12, 6]  # never more pairs at once, and none of the empty text
    assert not found.equals(classify(net, THINGS, PET, by="entailment", about="{}"))


def test_the_template_stands_around_descriptions_by_embedding_too(animals):
    model = wb.TextVectors(animals)
    found = classify(model, ["cats", "cars"], ["cat", "car"], about="the {}")
    expected = classify(model, ["cats", "cars"], {"cat": "the cat", "car": "the car"})
    pd.testing.assert_frame_equal(found, expected)
    assert (found["score"] != classify(model, ["cats", "cars"], ["cat", "car"])["score"]).all()


@pytest.mark.parametrize("int8", [False, True])
def test_a_trained_network_of_entailment_tells_topics_apart_that_are_only_described(int8, topics):
    rng = np.random.default_rng(1)
    net = networks.load(topics)
    net = networks.Each(wb.SQ("int8"), on="all").fit_transform(net) if int8 else net
    of = rng.integers(3, size=60)
    texts = [" ".join(rng.choice([*TOPICS[i]], 2)) for i in of]
    labels = {topic: [*topic] for topic in TOPICS}
    found = classify(net, texts, labels, by="entailment", about="{}")
    assert np.mean(found["label"] == np.take(TOPICS, of)) > 0.95
    assert found["score"].median() > 0.9


TOPICS = ["abc", "def", "ghi"]


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    """Folder of a BERT that was trained for two seconds on pairs of letters."""
    folder, tokenizer, names = tmp_path_factory.mktemp("topics"), made_pieces(), {0: "entailment", 1: "contradiction"}
    rng, n_threads = np.random.default_rng(0), torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=35, max_position_embeddings=16, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                intermediate_size=64, initializer_range=0.3, hidden_dropout_prob=0, attention_probs_dropout_prob=0,
                id2label=names, label2id={name: i for i, name in names.items()},
            )
        )  # fmt: skip
        optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
        torch.set_num_threads(1)
        for _ in range(150):
            first, second = rng.integers(3, size=(2, 48))
            second = np.where(rng.random(48) < 0.5, first, second)
            both = zip(np.take(TOPICS, first), np.take(TOPICS, second), strict=True)
            pairs = [(" ".join(rng.choice([*a], 2)), rng.choice([*b])) for a, b in both]
            ids, weights, types = map(torch.from_numpy, tokenizer(pairs, 16))
            wrong = torch.from_numpy(np.int64(first != second))
            model(input_ids=ids, attention_mask=weights, token_type_ids=types, labels=wrong).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        torch.set_num_threads(n_threads)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.text)
    return folder


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
