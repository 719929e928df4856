"""N-grams that are no fastText's: finalfusion's buckets and lists of text, from numbering them to saving them."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import described, made_fasttext, made_of_kind
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.evaluate.contributions import has_same_ngrams, ngram_carriers
from workbench.storage import Dense, Stacked
from workbench.subwords import MAX_UNCOMPILED, FinalfusionBuckets, ListedNgrams, Subwords

HASHES = json.loads((Path(__file__).parent / "golden/finalfusion/hashes.json").read_text(encoding="utf-8"))
KINDS = ["finalfusion", "explicit"]
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=9)


@pytest.mark.parametrize("settings", HASHES)
def test_buckets_are_those_that_the_finalfusion_package_finds(settings):
    exponent, min_n, max_n = map(int, settings.split())
    subwords = FinalfusionBuckets(min_n, max_n, 2**exponent)
    words = list(HASHES[settings])
    for many in (words, words * MAX_UNCOMPILED):  # plain Python, unless loaded already, and compiled
        indptr, values = subwords.buckets(many)
        for i, word in enumerate(many):
            assert sorted(values[indptr[i] : indptr[i + 1]]) == sorted(HASHES[settings][word])


@given(words=st.lists(WORDS, max_size=6), min_n=st.integers(1, 4), more=st.integers(0, 4))
def test_texts_of_n_grams_belong_to_the_buckets_one_by_one(words, min_n, more):
    found = {text for word in words[::2] for text in FinalfusionBuckets(min_n, min_n + more, 8).ngrams(word)}
    texts = sorted(text for text in found if text == text.encode(errors="ignore").decode())  # no halves of pairs
    listed = ListedNgrams(min_n, min_n + more, [*texts, "not there"])
    for subwords in (Subwords(min_n, min_n + more, 2**30), FinalfusionBuckets(min_n, min_n + more, 2**30), listed):
        indptr, values = subwords.buckets(words)
        bucket_of: dict[str, int] = {}
        for i, word in enumerate(words):
            own = subwords.ngrams(word)
            assert len(own) == indptr[i + 1] - indptr[i]
            for text, bucket in zip(own, values[indptr[i] : indptr[i + 1]].tolist(), strict=True):
                assert bucket_of.setdefault(text, bucket) == bucket
                assert subwords is not listed or texts[bucket] == text


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_of_version_3_and_holds_no_n_gram_that_was_pruned(kind, tmp_path):
    model = made_of_kind(kind)
    small = wb.Prune(300, 200).fit_transform(model)
    path = small.save(tmp_path / "small")
    assert described(path)["format_version"] == 3
    assert small.file_bytes == path.stat().st_size
    again = wb.load(path)
    assert again.save(tmp_path / "again").read_bytes() == path.read_bytes()
    assert not wb.load(wb.Prune(300, 0).fit_transform(model).save(tmp_path / "none")).can_embed("bakeliteness")
    if kind == "explicit":
        assert again.vocab.subwords.n_buckets == 200 < small.vocab.subwords.n_buckets


def test_n_grams_that_share_a_row_go_on_sharing_it():
    model = made_of_kind("explicit")
    subwords = model.vocab.subwords
    buckets = np.array([0, 1, 1_999, 5, 2_000])  # 0 and 1,999 have one row, and 1 and 2,000
    kept = subwords.keep(buckets)
    assert kept.n_rows == len(subwords.kept_rows(buckets)) == 3
    table = kept.bucket_to_row
    assert table[0] == table[1_999] != table[1] == table[2_000]
    assert (np.flatnonzero(table >= 0) == np.sort(buckets)).all()
    np.testing.assert_array_equal(subwords.kept_rows(buckets)[table[buckets]], subwords.rows_of(buckets))
    word = "bakeliteness"
    texts = subwords.ngrams(word)
    rows = model.ngrams[1].rows(subwords.rows_of(np.array([subwords.numbers[text] for text in texts])))
    np.testing.assert_allclose(model[word], rows.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scorecard_refit_and_carriers_see_these_n_grams(kind):
    model = made_of_kind(kind)
    pruned = wb.Prune(300, 400).fit_transform(model)
    refitted = wb.Chain([wb.Prune(300, 400), wb.Refit(n_unseen=100)]).fit_transform(model)
    cards = (wb.scorecard(model, v, pairs={}, n_queries=50) for v in (pruned, refitted))
    before, after = (card.set_index(["metric", "split"])["value"]["fidelity", "dropped"] for card in cards)
    assert after > before
    carriers = ngram_carriers(model, pruned, model.words[0])
    assert carriers["ngram"].tolist() == model.vocab.subwords.ngrams(model.words[0])
    assert has_same_ngrams(model, pruned)
    assert not has_same_ngrams(made_fasttext(), model)
    with pytest.raises(ValueError, match="the same kind of n-grams in both models"):
        ngram_carriers(made_fasttext(), model, model.words[0])


def test_a_vocabulary_remembers_buckets_of_each_way_of_hashing_apart():
    model = made_of_kind("explicit")
    listed, same = model.vocab.subwords, ListedNgrams(3, 5, list(model.vocab.subwords.numbers))
    turned, fasttexts = ListedNgrams(3, 5, list(listed.numbers)[::-1]), Subwords(3, 5, 2_048)
    others = (Subwords(2, 5, 2_048), Subwords(3, 5, 90), fasttexts.fold(300), FinalfusionBuckets(3, 5, 2_048), turned)
    for subwords in (fasttexts, *others, listed, same):
        for _ in range(2):
            for found, expected in zip(model.vocab.buckets(subwords), subwords.buckets(model.words), strict=True):
                np.testing.assert_array_equal(found, expected)
    assert listed.hashing == same.hashing == listed.keep(np.arange(5)).adjusted().hashing
    assert len({str(subwords.hashing) for subwords in (fasttexts, *others, listed)}) == 7


@pytest.mark.parametrize(
    ("make", "telling"),
    [
        (lambda: FinalfusionBuckets(3, 6, 3_000), "2, 4, 8, ... buckets, got 3,000"),
        (lambda: ListedNgrams(3, 6, ["abc", "abd", "abc"]), "1 of 3 repeat another"),
        (lambda: ListedNgrams(3, 6, ["a\0c"]), "NUL"),
        (lambda: ListedNgrams(3, 6, []), "buckets, got 0"),
        (lambda: ListedNgrams(3, 6, ["abc"], np.zeros(2, np.int32)), "one entry for each of the 1 buckets"),
    ],
)
def test_what_cannot_be_is_refused(make, telling):
    with pytest.raises(ValueError, match=telling.replace("...", r"\.\.\.")):
        make()


def test_broken_bytes_in_listed_n_grams_survive_saving(tmp_path):
    subwords = ListedNgrams(2, 3, ["br\udcfc", "\udcfco", "я"])
    v = wb.Vectors.from_arrays(["br\udcfcoken"], np.ones((1, 4), np.float32))
    rows = Dense(np.arange(12, dtype=np.float32).reshape(3, 4))
    v = v.with_storage(Stacked(v.storage, rows), v.vocab.with_subwords(subwords))
    again = wb.load(v.save(tmp_path / "model"))
    assert list(again.vocab.subwords.numbers) == ["br\udcfc", "\udcfco", "я"]
    np.testing.assert_array_equal(again["xbr\udcfco"], [2, 3, 4, 5])


@pytest.mark.parametrize("odd", [[], ["</s>"], ["a\0b"], ["\udcff\udce9x"], ["\ud800"], ["", "<>"]])
def test_many_words_have_the_buckets_that_each_has_alone(odd):
    subwords = Subwords(2, 4, 1_000)
    words = [*(f"слово{i}" for i in range(60)), *odd, "last"]
    indptr, values = subwords.buckets(words)
    for i, word in enumerate(words):
        assert values[indptr[i] : indptr[i + 1]].tolist() == subwords.buckets([word])[1].tolist()


def test_what_is_known_of_words_is_right_for_the_same_words_with_other_ngrams():
    v = made_fasttext()
    shares = v.vocab.bucket_shares(v.vocab.subwords)
    few, _ = v.vocab.take(np.array([5, 2, 9]))
    assert v.vocab.places_in(few)[[5, 2, 9, 7]].tolist() == [0, 1, 2, -1]
    assert v.vocab.places_in(few.with_subwords(None)).tolist() == [few.key_to_index.get(word, -1) for word in v.words]
    assert v.adjusted().vocab.bucket_shares(v.vocab.subwords) is shares
    folded = v.vocab.subwords.fold(500)
    assert v.vocab.bucket_shares(folded).shape == (500,)
    assert v.vocab.bucket_shares(folded).sum() == pytest.approx(shares.sum())
    assert few.bucket_shares(few.subwords).sum() == pytest.approx(3)
