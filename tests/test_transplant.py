"""`Transplant`: what is copied, how other rows are made, smaller vocabularies, and what is refused."""

import json
from string import ascii_letters

import numpy as np
import pytest
import torch
from conftest import made_network, made_pieces, made_plain, made_task, made_words
from sklearn.base import clone
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import workbench as wb
from workbench import networks
from workbench.networks import Each, PieceTokenizer, Transplant, cut_tokenizer, distilling
from workbench.networks.config import WORDS
from workbench.networks.pieces import Piece, pieces
from workbench.storage import Coded, Dense
from workbench.vectors import unit

WORDS_OF_TEXTS = made_words(120)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def made_texts(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS_OF_TEXTS, rng.integers(2, 9))) for _ in range(n)]


TEXTS = made_texts(300)


def finished(fast: Tokenizer, around: str = "[CLS] $A [SEP]") -> PieceTokenizer:
    numbers = [(token, fast.token_to_id(token)) for token in around.split() if token != "$A"]
    fast.post_processor = processors.TemplateProcessing(single=around, special_tokens=numbers)
    return PieceTokenizer(fast.to_str())


def word_pieces(words=tuple(WORDS_OF_TEXTS), each: int = 1) -> PieceTokenizer:
    """WordPiece of these words and of all letters that texts have; the number of a token is a multiple of `each`."""
    letters = sorted({letter for word in WORDS_OF_TEXTS for letter in word})
    tokens = [*letters, *(f"##{letter}" for letter in letters), *words, *SPECIAL]  # whose numbers change when cut
    fast = Tokenizer(models.WordPiece({token: each * i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    fast.normalizer, fast.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    fast.add_special_tokens(SPECIAL)
    return finished(fast)


def byte_pairs(n: int = 600) -> PieceTokenizer:
    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    fast.train_from_iterator(TEXTS, trainer)
    return finished(fast, "<s> $A </s>")


def unigrams() -> PieceTokenizer:
    letters = sorted({letter for word in WORDS_OF_TEXTS for letter in word})
    scored = [("▁", -3.0), *((letter, -9.0) for letter in letters), *((f"▁{word}", -5.0) for word in WORDS_OF_TEXTS)]
    fast = Tokenizer(models.Unigram([*scored, ("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)], unk_id=len(scored) + 2))
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return finished(fast, "<s> $A </s>")


MADE = {"WordPiece": word_pieces(), "BPE": byte_pairs(), "Unigram": unigrams()}
NET = made_network(MADE["WordPiece"])
FEWER = cut_tokenizer(NET.tokenizer, [token for token in NET.tokenizer.vocab if token not in WORDS_OF_TEXTS[::2]])
SMALL = Transplant(FEWER).fit_transform(NET)  # without every second word


def cosines(a, b) -> np.ndarray:
    return (unit(a) * unit(b)).sum(1)


def counted(step: Transplant) -> dict[str, int]:
    return dict(step.tokens_.itertuples(index=False))


# -- what tokens stand for ----------------------------------------------------------------


def test_tokens_that_stand_for_the_same_are_the_same_however_they_are_marked():
    word = WORDS_OF_TEXTS[0]
    for kind, token in {"WordPiece": word, "Unigram": f"▁{word}", "BPE": f"Ġ{word}"}.items():
        assert pieces(MADE[kind])[token] == Piece(word, "start")
    for kind, token in {"WordPiece": "##a", "BPE": "a", "Unigram": "a"}.items():
        assert pieces(MADE[kind])[token] == Piece("a", "inside")
    for kind, token in {"WordPiece": "[CLS]", "BPE": "<s>", "Unigram": "<s>"}.items():
        assert pieces(MADE[kind])[token] == Piece("first", "special")
    assert pieces(MADE["BPE"])["Ð"] == Piece("Ð", "bytes")  # the first half of a Cyrillic letter
    assert pieces(MADE["BPE"])["!"] == Piece("!", "mark")


@pytest.mark.parametrize("kind", MADE)
def test_there_and_back_again_is_the_same_to_the_bit(kind):
    whole = made_network(MADE[kind])
    there = Transplant(PieceTokenizer(MADE[kind].text))
    same = there.fit_transform(whole)
    assert counted(there) == {"copied": len(MADE[kind].vocab)}
    np.testing.assert_array_equal(same.embed(TEXTS[:20]), whole.embed(TEXTS[:20]))
    fewer = Transplant(vocabulary=len(MADE[kind].vocab) - 20, texts=TEXTS).fit_transform(whole)
    back = Transplant(MADE[kind], method="pieces").fit_transform(fewer)
    kept = [i for token, i in MADE[kind].vocab.items() if token in fewer.tokenizer.vocab]
    np.testing.assert_array_equal(back.values(WORDS)[kept], whole.values(WORDS)[kept])
    assert fewer.tokenizer.n_rows == len(fewer.values(WORDS)) == len(MADE[kind].vocab) - 20


def test_tokens_of_another_kind_of_tokenizer_are_copied_where_they_stand_for_the_same():
    step = Transplant(MADE["Unigram"], method="pieces")
    net = step.fit_transform(NET)
    old, new, rows = NET.tokenizer.vocab, MADE["Unigram"].vocab, net.values(WORDS)
    pairs = {"<s>": "[CLS]", "</s>": "[SEP]", "<unk>": "[UNK]", "a": "##a"} | {f"▁{w}": w for w in WORDS_OF_TEXTS}
    for of_new, of_old in pairs.items():
        np.testing.assert_array_equal(rows[new[of_new]], NET.values(WORDS)[old[of_old]], of_new)
    texts = TEXTS[:10]  # words that both have as one token
    np.testing.assert_allclose(net.embed(texts), NET.embed(texts), atol=1e-5)


# -- fewer tokens ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MADE)
def test_texts_of_kept_tokens_are_embedded_as_before_to_the_bit(kind, tmp_path):
    net, own = made_network(MADE[kind]), made_texts(40, seed=1)[:12]
    step = Transplant(vocabulary=len(MADE[kind].vocab) - 60, texts=own)
    small = step.fit_transform(net)
    assert len(small.tokenizer.vocab) == small.tokenizer.n_rows == step.vocabulary
    np.testing.assert_array_equal(small.embed(own), net.embed(own))
    assert small.file_bytes < net.file_bytes
    again = networks.load(small.save(tmp_path / "small"))
    np.testing.assert_array_equal(again.embed(own), net.embed(own))
    assert again.meta["recipe"][-1]["vocabulary"] == step.vocabulary


@pytest.mark.parametrize("kind", MADE)
def test_any_word_can_still_be_cut(kind):
    least = cut_tokenizer(MADE[kind], [])
    with pytest.raises(ValueError, match="must be at least") as refused:
        Transplant(vocabulary=len(least.vocab), texts=TEXTS).fit(made_network(MADE[kind]))
    n = int(str(refused.value).partition("at least ")[2].partition(":")[0])
    step = Transplant(vocabulary=n, texts=TEXTS).fit(made_network(MADE[kind]))
    unknown = {"[UNK]", "<unk>"}
    assert all(unknown.isdisjoint(found.tokens) for found in step.tokenizer_.encode(TEXTS))
    assert max(map(len, (found.tokens for found in step.tokenizer_.encode(TEXTS)))) > 20  # letter by letter


def test_the_tokens_that_texts_use_most_are_kept():
    often, seldom = WORDS_OF_TEXTS[40], WORDS_OF_TEXTS[41]
    texts = [f"{often} {often} {seldom}", often]
    letters = {token for token in NET.tokenizer.vocab if token.removeprefix("##") in {*often, *seldom, *ascii_letters}}
    kept = Transplant(vocabulary=len(SPECIAL) + len(letters) + 1, texts=texts).fit(NET).tokenizer_.vocab
    assert {*kept} == {*SPECIAL, *letters, often}


def test_a_cut_tokenizer_keeps_what_its_tokens_are_merged_from():
    whole = MADE["BPE"]
    longest = max(whole.vocab, key=len)
    cut = cut_tokenizer(whole, [longest])
    assert longest in cut.vocab
    assert 259 < len(cut.vocab) < 275  # bytes, two special ones, and the parts
    text = pieces(whole)[longest].text
    assert cut.encode([text])[0].tokens == whole.encode([text])[0].tokens == ["<s>", longest, "</s>"]
    assert sorted(cut.vocab.values()) == [*range(len(cut.vocab))]


def test_a_compressed_table_stays_compressed_where_all_rows_are_copied():
    coded = Each(wb.PQ(8, n_bits=4), on="embeddings").fit_transform(NET)
    small = Transplant(vocabulary=150, texts=TEXTS).fit_transform(coded)
    assert isinstance(small.weights[WORDS], Coded)
    assert small.weights[WORDS].nbytes < coded.weights[WORDS].nbytes
    more = Transplant(NET.tokenizer, method="pieces").fit_transform(small)
    assert isinstance(more.weights[WORDS], Dense)


# -- rows for other tokens ---------------------------------------------------------------


def close_to(net: networks.Network, noise: float = 0.3) -> wb.Vectors:
    """Word vectors that are like the network's own rows."""
    rows = net.values(WORDS)[[net.tokenizer.vocab[word] for word in WORDS_OF_TEXTS]]
    rng = np.random.default_rng(1)
    turned = rows @ np.linalg.qr(rng.normal(size=(rows.shape[1],) * 2))[0]
    return wb.Vectors.from_arrays(WORDS_OF_TEXTS, turned + noise * turned.std() * rng.normal(size=turned.shape))


def clustered() -> networks.Network:
    """A network in which words have neighbours: six for each of twenty topics."""
    rows, rng = NET.values(WORDS).copy(), np.random.default_rng(3)
    topics = rng.normal(0, 0.3, (20, rows.shape[1]))
    for i, word in enumerate(WORDS_OF_TEXTS):
        rows[NET.tokenizer.vocab[word]] = topics[i // 6] + rng.normal(0, 0.05, rows.shape[1])
    return NET.with_weights({WORDS: Dense(rows)})


def test_rows_by_word_vectors_are_nearer_than_random_ones_and_pieces():
    net = clustered()
    cut, vectors = Transplant(FEWER).fit_transform(net), close_to(net)
    hidden = [net.tokenizer.vocab[word] for word in WORDS_OF_TEXTS[::2]]
    near = {}
    for method in ("weighted", "pieces", "random"):
        step = Transplant(net.tokenizer, vectors, method)
        rows = step.fit_transform(cut).values(WORDS)
        near[method] = cosines(rows[hidden], net.values(WORDS)[hidden]).mean()
        assert counted(step)[method] == len(hidden)
    assert near["weighted"] > 0.9
    assert max(near["pieces"], near["random"]) < 0.3
    codes = wb.PQ(16, n_bits=4).fit_transform(vectors)
    rows = Transplant(net.tokenizer, codes).fit_transform(cut).values(WORDS)
    assert cosines(rows[hidden], net.values(WORDS)[hidden]).mean() > 0.85


def test_new_rows_have_the_usual_spread():
    rows = Transplant(NET.tokenizer, close_to(NET)).fit_transform(SMALL).values(WORDS)
    hidden = [NET.tokenizer.vocab[word] for word in WORDS_OF_TEXTS[::2]]
    middle = SMALL.values(WORDS).mean(0)
    usual = np.linalg.norm(SMALL.values(WORDS) - middle, axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(rows[hidden] - middle, axis=1), usual, rtol=1e-4)


def test_old_and_new_tokens_may_have_models_of_their_own():
    net = clustered()
    cut, vectors = Transplant(FEWER).fit_transform(net), close_to(net)
    of_old = wb.Vectors.from_arrays(WORDS_OF_TEXTS[1::2], vectors[WORDS_OF_TEXTS[1::2]])
    of_new = wb.Vectors.from_arrays(WORDS_OF_TEXTS[::2], vectors[WORDS_OF_TEXTS[::2]])
    pair = Transplant(net.tokenizer, (of_old, of_new)).fit_transform(cut)
    np.testing.assert_allclose(
        pair.values(WORDS), Transplant(net.tokenizer, vectors).fit_transform(cut).values(WORDS), atol=1e-6
    )


def test_numbers_without_a_token_do_no_harm():
    net, holey = clustered(), word_pieces(WORDS_OF_TEXTS[1::2], each=3)
    cut = Transplant(holey).fit_transform(net)
    assert cut.weights[WORDS].shape[0] == 3 * len(holey.vocab) - 2
    np.testing.assert_array_equal(cut.embed(TEXTS[:9]), Transplant(FEWER).fit_transform(net).embed(TEXTS[:9]))
    hidden = [net.tokenizer.vocab[word] for word in WORDS_OF_TEXTS[::2]]
    rows = Transplant(net.tokenizer, close_to(net)).fit_transform(cut).values(WORDS)
    assert cosines(rows[hidden], net.values(WORDS)[hidden]).mean() > 0.9


def test_tokens_without_a_vector_are_made_of_pieces_and_without_those_random():
    some = wb.Vectors.from_arrays(WORDS_OF_TEXTS[:60], np.random.default_rng(0).normal(size=(60, 5)))
    fast = Tokenizer.from_str(NET.tokenizer.text)
    fast.add_tokens(["猫"])
    step = Transplant(PieceTokenizer(fast.to_str()), some)
    rows = step.fit_transform(SMALL).values(WORDS)
    assert counted(step) == {"copied": len(FEWER.vocab), "pieces": 30, "random": 1, "weighted": 30}
    word = WORDS_OF_TEXTS[80]
    own = SMALL.values(WORDS)[[FEWER.vocab[t] for t in (word[0], *(f"##{letter}" for letter in word[1:]))]]
    np.testing.assert_allclose(rows[NET.tokenizer.vocab[word]], own.mean(0), atol=1e-6)


# -- distillation ------------------------------------------------------------------------


def test_tokens_that_end_together_are_compared():
    text = f"{WORDS_OF_TEXTS[0]}, {WORDS_OF_TEXTS[1]}"
    (rows, before), (_, after) = distilling.shared_ends((FEWER, NET.tokenizer), ["", text], 64)
    pairs = [
        (FEWER.encode([text])[0].tokens[a], NET.tokenizer.encode([text])[0].tokens[b])
        for row, a, b in zip(rows, before, after, strict=True)
        if row == 1
    ]
    whole = (WORDS_OF_TEXTS[1], WORDS_OF_TEXTS[1])
    assert pairs == [
        ("[CLS]", "[CLS]"), (f"##{WORDS_OF_TEXTS[0][-1]}", WORDS_OF_TEXTS[0]), ("[UNK]", "[UNK]"), whole,
        ("[SEP]", "[SEP]"),
    ]  # fmt: skip
    assert rows.tolist().count(0) == 2


def apart(net: networks.Network, texts: list[str]) -> float:
    """The mean squared difference of states at the same places to those of the network without every second word."""
    (rows, before), (_, after) = distilling.shared_ends((FEWER, NET.tokenizer), texts, 64)
    old, new = (of.module()(*map(torch.from_numpy, of.tokens(texts))).states[-1] for of in (SMALL, net))
    return (old[rows, before] - new[rows, after]).square().mean().item()


def test_distilled_rows_come_nearer_to_the_network_with_its_own_tokens():
    step = Transplant(NET.tokenizer, method="distilled", texts=TEXTS, n_steps=80)
    begun = Transplant(NET.tokenizer, method="pieces").fit_transform(SMALL)
    net, fresh = step.fit_transform(SMALL), made_texts(100, seed=7)
    losses = [look["loss"] for look in step.curve_]
    assert [look["step"] for look in step.curve_] == [0, 20, 40, 60, 80]
    assert losses[-1] < 0.8 * losses[0]
    assert apart(net, fresh) < 0.85 * apart(begun, fresh)
    kept = [NET.tokenizer.vocab[token] for token in FEWER.vocab]
    np.testing.assert_array_equal(net.values(WORDS)[kept], begun.values(WORDS)[kept])
    first, again, other = (
        clone(step).set_params(n_steps=4, random_state=seed).fit_transform(SMALL).values(WORDS) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_was_best_is_kept_where_training_makes_it_worse_or_is_stopped(monkeypatch):
    begun = Transplant(NET.tokenizer, method="pieces").fit_transform(SMALL).values(WORDS)
    monkeypatch.setattr(distilling, "RATE", 1e3)
    step = Transplant(NET.tokenizer, method="distilled", texts=TEXTS, n_steps=4)
    np.testing.assert_array_equal(step.fit_transform(SMALL).values(WORDS), begun)
    assert min(look["loss"] for look in step.curve_[1:]) > step.curve_[0]["loss"]

    def stop(self, texts):
        raise KeyboardInterrupt

    monkeypatch.setattr(distilling.Distillation, "_loss", stop)
    np.testing.assert_array_equal(step.fit_transform(SMALL).values(WORDS), begun)


def test_random_rows_come_from_the_seed():
    first, again, other = (
        Transplant(NET.tokenizer, method="random", random_state=seed).fit_transform(SMALL).values(WORDS)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


# -- recipes and files -------------------------------------------------------------------


def test_recipes_name_tasks_models_and_files(tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text(NET.tokenizer.text, encoding="utf-8")
    recipe = wb.Chain([Transplant(file, vocabulary=100, texts="builtin:articles"), Each(wb.SQ("int8"))])
    plain = json.loads(json.dumps(recipe.to_json()))["steps"][0]
    assert plain["tokenizer"] == str(file)
    assert wb.recipe_from(repr(recipe)).to_json() == recipe.to_json()
    assert wb.recipe_from(f"networks.Transplant({str(file)!r}, method='pieces')") == Transplant(
        str(file), None, "pieces"
    )
    shown = Transplant(NET.tokenizer, made_plain(), texts=made_task()).to_json()
    assert (shown["vectors"], shown["texts"]) == ("vectors in memory", "made up")
    assert Transplant(vectors=("builtin:en", made_plain()), texts=TEXTS).to_json() | {} == shown | {
        "tokenizer": None, "vectors": "builtin:en and vectors in memory", "texts": "300 texts",
    }  # fmt: skip


def test_a_step_of_whatever_can_be_shown():
    assert repr(Transplant(5, 3, texts=4)).startswith("Transplant(tokenizer=5, vectors=3, ")


def test_a_task_lends_its_training_texts():
    task = made_task()
    step = Transplant(vocabulary=150, texts=task).fit(NET)
    assert step.tokenizer_.vocab == Transplant(vocabulary=150, texts=task.train.texts).fit(NET).tokenizer_.vocab


# -- bad input ---------------------------------------------------------------------------


def test_bad_input_is_refused(tmp_path):
    none = tmp_path / "tokenizer.json"
    none.write_text('{"version": "1.0"}', encoding="utf-8")
    whole, plain = NET.tokenizer, made_plain()
    strange = wb.Vectors.from_arrays(["qq", "xx"], np.eye(2))
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")).to_str()
    cases = [
        (Transplant(), SMALL, "give the tokenizer that the network is to have, or a smaller vocabulary"),
        (Transplant(whole), SMALL, "vectors must be a model or its path, .* or take method='pieces', got NoneType"),
        (Transplant(whole, (plain,) * 3), SMALL, "vectors must be a model or its path"),
        (Transplant(whole, (plain, strange)), SMALL, "in one space, got 12 and 2"),
        (Transplant(whole, strange), SMALL, "nothing to take a mean of"),
        (Transplant(whole, method="copied"), SMALL, "method must be one of"),
        (Transplant(whole, method="distilled"), SMALL, "give texts, or a task"),
        (Transplant(whole, method="distilled", texts=["", " "]), SMALL, "give texts, or a task"),
        (Transplant(whole, method="distilled", texts=["?"]), SMALL, "no text has a token without a row"),
        (Transplant(vocabulary=100), NET, "give texts, or a task"),
        (Transplant(vocabulary=0, texts=TEXTS), NET, "vocabulary must be a whole number of at least 1"),
        (Transplant(vocabulary=10, texts=TEXTS), NET, "vocabulary must be at least"),
        (Transplant(vocabulary=9_000, texts=TEXTS), NET, "vocabulary must be at most the .* tokens"),
        (
            Transplant(vocabulary=2, texts=TEXTS, tokenizer=PieceTokenizer(words)),
            NET,
            "WordPiece, BPE, Unigram, got Word",
        ),
        (Transplant(vocabulary=100, texts="a text"), NET, "is no folder"),
        (Transplant(vocabulary=100, texts=[3]), NET, "expected a list of texts"),
        (Transplant(3), NET, "expected a PieceTokenizer or the path of a tokenizer.json, got 3"),
        (Transplant(none), NET, "cannot be read as a tokenizer.json"),
        (Transplant(tmp_path / "absent"), NET, "absent"),
        (Transplant(whole), made_network(made_pieces(), kind="bag"), "expected a BERT with a tokenizer.json"),
        (
            Transplant(whole),
            networks.transformer(plain, n_layers=1, n_heads=2),
            "expected a BERT with a tokenizer.json",
        ),
    ]
    for step, net, message in cases:
        with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
            step.fit_transform(net)
    with pytest.raises(ValueError, match="has no token 'qq'"):
        cut_tokenizer(whole, ["qq"])
