"""`Residual`: of known words, only what their n-grams do not say."""

import numpy as np

from ..storage import Dense, Stacked
from ..vectors import Vectors
from .base import Step


class Residual(Step):
    """Store of each known word what the mean of its n-grams leaves over.

    Nothing is lost, and nothing is saved yet: what is left over is shorter than the word's
    vector, so that a quantiser for ``on="words"`` behind this step makes a smaller error in the
    same bytes. That is predictive coding, with the n-grams as the predictor; fastText trains
    its word rows in the same spirit. Afterwards a known word costs as much to look up as an
    unseen one. The n-grams must have their last form: first ``PQ(on="ngrams")`` and `Refit`
    (with ``kept_weight=1``), then this.

    Attributes
    ----------
    n_words_in_ : int
        How many words it was fitted on.
    """

    label = "Words as residuals"
    blurb = "stores of known words only what their n-grams leave over, which is less to say."
    needs_ngrams = True

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        if v.vocab.row_of is not None:
            raise ValueError("Residual needs a row for every word, and words share rows here: leave out remap=")
        if not v.storage.words.is_float32:
            raise ValueError(f"Residual belongs before the step that made the word rows {v.storage.words!r}")
        self.n_words_in_ = len(v)

    def _transform(self, v: Vectors) -> Vectors:
        v = v.adjusted()
        subwords, ngrams = v.ngrams
        rows = np.empty((len(v), v.dim), np.float32)
        for start, block in v.blocks():
            means, _ = v.ngram_means(v.words[start : start + len(block)])
            rows[start : start + len(block)] = block - means
        return v.with_storage(Stacked(Dense(rows), ngrams), v.vocab.with_subwords(subwords.beside_residuals()))
