"""Arms side by side on the same items, seed by seed, beside baselines that need no training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..compress.rq import beam_codes, residual_kmeans
from ..threads import one_thread
from .baselines import random_codes
from .examples import TEST
from .ids import SemanticIDs
from .items import Items
from .judge import Judge
from .results import LOWER_NAME, UPPER_NAME, Outcome, Results
from .settings import UPPER, Arm, Training
from .towers import principal_axes
from .training import Trainer

BEAM = 8  # of the k-means baseline that is not greedy
Told = Callable[[str, int, dict], None]


class Experiment:
    """Two-tower models with and without a bottleneck, judged by what they retain.

    For each seed there are three kinds of model: the *lower* knows popularity only; the *upper* has content and no
    bottleneck; an *arm* has both. All of one seed start alike and see the same examples in the same steps. Baselines
    without training: residual k-means of the upper model's vectors, greedy and by beam search, and of the content
    features; and random codes, which are the floor.

    Parameters
    ----------
    items : Items
        With examples.
    arms : mapping of name to Arm
    training : Training, optional
        By default `Training.suited`.
    seeds : sequence of int
    folder : path, optional
        For checkpoints, from which a training that was stopped or killed goes on.
    baselines : bool
        Add the baselines without training, for each number of levels and entries among the arms.

    Attributes
    ----------
    results : Results
        So far.
    """

    def __init__(
        self,
        items: Items,
        arms: Mapping[str, Arm],
        training: Training | None = None,
        seeds: Sequence[int] = (0, 1, 2),
        folder: str | Path | None = None,
        baselines: bool = True,
    ):
        self.items, self.arms, self.seeds, self.baselines = items, dict(arms), tuple(seeds), baselines
        self.folder = None if folder is None else Path(folder)
        self.judge = Judge(items)
        self.training = Training.suited(self.judge.examples) if training is None else training
        if not self.seeds or {LOWER_NAME, UPPER_NAME} & set(arms):
            raise ValueError(f"expected a seed or more, and no arm named {LOWER_NAME!r} or {UPPER_NAME!r}")
        for name, arm in self.arms.items():
            if arm.bottleneck(self.training.dim, 0) is None:
                raise ValueError(f"arm {name!r} has no estimator; the model without a bottleneck is there anyway")
        self.features = torch.from_numpy(items.features).to(self.judge.device)  # (n_items, d)
        principal_axes(self.features, self.training.dim)  # refuses a dim that is too large, before any work
        self._test = np.flatnonzero(self.judge.examples.split == TEST)
        self.results = Results(items)

    def run(self, told: Told | None = None) -> Results:
        """Train what is not trained yet; `told` is called with arm, seed and each new row of `Trainer.curves`."""
        with one_thread():
            for seed in self.seeds:
                self._run_seed(seed, told)
        return self.results

    def _run_seed(self, seed: int, told: Told | None) -> None:
        """Train all arms of one seed. Their warm-up is the same, and is done once."""
        outcomes, has = self.results.outcomes, self.results.has
        if has(UPPER_NAME, seed) and all(has(name, seed) for name in self.arms):
            return
        valid = self.judge.scores(None, None, self.judge.validation(self.training.n_valid)).log_loss
        self.results.looks[LOWER_NAME, seed] = [{"step": n, "log_loss": valid} for n in (0, self.training.n_steps)]
        warmed = self._trained("warm-up", UPPER, seed, told, until=self.training.n_warmup)
        for name, arm in {UPPER_NAME: UPPER, **self.arms}.items():
            if has(name, seed):
                continue
            trainer = self._trained(name, arm, seed, told, start=warmed)
            trainer.model.load_state_dict(trainer.best)
            made, bottleneck = trainer.documents(), trainer.model.bottleneck
            codes = books = None
            if bottleneck is not None and made.quantised is not None:
                codes = made.quantised.codes.cpu().numpy()
                books = bottleneck.effective_codebooks().detach().cpu().numpy()
            test = self.judge.scores(trainer.model.user, made.vectors, self._test)
            found = trainer.best_loss, trainer.best_step, trainer.curves
            outcome = Outcome(name, seed, arm, test, *found, codes, books, made.encoded.cpu().numpy())
            if name == UPPER_NAME:
                lower = Outcome(LOWER_NAME, seed, None, self.judge.scores(None, None, self._test))
                outcomes += [lower, outcome, *(self._untrained(trainer) if self.baselines else ())]
            else:
                outcomes.append(outcome)

    def _trained(
        self, name: str, arm: Arm, seed: int, told: Told | None, start: Trainer | None = None, until: int | None = None
    ) -> Trainer:
        """Return a trainer that reached the end, or a step: from its checkpoint, or else from where `start` is."""
        trainer = Trainer(self.judge, self.features, arm, self.training, seed)
        path = None
        if self.folder is not None:
            plain = "".join(c if c.isalnum() else "-" for c in name)
            path = self.folder / f"{plain}-{seed}-{trainer.digest()}.safetensors"
        if path is not None and path.exists():
            trainer.load(path)
        elif start is not None:
            trainer.adopt(start)
        key = name if until is None else UPPER_NAME, seed
        if not self.results.has(*key):
            self.results.looks[key] = trainer.curves  # which grow
        trainer.run(until, f"{name}, seed {seed}", None if told is None else partial(told, name, seed), path)
        return trainer

    @torch.no_grad()
    def _untrained(self, upper: Trainer) -> Iterator[Outcome]:
        """Replace the upper model's vectors by those of codes found afterwards."""
        model, seed = upper.model, upper.random_state
        encoded, content = upper.documents().encoded.cpu().numpy(), self.items.features  # (n_items, dim), (n_items, d)
        for n_levels, n_entries in dict.fromkeys((arm.n_levels, arm.codebook_size) for arm in self.arms.values()):
            books, of_content = (residual_kmeans(r, n_levels, n_entries, random_state=seed) for r in (encoded, content))
            ways = [
                ("k-means", encoded, beam_codes(encoded, books, 1), books),
                (f"k-means, beam {BEAM}", encoded, beam_codes(encoded, books, BEAM), books),
                ("k-means of content", content, beam_codes(content, of_content, 1), of_content),
                ("random codes", encoded, *random_codes(encoded, n_levels, n_entries, seed)),
            ]
            for way, rows, codes, entries in ways:
                decoded = torch.from_numpy(SemanticIDs(self.items.ids, codes, entries).decode()).to(self.judge.device)
                vectors = model.documents(decoded).vectors if rows is content else model.decoder(decoded)
                test = self.judge.scores(model.user, vectors, self._test)
                name = f"{way}, {n_levels} x {n_entries}"
                yield Outcome(name, seed, None, test, codes=codes, codebooks=entries, encoded=rows)
