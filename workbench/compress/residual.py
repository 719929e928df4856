"""`Residual`: known words as residuals from the means of their n-grams."""

from dataclasses import replace

from ..spool import spooled
from ..storage import Dense, Stacked
from ..vectors import Vectors
from .base import Step
from .outline import Outline


class Residual(Step):
    """Store known words as residuals from the mean of their n-grams.

    Nothing is lost, and no bytes are saved yet: residuals are shorter than the words' vectors, so that
    a quantiser for ``on="words"`` after this step makes a smaller error in the same bytes. That is
    predictive coding, with the n-grams as the predictor. Afterwards a known word costs as much to
    look up as an unseen one. The n-grams must have their final form: first ``PQ(on="ngrams")`` and
    `Refit` (with ``kept_weight=1``), then this.
    """

    label = "Words as residuals"
    blurb = "stores each known word as its difference from the mean of its n-grams, which is smaller."
    needs_ngrams = True

    def loses_alike(self) -> bool:
        return True

    def _outlined(self, o: Outline) -> Outline | None:
        is_plain = o.words.kind == "float32" and not o.words.axes
        return replace(o, is_fixed=True) if is_plain and not o.shares_rows else None

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        if v.vocab.row_of is not None:
            raise ValueError("Residual needs a row for every word, and words share rows here: leave out remap=")
        if not v.storage.words.is_float32:
            raise ValueError(
                f"put Residual before the step that compressed the word rows, which are {v.storage.words!r} now"
            )
        self.n_words_in_ = len(v)

    def _transform(self, v: Vectors) -> Vectors:
        v = v.adjusted()
        subwords, ngrams = v.ngrams
        blocks = (block - v.ngram_means(v.words[start : start + len(block)])[0] for start, block in v.blocks())
        vocab = v.vocab.with_subwords(subwords.beside_residuals())
        return v.with_storage(Stacked(Dense(spooled(blocks, v.dim, len(v))), ngrams), vocab)
