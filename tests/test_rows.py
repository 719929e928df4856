"""Which rows stay, which words borrow them, and n-grams folded into fewer buckets."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import made_fasttext, made_plain, made_words

import workbench as wb
from workbench import progress
from workbench.compress.choose import covering
from workbench.compress.corpus import word_counts
from workbench.evaluate.fidelity import cosines, splits
from workbench.storage import Dense
from workbench.vectors import unit
from workbench.vocab import Vocab


def clustered(n_groups: int = 40, size: int = 20, dim: int = 16, seed: int = 0) -> wb.Vectors:
    """Groups of words of one direction each; a few groups have all the frequent words."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(n_groups, dim)), size, axis=0)
    matrix = (centres + 0.2 * rng.normal(size=centres.shape)) * rng.uniform(0.5, 4, (len(centres), 1))
    counts = np.arange(len(centres), 0, -1) ** 2
    return wb.Vectors.from_arrays(made_words(len(centres), seed), matrix.astype(np.float32), counts)


# -- words that borrow rows -------------------------------------------------------------

REMAPPING = [
    wb.Prune(100, remap="nearest"),
    wb.Prune(100, remap="nearest", choose="coverage"),
    wb.Prune(100, 200, remap="nearest", threshold=0.7),
]


@pytest.mark.parametrize("model", [made_plain(), made_fasttext()], ids=["plain", "fastText"])
@pytest.mark.parametrize("step", REMAPPING, ids=repr)
def test_a_word_borrows_the_row_of_its_nearest_kept_word_at_its_own_length(step, model):
    small = step.fit_transform(model)
    before = model.matrix()
    units = unit(before.astype(float))
    nearest = (units @ units[step.words_].T).max(axis=1)
    gone = np.setdiff1d(np.arange(len(model)), step.words_)
    np.testing.assert_array_equal(step.remapped_, gone[nearest[gone] >= step.threshold])
    assert small.words == [model.words[i] for i in np.union1d(step.words_, step.remapped_)]
    borrowers = [model.words[i] for i in step.remapped_]
    np.testing.assert_allclose(cosines(small[borrowers], before[step.remapped_]), nearest[step.remapped_], atol=1e-5)
    lengths = np.linalg.norm(before[step.remapped_], axis=1)
    np.testing.assert_allclose(np.linalg.norm(small[borrowers], axis=1), lengths, rtol=1e-3)
    assert len(small.storage.words) == 100
    np.testing.assert_array_equal(small.vocab.remapped, np.isin(small.words, borrowers))
    kept = [model.words[i] for i in step.words_]
    np.testing.assert_array_equal(small[kept], model.adjusted()[kept])


def test_neighbours_of_borrowers_are_those_of_their_decoded_vectors(plain):
    small = wb.Prune(100, remap="nearest").fit_transform(plain)
    word = small.words[int(np.flatnonzero(small.vocab.remapped)[0])]
    decoded = wb.Vectors.from_arrays(small.words, small.matrix())
    (ours, theirs) = (dict(v.most_similar(word, topn=len(v) - 1)) for v in (small, decoded))
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose([ours[w] for w in theirs], list(theirs.values()), atol=1e-5)
    np.testing.assert_allclose(small.norms, np.linalg.norm(small.matrix(), axis=1), rtol=1e-6)
    np.testing.assert_array_equal(small.to_gensim()[word], small[word])
    index = np.flatnonzero(small.vocab.remapped)[[7, 3, 5]]
    for part, of in ((small.take(index), index), (small.head(40), slice(40))):
        np.testing.assert_array_equal(part.matrix(), small.matrix()[of])
        np.testing.assert_array_equal(part.vocab.remapped, small.vocab.remapped[of])


def test_zero_and_very_long_vectors_borrow_and_lend_what_is_finite():
    matrix = np.float32([[0, 0], [1, 0], [0, 0], [1, 0.1], [-1, 0]])
    v = wb.Vectors.from_arrays(list("abcde"), matrix)
    small = wb.Prune(2, remap="nearest").fit_transform(v)  # keeps a and b
    assert small.words == ["a", "b", "c", "d"]  # all but the one that points the other way
    np.testing.assert_array_equal(small["c"], [0, 0])
    assert small.similarity("d", "b") == pytest.approx(1)
    assert wb.Prune(1, remap="nearest").fit_transform(v).words == ["a"]
    assert wb.Prune(2, choose="kmeans").fit_transform(v).norms.tolist() == pytest.approx(v.norms.tolist(), rel=1e-3)
    far = wb.Vectors.from_arrays(["a", "b"], np.float32([[1e-3, 0], [1e6, 1]]))  # float16 holds no such scale
    assert np.isfinite(wb.Prune(1, remap="nearest").fit_transform(far).matrix()).all()


def test_later_steps_leave_shared_rows_shared(plain):
    once = wb.Prune(300, remap="nearest").fit_transform(plain)
    for step in (wb.SQ(), wb.PQ(4), wb.SVD(6), wb.RQ(2, n_bits=4), wb.OPQ(3, n_bits=4)):
        small = step.fit_transform(once)
        np.testing.assert_array_equal(small.vocab.row_of, once.vocab.row_of)
        np.testing.assert_array_equal(small.vocab.scales, once.vocab.scales)
        assert len(small.storage.words) == 300


def test_pruning_again_remaps_to_the_rows_that_are_left(plain):
    once = wb.Prune(300, remap="nearest").fit_transform(plain)
    same = wb.Prune(300, remap="nearest").fit_transform(once)
    np.testing.assert_array_equal(same.matrix(), once.matrix())
    step = wb.Prune(400, remap="nearest", threshold=-1)  # more words than rows: some keep on borrowing
    twice = step.fit_transform(once)
    assert twice.words == once.words
    assert len(twice.storage.words) <= 300
    kept = [once.words[i] for i in step.words_]
    np.testing.assert_array_equal(twice[kept], once[kept])
    np.testing.assert_allclose(twice.norms, once.norms, rtol=2e-3)
    assert wb.Prune(50).fit_transform(once).vocab.scales is None  # frequent ones have their own


def test_many_rows_are_numbered_in_more_bytes(tmp_path):
    for n_rows in (1 << 16, (1 << 16) + 1):
        vocab = Vocab([str(i) for i in range(n_rows + 1)], np.append(np.arange(n_rows), 0))
        v = wb.Vectors(vocab, Dense(np.arange(n_rows, dtype=np.float32)[:, None]))
        np.testing.assert_array_equal(wb.load(v.save(tmp_path / "m")).vocab.row_of, vocab.row_of)


# -- which rows stay --------------------------------------------------------------------


def test_coverage_serves_the_words_that_go_better_than_frequency():
    v = clustered()
    frequent, coverage = (
        cosines(wb.Prune(40, choose=c, remap="nearest").fit_transform(v).get_vectors(v.words, "zero"), v.matrix())
        for c in ("frequent", "coverage")
    )
    assert coverage.mean() > 0.9 > frequent.mean() + 0.2


@pytest.mark.parametrize("seed", range(3))
def test_lazy_greedy_chooses_what_greedy_chooses(seed):
    units = unit(np.random.default_rng(seed).normal(size=(40, 4)).astype(np.float32))
    similarities = np.maximum(units @ units.T, 0).astype(float)
    covered, chosen = np.zeros(40), []
    for _ in range(12):
        gains = np.maximum(similarities - covered[:, None], 0).sum(axis=0)
        chosen.append(int(gains.argmax()))
        covered = np.maximum(covered, similarities[:, chosen[-1]])
    assert covering(units, 12).tolist() == chosen


def test_coverage_fills_up_with_the_most_frequent():
    matrix = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    v = wb.Vectors.from_arrays([f"w{i}" for i in range(15)], matrix, np.arange(15))
    small = wb.Prune(6, choose="coverage").fit_transform(v)
    assert small.words == ["w0", "w5", "w10", "w12", "w13", "w14"]
    assert len(wb.Prune(3, choose="coverage").fit_transform(v.with_storage(Dense(0 * matrix)))) == 3


def test_kmeans_keeps_every_word_at_its_own_length_on_few_rows():
    v = clustered()
    small = wb.Prune(40, choose="kmeans").fit_transform(v)
    assert small.words == v.words
    assert len(small.storage.words) == 40
    assert small.vocab.remapped.all()
    np.testing.assert_allclose(small.norms, v.norms, rtol=1e-3)
    units, rows = unit(v.matrix()), small.storage.words.rows(slice(None))
    np.testing.assert_allclose(cosines(small.matrix(), v.matrix()), (units @ rows.T).max(axis=1), atol=1e-5)
    assert cosines(small.matrix(), v.matrix()).mean() > 0.85


def test_asking_for_as_many_rows_as_there_are_words_changes_nothing(plain):
    for choose in ("frequent", "coverage", "kmeans"):
        small = wb.Prune(700, choose=choose, remap=None if choose == "kmeans" else "nearest").fit_transform(plain)
        np.testing.assert_array_equal(small.matrix(), plain.matrix())
        assert small.vocab.row_of is None


def test_work_that_nobody_waits_for_can_be_stopped(plain):
    def stop(what, share):
        raise progress.Stopped

    for step in (wb.Prune(50, choose="coverage"), wb.Prune(50, choose="kmeans"), wb.Prune(50, remap="nearest")):
        with progress.told_to(stop), pytest.raises(progress.Stopped):
            step.fit(plain)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (wb.Prune(5, choose="best"), "choose must be one of"),
        (wb.Prune(5, remap="closest"), "remap must be one of"),
        (wb.Prune(5, threshold=1.5), "threshold must be a finite number from -1 to 1"),
        (wb.Prune(5, importance=3), "importance must be one of"),
        (wb.Prune(5, random_state=-1), "random_state must be a whole number"),
        (wb.Prune(10, choose="kmeans", remap="nearest"), "Prune"),  # would do nothing, as the next one
        (wb.Prune(10, threshold=None), "Prune"),
        (wb.Rehash(0), "n_buckets must be a whole number of at least 1"),
        (wb.Rehash(5), "this model has none; leave it out"),
    ],
    ids=repr,
)
def test_choices_that_make_no_sense_are_refused(plain, step, said):
    with pytest.raises(ValueError, match=said):
        step.fit(plain)


# -- importance -------------------------------------------------------------------------


def test_ngrams_stay_by_their_share_of_words_or_counts_times_norm_or_by_norm(fasttext, plain):
    subwords, rows = fasttext.vocab.subwords, fasttext.storage.ngrams.matrix
    by_words, by_counts, used = np.zeros((3, 3_000))
    for word, count in zip(fasttext.words, fasttext.vocab.counts, strict=True):
        buckets = subwords.buckets([word])[1]
        np.add.at(by_words, buckets, 1 / len(buckets))
        np.add.at(by_counts, buckets, count / len(buckets))
        used[buckets] = 1
    for importance, weight in (("words", by_words), ("counts", by_counts), ("norms", used)):
        small = wb.Prune(n_ngrams=60, importance=importance).fit_transform(fasttext)
        expected = np.sort(np.argsort(-weight * np.linalg.norm(rows, axis=1), kind="stable")[:60])
        np.testing.assert_array_equal(np.flatnonzero(small.vocab.subwords.bucket_to_row >= 0), expected)
        np.testing.assert_array_equal(small.storage.ngrams.rows(slice(None)), rows[expected])
    with pytest.raises(ValueError, match=r"no word counts; take importance='words', or the path"):
        wb.Prune(1, importance="counts").fit(plain.with_storage(plain.storage, plain.vocab.with_counts(None)))


@pytest.fixture
def corpus(tmp_path, fasttext):
    """A text of twenty words of the model, the last ones most often, and of two that it lacks."""
    words = fasttext.words[:20]
    text = " ".join(" ".join([word] * (i + 1)) for i, word in enumerate(words)) + "\n!!\nbadufi-x badufi-x\n"
    (tmp_path / "text").write_text(text, encoding="utf-8")
    return tmp_path / "text"


def test_ngrams_and_words_of_the_corpus_stay(fasttext, corpus):
    words = fasttext.words[:20]
    step = wb.Prune(20, 500, importance=str(corpus))
    small = step.fit_transform(fasttext)
    assert small.words == words
    buckets = np.unique(fasttext.vocab.subwords.buckets(words)[1])
    assert len(buckets) < 500
    assert (small.vocab.subwords.bucket_to_row[buckets] >= 0).all()
    few = wb.Prune(5, importance=corpus).fit_transform(fasttext)
    assert few.words == words[15:]
    more = wb.Prune(30, importance=corpus).fit_transform(fasttext)  # filled up by the model's own counts
    others = np.argsort(-fasttext.vocab.counts, kind="stable")
    assert set(more.words) == {*words, *[fasttext.words[i] for i in others if i >= 20][:10]}


def test_coverage_is_the_share_of_the_corpus_that_is_kept_and_that_has_a_vector(fasttext, corpus):
    step = wb.Prune(5, 0, importance=corpus).fit(fasttext)
    assert step.coverage_ == {"kept": pytest.approx(90 / 213), "embedded": pytest.approx(90 / 213)}
    step = wb.Prune(5, 0, importance=corpus, remap="nearest", threshold=-1).fit(fasttext)
    assert step.coverage_ == {"kept": pytest.approx(90 / 213), "embedded": pytest.approx(210 / 213)}
    step = wb.Prune(5, 20, importance=corpus)
    small = step.fit_transform(fasttext)
    embedded = sum(n for word, n in word_counts(corpus).items() if small.can_embed(word))
    assert 90 < embedded < 213
    assert step.coverage_ == {"kept": pytest.approx(90 / 213), "embedded": pytest.approx(embedded / 213)}
    assert wb.Prune(5).fit(fasttext).coverage_ is None


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "text",
    ["кот the the\n\tкот  the\n", "the 3\nкот 2\n", "the\t1\r\nкот\t2\r\n\r\nthe\t2", "the the the кот кот"],
)
def test_a_text_and_a_list_of_counts_say_the_same_in_chunks_of_any_size(text, pack, size, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.compress.corpus.CHUNK", size)
    (tmp_path / "c").write_bytes(pack(text.encode()))
    assert word_counts(tmp_path / "c") == {"the": 3, "кот": 2}


def test_a_path_with_the_name_of_an_option_is_a_path_and_survives_json(plain, corpus, tmp_path, monkeypatch):
    assert wb.from_json(json.dumps(wb.Prune(5, importance=corpus).to_json())) == wb.Prune(5, importance=str(corpus))
    monkeypatch.chdir(tmp_path)
    Path("counts").write_text(f"{plain.words[-1]} {plain.words[-1]}")
    step = wb.Prune(1, importance=Path("counts"))
    for same in (step, wb.from_json(step.to_json())):
        assert same.fit_transform(plain).words == plain.words[-1:]


# -- Rehash -----------------------------------------------------------------------------


def folded_by_hand(v: wb.Vectors, n_buckets: int) -> dict[int, np.ndarray]:
    """Mean row of each new bucket, over the words that use its old ones."""
    subwords, rows = v.vocab.subwords, v.storage.ngrams.rows(slice(None)).astype(float)
    table = np.arange(subwords.n_buckets) if subwords.bucket_to_row is None else subwords.bucket_to_row
    sums: dict[int, list] = {}
    for word in v.words:
        for bucket in set(subwords.buckets([word])[1].tolist()):
            if table[bucket] >= 0:
                sums.setdefault(bucket % n_buckets, []).append(rows[table[bucket]])
    return {bucket: np.mean(found, axis=0) for bucket, found in sums.items()}


@pytest.mark.parametrize("n_buckets", [1, 300, 2_999, 3_000])
@pytest.mark.parametrize("model", [made_fasttext(), wb.Prune(n_ngrams=900).fit_transform(made_fasttext())], ids=repr)
def test_new_rows_are_means_of_old_ones_weighted_by_the_words_that_use_them(model, n_buckets):
    small = wb.Rehash(n_buckets).fit_transform(model)
    expected = folded_by_hand(model, n_buckets)
    table = small.vocab.subwords.bucket_to_row
    assert len(table) == n_buckets
    assert set(np.flatnonzero(table >= 0)) == set(expected)
    rows = small.storage.ngrams.rows(slice(None))
    for bucket, row in expected.items():
        np.testing.assert_allclose(rows[table[bucket]], row, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(small.matrix(), model.matrix())  # known words are whole by now


@pytest.mark.parametrize("n_buckets", [[1_000], [700], [700, 350], [700, 300], [1_500, 700, 300]], ids=repr)
def test_unseen_words_find_their_folded_rows(fasttext, n_buckets):
    small = wb.Chain([wb.Rehash(n) for n in n_buckets]).fit_transform(fasttext)
    table, rows = small.vocab.subwords.bucket_to_row, small.storage.ngrams.rows(slice(None))
    for word in ("bakelite", "ласт"):
        buckets = fasttext.vocab.subwords.buckets([word])[1]
        for modulus in n_buckets:
            buckets = buckets % modulus
        found = table[buckets]
        np.testing.assert_allclose(small[word], rows[found[found >= 0]].mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(small.get_vectors([word] * 50)[49], small[word])


def test_rehash_counts_the_words_of_the_chains_input(fasttext):
    chain = wb.Chain([wb.Prune(50), wb.Rehash(300)]).fit_transform(fasttext)
    whole = wb.Rehash(300).fit_transform(fasttext)
    np.testing.assert_array_equal(chain.storage.ngrams.rows(slice(None)), whole.storage.ngrams.rows(slice(None)))


def test_rehash_refuses_more_buckets_than_there_are_and_another_model(fasttext):
    with pytest.raises(ValueError, match="the model has 3,000 buckets only; take fewer"):
        wb.Rehash(3_001).fit(fasttext)
    with pytest.raises(ValueError, match="fitted on 3,000 buckets, got 700"):
        wb.Rehash(500).fit(fasttext).transform(wb.Rehash(700).fit_transform(fasttext))


# -- the scorecard ----------------------------------------------------------------------


def test_remapped_words_are_a_split_of_their_own(fasttext, plain):
    step = wb.Prune(200, remap="nearest", threshold=0.8)
    small = step.fit_transform(fasttext)
    found = splits(fasttext.words, small)
    np.testing.assert_array_equal(found["kept"], step.words_)
    np.testing.assert_array_equal(found["remapped"], step.remapped_)
    assert sum(map(len, found.values())) == 700
    card = wb.scorecard(fasttext, small, pairs={}, n_queries=700).set_index(["metric", "split"])["value"]
    assert card["fidelity", "kept"] == pytest.approx(1)
    expected = cosines(fasttext.matrix()[step.remapped_], small[[fasttext.words[i] for i in step.remapped_]])
    assert card["fidelity", "remapped"] == pytest.approx(expected.mean())
    assert card["norm_ratio", "remapped"] == pytest.approx(1, abs=1e-3)
    of = ["kept", "remapped", "dropped"]
    together = sum(card["overlap@10", s] * len(found[s]) for s in of) / 700
    assert together == pytest.approx(card["overlap@10", "all"])
    all_borrow = wb.scorecard(plain, wb.Prune(100, choose="kmeans").fit_transform(plain), pairs={}, n_queries=50)
    assert set(all_borrow.loc[all_borrow["metric"] == "fidelity", "split"]) == {"remapped"}
