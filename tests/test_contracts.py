"""What holds for every storage and for every step on every storage."""

import json
import re

import numpy as np
import pytest
from conftest import described, is_mapped, made_fasttext, made_of_kind, made_plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.compress.base import STEPS as KINDS
from workbench.compress.base import Field, Step
from workbench.storage import Coded, Cut, Dense, Normed, Projected, Scaled, Sparse, Stacked, pack_codes
from workbench.vocab import Vocab

RNG = np.random.default_rng(5)


def coded(n: int, dim: int, spans: list[tuple[int, int]], n_bits: int) -> Coded:
    codes = RNG.integers(2**n_bits, size=(n, len(spans)), dtype=np.uint8)
    width = sum(stop - start for start, stop in spans)
    codebooks = RNG.normal(size=(2**n_bits, width)).astype(np.float32)
    return Coded(pack_codes(codes, n_bits), codebooks, np.array(spans, np.int32), dim, n_bits)


def dense(n: int, dim: int) -> Dense:
    return Dense(RNG.normal(size=(n, dim)).astype(np.float32))


MASK = RNG.random((40, 12)) < np.linspace(0, 1, 40)[:, None]  # from rows of zeros alone to full ones
KEPT = Sparse.of(dense(40, 12).matrix, MASK, width=4)


STORAGES = {
    "dense": dense(40, 12),
    "scaled": Scaled(RNG.normal(size=(40, 12)).astype(np.float16), np.full(12, 2, np.float32)),
    "product codes": coded(40, 12, [(0, 4), (4, 8), (8, 12)], 8),
    "ragged product codes of 5 bits": coded(40, 12, [(0, 5), (5, 9), (9, 12)], 5),
    "residual codes": coded(40, 12, [(0, 12), (0, 12)], 8),
    "product codes, codebooks in float16": wb.PQ(4, 4).fit_transform(made_plain(40)).storage,
    "scaled int8": Scaled(RNG.integers(-127, 128, size=(40, 12), dtype=np.int8), np.full(12, 0.1, np.float32)),
    "low rank": Projected(dense(40, 5), RNG.normal(size=(5, 12)).astype(np.float32)),
    "turned codes": Projected(coded(40, 12, [(0, 6), (6, 12)], 4), np.linalg.qr(dense(12, 12).matrix)[0]),
    "codes and lengths": Normed(coded(40, 12, [(0, 6), (6, 12)], 4), coded(40, 1, [(0, 1)], 5)),
    "sparse": KEPT,
    "sparse codes": KEPT.over(coded(len(KEPT.inner), 4, [(0, 2), (2, 4)], 3)),
    "nothing but zeros": Sparse.of(dense(40, 12).matrix, np.zeros((40, 12), bool)),
    "cut": Cut.of(dense(40, 12), 4),
    "cut codes": Cut(coded(120, 4, [(0, 1), (1, 2), (2, 3), (3, 4)], 4), 12),
    "stacked": Stacked(coded(25, 12, [(0, 6), (6, 12)], 4), dense(15, 12)),
}

PRUNE = wb.Prune(300, 300)
MODELS = {"plain": made_plain(), "raw n-grams": made_fasttext()}
MODELS |= {f"{kind} n-grams": made_of_kind(kind) for kind in ("finalfusion", "explicit")}
MODELS["raw n-grams, shared rows"] = MODELS["raw n-grams"].with_storage(
    Stacked(MODELS["raw n-grams"].storage.words.take(np.arange(350)), MODELS["raw n-grams"].storage.ngrams),
    Vocab(made_fasttext().words, np.arange(700) // 2, made_fasttext().vocab.counts, made_fasttext().vocab.subwords),
)
MODELS["zeros"] = MODELS["plain"].with_storage(
    Sparse.of(MODELS["plain"].matrix(), np.abs(MODELS["plain"].matrix()) > 0.7)
)
MODELS["pieces"] = MODELS["plain"].with_storage(Cut.of(MODELS["plain"].storage, 6))
RECIPES = {
    "plain float16": wb.SQ(),
    "plain codes": wb.PQ(4),
    "zeros and 4 bits": wb.SQ("kmeans", n_bits=4),
    "pieces of codes": wb.PQ(6, n_bits=4),
    "centroids": wb.Prune(300, choose="kmeans"),
    "remapped codes": wb.Chain([wb.Prune(300, remap="nearest", threshold=0.5), wb.PQ(4)]),
    "pruned": PRUNE,
    "pruned float16": wb.Chain([PRUNE, wb.SQ()]),
    "pruned codes": wb.Chain([PRUNE, wb.PQ(4)]),
    "pruned low rank": wb.Chain([PRUNE, wb.SVD(6)]),
    "pruned codes and lengths": wb.Chain([PRUNE, wb.PQ(4, 5, norms=True)]),
    "mixed": wb.Chain([PRUNE, wb.PQ(5, 4, on="words"), wb.SQ(on="ngrams")]),
    "what n-grams leave over": wb.Chain([PRUNE, wb.SQ(on="ngrams"), wb.Residual()]),
    "remapped": wb.Prune(300, 300, remap="nearest"),
    "folded": wb.Rehash(700),
}
STARTS = dict.fromkeys(("plain float16", "plain codes", "centroids", "remapped codes"), "plain")
STARTS |= {"zeros and 4 bits": "zeros", "pieces of codes": "pieces"}
MODELS |= {name: step.fit_transform(MODELS[STARTS.get(name, "raw n-grams")]) for name, step in RECIPES.items()}

STEPS = {
    "Prune": wb.Prune(200, 200),
    "Prune words": wb.Prune(n_words=200),
    "Prune nearest": wb.Prune(200, 200, remap="nearest", threshold=0.5),
    "Prune coverage": wb.Prune(200, 200, choose="coverage", importance="norms"),
    "Prune k-means": wb.Prune(200, choose="kmeans"),
    "Rehash": wb.Rehash(450),
    "Refit": wb.Refit(n_unseen=200, n_iter=5),
    "Residual": wb.Residual(),
    "PQ": wb.PQ(3, n_iter=3),
    "PQ norms": wb.PQ(3, n_bits=5, n_iter=3, norms=True),
    "PQ 3 bits": wb.PQ(5, n_bits=3, n_iter=3),
    "PQ n-grams": wb.PQ(3, n_iter=3, on="ngrams"),
    "SQ": wb.SQ(),
    "SQ words": wb.SQ(on="words"),
    "SQ int8": wb.SQ("int8"),
    "SQ k-means": wb.SQ("kmeans", n_bits=3),
    "SVD": wb.SVD(4),
    "SVD words": wb.SVD(4, on="words"),
    "OPQ": wb.OPQ(3, n_bits=4, n_iter=3, n_rotations=2),
    "RQ": wb.RQ(2, n_bits=4, n_iter=3),
    "RQ with a beam": wb.RQ(2, n_bits=4, beam=3, n_iter=3, on="ngrams"),
    "Chain": wb.Chain([wb.Prune(250, 250), wb.PQ(4, n_bits=4)]),
}


@pytest.fixture(params=STORAGES, scope="module")
def storage(request):
    return STORAGES[request.param]


@pytest.fixture(params=MODELS, scope="module")
def model(request):
    return MODELS[request.param]


UNSEEN = ["zzzzz", "bakeliteness", "ласт", "ba"]


def lookups(v: wb.Vectors) -> np.ndarray:
    return v.get_vectors(v.words + UNSEEN, missing="nan")


def assert_same(storage, actual, desired):
    """To the bit, but where rows come out of a matrix product, whose rounding goes by their number."""
    if isinstance(storage, Projected):
        np.testing.assert_allclose(actual, desired, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(actual, desired)


def test_every_way_of_reading_rows_agrees_and_gives_float32(storage, monkeypatch):
    everything = storage.rows(slice(None))
    index = np.array([7, 0, 7, 39, -1])
    assert everything.dtype == np.float32
    assert everything.shape == storage.shape == (40, 12)
    assert_same(storage, storage.rows(index), everything[index])
    assert_same(storage, np.concatenate([b for _, b in storage.blocks(9)]), everything)
    assert storage.rows(np.array([], int)).shape == (0, 12)
    taken = storage.take(np.array([24, 13, 13, 30]))
    assert taken.kind == storage.kind
    assert_same(storage, taken.rows(slice(None)), everything[[24, 13, 13, 30]])
    for least in (0, 10**9):  # sums over tables, and products with decoded rows
        monkeypatch.setattr("workbench.storage.MIN_COMPILED_ROWS", least)
        for n_queries in (0, 1, 3):
            queries = RNG.normal(size=(n_queries, 12)).astype(np.float32)
            np.testing.assert_allclose(storage.dot(queries), queries @ everything.T, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(storage.norms(), np.linalg.norm(everything, axis=1), rtol=1e-4, atol=1e-5)


def test_rows_are_the_callers_own(storage):
    before = storage.rows(slice(None))
    storage.rows(slice(None))[:] = 0
    np.testing.assert_array_equal(storage.rows(slice(None)), before)


def test_other_rows_are_stored_in_the_same_way(storage):
    """What is stored already stays as it is: to the bit, unless lengths or axes are divided out."""
    before = storage.rows(slice(None))
    again = storage.like(before)
    assert again.params() == storage.params()
    assert again.nbytes == storage.nbytes
    if not isinstance(storage, Projected | Normed) and getattr(storage, "side_by_side", True):
        np.testing.assert_array_equal(again.rows(slice(None)), before)
    other = RNG.normal(size=storage.shape).astype(np.float32)
    stored = storage.like(other).rows(slice(None))
    assert np.square(stored - other).sum() <= np.square(before - other).sum()  # closer than what was there
    if isinstance(storage, Sparse):
        assert not stored[~storage.mask].any()


def test_a_reloaded_model_stays_in_its_file_and_gives_the_same_bytes_and_vectors_to_the_bit(model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    again = wb.load(tmp_path / "m.safetensors")
    for name, array in again.storage.arrays().items():
        if not name.endswith(("codebooks", "axes")):  # which are small, and float32 while in use
            assert is_mapped(array), name
            assert array.flags.aligned, name  # in the file too, so that reading is fast
            assert not array.flags.writeable, name
    assert (tmp_path / "m.safetensors").stat().st_size == model.file_bytes == again.file_bytes
    assert again.save(tmp_path / "again").read_bytes() == (tmp_path / "m.safetensors").read_bytes()
    assert again.words == model.words
    np.testing.assert_array_equal(again.vocab.counts, model.vocab.counts)
    np.testing.assert_array_equal(lookups(again), lookups(model))
    assert again.meta == model.meta
    assert again.most_similar(model.words[3]) == model.most_similar(model.words[3])
    words = [*model.words[:60], "bakelite", "ласт"] if model.vocab.subwords else model.words[:60]
    alone = np.stack([model[word] for word in words])
    np.testing.assert_allclose(alone, model.get_vectors(words), rtol=0, atol=1e-6)  # BLAS adds a batch in another order


def test_the_header_carries_version_recipe_and_source_in_one_key_in_a_fixed_order(plain, tmp_path):
    meta = {"recipe": [{"step": "SQ", "on": "all"}], "provenance": {"source": "x", "source_bytes": 1}}
    turned = {"provenance": {"source_bytes": 1, "source": "x"}, "recipe": [{"on": "all", "step": "SQ"}]}
    a, b = (wb.Vectors(plain.vocab, plain.storage, m).save(tmp_path / n) for m, n in ((meta, "a"), (turned, "b")))
    assert a.read_bytes() == b.read_bytes()
    about = described(MODELS["pruned float16"].save(tmp_path / "model"))
    assert about["format_version"] == 2
    assert "kind" not in about["subwords"]  # as version 2 has it
    assert wb.from_json(about["meta"]["recipe"]) == wb.Chain([wb.Prune(300, 300), wb.SQ()])
    assert about["meta"]["provenance"] == {"source": "made up"}


@pytest.mark.parametrize(
    ("name", "version"),
    [("plain codes", 2), ("pruned codes", 2), ("explicit n-grams", 3), ("zeros", 4), ("pieces of codes", 4)],
)
def test_a_file_has_the_lowest_version_that_can_say_what_it_holds(name, version, tmp_path):
    assert described(MODELS[name].save(tmp_path / "model"))["format_version"] == version
    stacked = MODELS["raw n-grams"].with_storage(Stacked(MODELS["zeros"].storage, MODELS["raw n-grams"].storage.ngrams))
    assert described(stacked.save(tmp_path / "stacked"))["format_version"] == 4


def test_saving_onto_the_very_file_that_is_mapped_works(model, tmp_path):
    path = model.save(tmp_path / "model")
    mapped = wb.load(path)
    mapped.save(path)
    np.testing.assert_array_equal(lookups(wb.load(path)), lookups(model))
    fewer = mapped.head(2)
    fewer.save(path)
    np.testing.assert_array_equal(lookups(wb.load(path)), lookups(fewer))
    np.testing.assert_array_equal(lookups(mapped), lookups(model))  # still reads the file that it was opened from


FOR_NGRAMS = {"Refit", "Residual", "Rehash", "PQ n-grams", "RQ with a beam"}
REFUSED_ON_CODES = {"SQ", "SQ words", "SQ int8", "SQ k-means"}
REFUSED_WITHOUT_FLOAT32 = {"Prune k-means", "Rehash", "Residual"}
REFUSED = {  # everything else must work
    "plain": FOR_NGRAMS,
    "plain float16": FOR_NGRAMS,
    "plain codes": FOR_NGRAMS | REFUSED_ON_CODES | {"Prune k-means", "SVD", "SVD words"},
    "zeros": FOR_NGRAMS,
    "pieces": FOR_NGRAMS,
    "zeros and 4 bits": FOR_NGRAMS | REFUSED_ON_CODES | {"Prune k-means", "PQ", "SVD", "SVD words"},
    "pieces of codes": FOR_NGRAMS | REFUSED_ON_CODES | {"Prune k-means", "PQ", "PQ norms", "SVD", "SVD words"},
    "pruned float16": REFUSED_WITHOUT_FLOAT32,
    "pruned codes": REFUSED_WITHOUT_FLOAT32 | REFUSED_ON_CODES,
    "pruned codes and lengths": REFUSED_WITHOUT_FLOAT32
    | {"Refit", "PQ", "PQ n-grams", "SQ", "SQ words", "SQ int8", "SVD", "SVD words"},
    "pruned low rank": REFUSED_WITHOUT_FLOAT32,
    "mixed": REFUSED_WITHOUT_FLOAT32 | REFUSED_ON_CODES | {"PQ", "SVD", "SVD words"},
    "remapped": {"Residual"},
    "remapped codes": FOR_NGRAMS | REFUSED_ON_CODES | {"Prune k-means"},
    "centroids": FOR_NGRAMS,
    "what n-grams leave over": STEPS.keys() - {"SQ words", "SVD words"},  # all that may change n-grams
    "explicit n-grams": {"Rehash"},  # there is no hash to fold
    "raw n-grams, shared rows": {"Refit", "Residual"},  # would give every word a row of its own again
}


def test_every_step_is_held_to_the_contracts():
    ours = {kind for kind in KINDS.values() if kind.__module__.startswith("workbench.")}
    assert {type(step) for step in STEPS.values()} == ours


@pytest.mark.parametrize(
    ("name", "step"), [(m, s) for m in MODELS for s in STEPS if s not in REFUSED.get(m, ())], ids=lambda x: x
)
def test_a_step_makes_arrays_no_larger_and_is_repeatable_and_recorded(name, step, tmp_path):
    model, step = MODELS[name], STEPS[step]
    small, again = (step.fit_transform(model, reference=MODELS["raw n-grams"]) for _ in range(2))
    assert small.storage.nbytes <= model.storage.nbytes
    assert small.save(tmp_path / "a").read_bytes() == again.save(tmp_path / "b").read_bytes()
    np.testing.assert_array_equal(lookups(wb.load(tmp_path / "a")), lookups(small))
    steps = step.steps if isinstance(step, wb.Chain) else [step]
    expected = [*model.meta.get("recipe", []), *(s.to_json() for s in steps)]
    assert small.meta["recipe"] == json.loads(json.dumps(expected))


@pytest.mark.parametrize(("name", "step"), [(m, s) for m in REFUSED for s in sorted(REFUSED[m])], ids=lambda x: x)
def test_a_step_that_cannot_pay_refuses_in_one_line_that_names_it(name, step):
    with pytest.raises(ValueError, match=f"{step.split()[0]}|before Residual") as refusal:
        STEPS[step].fit_transform(MODELS[name], reference=MODELS["raw n-grams"])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("steps", "advice"),
    [
        ([wb.Prune(300, 300), wb.PQ(4), wb.SQ()], "in the place of PQ"),
        ([wb.Residual(), wb.PQ(4)], "before Residual"),
        ([wb.Prune(300, 300), wb.PQ(4), wb.Residual()], "put Residual before"),
        ([wb.PQ(4, on="words"), wb.PQ(4, on="ngrams")], "belong before those with on='words'"),
        ([wb.SQ(on="words"), wb.Prune(300, 300)], "belong before those with on='words'"),
        ([wb.Prune(300, 300), wb.SQ(), wb.Rehash(700)], "Rehash before PQ, SQ and SVD"),
        ([wb.Prune(300, 300), wb.SQ(), wb.Prune(200, choose="kmeans")], "k-means before PQ, SQ and SVD"),
    ],
)
def test_an_order_that_cannot_pay_is_refused_with_the_order_that_works(steps, advice):
    with pytest.raises(ValueError, match=advice):
        wb.Chain(steps).fit_transform(MODELS["raw n-grams"])


@pytest.mark.parametrize("model", [v for name, v in MODELS.items() if "Prune words" not in REFUSED.get(name, ())])
def test_rows_follow_the_words_through_an_unsorted_vocabulary(model):
    small = wb.Prune(n_words=150).fit_transform(model)
    assert set(small.words) == {model.words[i] for i in np.argsort(-model.vocab.counts, kind="stable")[:150]}
    np.testing.assert_array_equal(small.get_vectors(small.words), model.get_vectors(small.words))
    assert small.words == sorted(small.words, key=model.words.index)


def test_an_unseen_word_is_the_mean_over_its_surviving_ngrams():
    v = MODELS["pruned"]
    indptr, buckets = v.vocab.subwords.buckets(["bakeli"])
    table = v.vocab.subwords.bucket_to_row[buckets]
    alive = table[table >= 0]
    assert 0 < len(alive) < indptr[1]
    np.testing.assert_allclose(v["bakeli"], v.storage.ngrams.rows(alive).mean(axis=0), rtol=1e-5)


def test_a_word_without_surviving_ngrams_is_an_error_and_never_silent_zeros():
    v = wb.Prune(n_words=5, n_ngrams=1).fit_transform(MODELS["raw n-grams"])
    assert not v.can_embed("xyxyx")
    with pytest.raises(KeyError, match="xyxyx"):
        v["xyxyx"]
    assert np.isnan(v.get_vectors(["xyxyx"], missing="nan")).all()
    assert (v.get_vectors(["xyxyx"], missing="zero") == 0).all()


# -- any chain at all ---------------------------------------------------------------------


def any_value(field: Field, default: object) -> st.SearchStrategy:
    """Values that a parameter may have: often its default, and some that are too great for the models."""
    if field.kind in ("choice", "text"):
        return st.just(default) | st.sampled_from(list(field.choices))
    if field.kind == "tick":
        return st.booleans()
    if field.kind == "number":
        return st.just(default) | st.floats(field.low, field.high or 2)
    high = field.high(MODELS["raw n-grams"]) + 2 if callable(field.high) else min(field.high or 8, 8)
    return st.integers(field.low, high) | st.none() if field.all_is_none else st.integers(field.low, high)


def any_step(name: str) -> st.SearchStrategy[Step]:
    defaults, fields = KINDS[name]().get_params(), KINDS[name].fields
    quick = {"n_iter": st.just(2)} if "n_iter" in fields else {}
    return st.builds(KINDS[name], **{of: any_value(field, defaults[of]) for of, field in fields.items()} | quick)


@pytest.mark.parametrize("n_examples", [30, pytest.param(150, marks=pytest.mark.slow)])
def test_any_chain_is_refused_in_one_line_or_keeps_the_contracts(n_examples, tmp_path_factory):
    some_step = st.one_of([any_step(name) for name in sorted(KINDS) if name != "Chain"])
    n_built = 0

    @settings(max_examples=n_examples, suppress_health_check=list(HealthCheck))
    @given(
        name=st.sampled_from(["plain", "raw n-grams", "explicit n-grams"]),
        steps=st.lists(some_step, min_size=1, max_size=4),
    )
    def check(name, steps):
        nonlocal n_built
        original = MODELS[name]
        try:
            small = wb.Chain(steps).fit_transform(original)
        except ValueError as refusal:
            assert re.fullmatch(".+", str(refusal))  # noqa: PT017
            return
        n_built += 1
        assert set(small.words) <= set(original.words)
        assert small.dim == original.dim
        assert small.storage.nbytes <= original.storage.nbytes
        vectors = small.get_vectors([*small.words, *UNSEEN], missing="zero")
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()
        again = wb.load(small.save(tmp_path_factory.mktemp("chains") / "small"))
        assert again.words == small.words
        np.testing.assert_array_equal(again.get_vectors([*small.words, *UNSEEN], missing="zero"), vectors)
        np.testing.assert_allclose(again.norms, np.linalg.norm(vectors[: len(small)], axis=1), rtol=1e-4, atol=1e-6)
        repeated = wb.from_json(small.meta["recipe"]).fit_transform(original)
        np.testing.assert_array_equal(repeated.get_vectors(small.words), vectors[: len(small)])

    check()
    assert n_built > 3
