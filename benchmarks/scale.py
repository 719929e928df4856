"""Models larger than memory: what a fastText file of the public size takes, stage by stage.

    python benchmarks/scale.py [--words N] [--buckets N] [--dim N] [--peer-words N] [--text-words N]

A synthetic ``.bin`` of the shape of the public ones (2M words, 2M buckets, 300 dimensions: 4.8 GB of
matrix) is opened, pruned, re-fitted, quantised and saved, and a smaller one beside gensim and
compress-fasttext; then word2vec text is read beside gensim. The files are made first, in the folder
for temporary files (`TMPDIR` says where), and removed at the end. The output is Markdown.

Each side runs in a process of its own, which says on its standard output what it begins. This process
reads that process's `/proc/PID/status` every few milliseconds: `RssAnon` is memory that must fit, while
pages of mapped files (`RssFile`) can be dropped by the system at any time. A thread inside would miss
peaks, since compiled loops do not let it run.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from common import CENTROIDS, SIDES, THREADS, environment, print_table, run_script

SEED = 0
N_WORDS, N_NGRAMS, CODES = 100_000, 200_000, 100  # of the recipe, at full size; smaller models keep fewer
RANK, NOISE = 64, 0.3  # of the rows: the dimensions that carry something, and how much the others add
BLOCK = 1 << 16  # rows made at once
N_JUDGED = 5_000  # words of a kind
PAUSE = 0.005  # seconds between two looks at a process
HEADER = ("stage", "s", "of the processor, s", "peak anonymous MB", "peak resident MB")


class Size(NamedTuple):
    """Shape of a synthetic model."""

    n_words: int
    n_buckets: int
    dim: int


def tables(words: int, buckets: int, dim: int, peer_words: int, text_words: int, threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        saved = {"workbench": Path(folder, "small.safetensors"), "peer": Path(folder, "small.bin")}
        if words:
            size = Size(words, buckets, dim)
            build_and_judge(make(Path(folder, "large.bin"), size), {"workbench": saved["workbench"]}, size, threads)
        if peer_words:  # a file that the peer manages
            size = Size(peer_words, peer_words, dim)
            build_and_judge(make(Path(folder, "middle.bin"), size), saved, size, threads)
        if text_words:
            reading_text(make_text(Path(folder, "rows.vec"), text_words, dim), text_words, dim, threads)


# -- the tables ---------------------------------------------------------------------------


def build_and_judge(model: Path, saved: dict[str, Path], size: Size, threads: int) -> None:
    """Print a table for each side, then remove the model."""
    jobs = {
        side: watched(f"build_{side}", threads, model=str(model), path=str(path), **recipe(size))
        for side, path in saved.items()
    }
    paths = {side: str(path) for side, path in saved.items()}
    judged = watched("judge", threads, model=str(model), ours=paths["workbench"], theirs=paths.get("peer")).answer
    for side, job in jobs.items():
        n_bytes = sum(file.stat().st_size for file in saved[side].parent.glob(saved[side].name + "*"))
        print_table(
            f"E. {size.n_words:,} words, {size.n_buckets:,} buckets, {size.dim} dimensions, {side}: "
            f"{model.stat().st_size / 1e9:.2f} GB become {n_bytes / 1e6:.1f} MB",
            HEADER,
            job.table(),
            [f"Error is {', '.join(f'{error:.4f} for {kind} words' for kind, error in judged[side].items())}."],
        )
    model.unlink()


def reading_text(path: Path, n_words: int, dim: int, threads: int) -> None:
    """Print the table of word2vec text, read by both sides."""
    jobs = {side: watched(f"read_{side}", threads, path=str(path)) for side in SIDES}
    rows = [[side, *job.table()[-1][1:]] for side, job in jobs.items()]
    print_table(f"E. word2vec text of {n_words:,} words x {dim}, {path.stat().st_size / 1e9:.2f} GB", HEADER, rows)


def recipe(size: Size) -> dict[str, int]:
    """Return what the recipe keeps of a model of this size."""
    n_words, n_ngrams = min(N_WORDS, size.n_words // 20), min(N_NGRAMS, size.n_buckets // 10)
    return {"n_words": n_words, "n_ngrams": n_ngrams, "codes": min(CODES, size.dim)}


# -- watching a process -------------------------------------------------------------------


class Watched:
    """A job of this script in a process of its own, and what it takes, by the stages that it names."""

    def __init__(self, command: list[str], threads: int):
        self.seconds: dict[str, float] = {}
        self.busy: dict[str, float] = {}  # seconds of the processor; of the last stage, up to the last look
        self.peaks: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))  # by stage and field, bytes
        self.answer: Any = None
        self._stage, self._since = "start", time.perf_counter()
        self._ticks, self._last_ticks = 0, 0
        self.process = subprocess.Popen(command, env=environment(threads), stdout=subprocess.PIPE, text=True)
        sampler = threading.Thread(target=self._sample, daemon=True)
        sampler.start()
        self._follow()
        sampler.join()

    def table(self) -> list[list[str]]:
        """Return a row for each stage, and one for the whole."""
        rows = []
        for name in self.seconds:
            peaks = (self.peaks[name][field] / 1e6 for field in ("anonymous", "resident"))
            rows.append((name, self.seconds[name], self.busy[name], *peaks))
        sums, peaks = (sum(row[i] for row in rows) for i in (1, 2)), (max(row[i] for row in rows) for i in (3, 4))
        rows.append(("whole", *sums, *peaks))
        return [[name, *(f"{s:.1f}" for s in row[:2]), *(f"{mb:,.0f}" for mb in row[2:])] for name, *row in rows]

    def anonymous(self) -> int:
        """Return the most anonymous memory at any time, in bytes."""
        return max(fields["anonymous"] for fields in self.peaks.values())

    def _follow(self) -> None:
        """Read what the process says, until it ends."""
        assert self.process.stdout is not None, "it was asked for"
        lines = [""]
        for line in self.process.stdout:
            if line.startswith("stage "):
                self._turn(line.split()[1])
            else:
                lines.append(line)
        self._turn("end")
        if self.process.wait() != 0:
            raise RuntimeError(f"the job ended with status {self.process.returncode}")
        self.answer = json.loads(lines[-1])

    def _turn(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[self._stage] = now - self._since
        self.busy[self._stage] = (self._ticks - self._last_ticks) / os.sysconf("SC_CLK_TCK")
        self._last_ticks = self._ticks
        self._stage, self._since = stage, now

    def _sample(self) -> None:
        """Keep the peaks of this stage, until the process is gone."""
        while self.process.poll() is None and self._stage != "end":
            try:
                status = Path(f"/proc/{self.process.pid}/status").read_text()
                ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            except OSError:
                return
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in status.splitlines() if " kB" in line}
            now = {"anonymous": sizes.get("RssAnon", 0), "resident": sizes.get("VmRSS", 0)}
            self._ticks = max(self._ticks, sum(map(int, ticks)))
            peaks = self.peaks[self._stage]
            for field, n_bytes in now.items():
                peaks[field] = max(peaks[field], n_bytes)
            time.sleep(PAUSE)


def watched(job: str, threads: int = THREADS, **arguments: Any) -> Watched:
    """Run one of the `JOBS` and watch it."""
    return Watched([sys.executable, __file__, "--job", job, json.dumps(arguments)], threads)


def stage(name: str) -> None:
    """Say what begins now; for jobs."""
    print(f"stage {name}", flush=True)


# -- synthetic files ----------------------------------------------------------------------


def make(path: Path, size: Size) -> Path:
    """A fastText ``.bin``, written block by block beside its place."""
    beside = path.with_suffix(".part")
    with open(beside, "wb") as file:
        settings = (size.dim, 5, 5, 5, 10, 1, 2, 2, size.n_buckets, 3, 6, 100)
        file.write(struct.pack("<2i12id", 793712314, 12, *settings, 1e-4))
        file.write(struct.pack("<3i2q", size.n_words, size.n_words, 0, 10**9, -1))
        for number, word in enumerate(made_words(size.n_words)):
            file.write(word.encode() + b"\0" + struct.pack("<qb", max(5, 10**8 // (number + 3)), 0))
        file.write(struct.pack("<?2q", False, size.n_words + size.n_buckets, size.dim))
        write_rows(file, size.n_words + size.n_buckets, size.dim)
        file.write(struct.pack("<?", False))
    return beside.rename(path)


def made_words(n: int) -> Iterator[str]:
    """Different words of two to five syllables and an ending, so that they share n-grams as real ones do."""
    rng = np.random.default_rng(SEED)
    onsets, vowels, codas = [*"bcdfghjklmnprstvz", "st", "tr", "ch", "sh", ""], "aeiou", ["", "", "n", "r", "s", "l"]
    syllables = [onset + vowel + coda for onset in onsets for vowel in vowels for coda in codas]
    endings = ["", "", "s", "ed", "er", "ing", "ly", "ion", "ness", "able", "ity", "ment"]
    cyrillic = str.maketrans("abcdefghijklmnoprstuvz", "абцдефгхийклмнопрстувз")
    weights = 1 / np.arange(3, len(syllables) + 3)
    order = rng.permutation(len(syllables))
    seen: set[str] = set()
    while True:
        picked = order[rng.choice(len(syllables), p=weights / weights.sum(), size=(BLOCK, 5))].tolist()
        lengths, last = rng.integers(2, 6, BLOCK).tolist(), rng.integers(len(endings), size=BLOCK).tolist()
        for chosen, length, ending in zip(picked, lengths, last, strict=True):
            word = "".join([syllables[i] for i in chosen[:length]]) + endings[ending]
            word = word.translate(cyrillic) if chosen[-1] % 8 == 0 else word
            if word not in seen:
                seen.add(word)
                yield word
                if len(seen) == n:
                    return


def write_rows(file: BinaryIO, n: int, dim: int) -> None:
    """Rows of low rank with noise, as trained ones are, block by block."""
    axes = np.random.default_rng(SEED).normal(size=(min(RANK, dim), dim)).astype(np.float32)
    axes *= (0.1 / np.sqrt(np.arange(1, len(axes) + 1)))[:, None].astype(np.float32)
    for start in range(0, n, BLOCK):
        rng = np.random.default_rng([SEED, start])
        shape = min(BLOCK, n - start), dim
        rows = rng.standard_normal((len(axes), shape[0]), np.float32).T @ axes  # (block, dim)
        rows += np.float32(0.1 * NOISE) * rng.standard_normal(shape, np.float32)
        file.write(rows.data)


def make_text(path: Path, n_words: int, dim: int) -> Path:
    """word2vec text with nine digits a number, as many tools write it."""
    numbers = " ".join(["%.9g"] * dim)
    with tempfile.TemporaryFile() as rows, open(path, "w", encoding="utf-8") as file:
        write_rows(rows, n_words, dim)
        rows.seek(0)
        file.write(f"{n_words} {dim}\n")
        for word in made_words(n_words):
            file.write(f"{word} {numbers % tuple(np.frombuffer(rows.read(4 * dim), np.float32).tolist())}\n")
    return path


# -- jobs ---------------------------------------------------------------------------------


def build_workbench(model: str, path: str, n_words: int, n_ngrams: int, codes: int) -> None:
    """Job: what `Chain` does, saying which step begins, from the file to the small one."""
    import workbench as wb

    stage("open")
    v = big = wb.load(model)
    steps = [wb.Prune(n_words, n_ngrams), wb.Refit(random_state=SEED), wb.PQ(codes, random_state=SEED)]
    for step in steps:
        stage(type(step).__name__)
        v = step.fit_transform(v, big)
    stage("save")
    v.save(path)


def build_peer(model: str, path: str, n_words: int, n_ngrams: int, codes: int) -> None:
    """Job: compress-fasttext's own recipe on gensim's vectors."""
    import compress_fasttext
    from gensim.models.fasttext import load_facebook_vectors

    np.random.seed(SEED)  # its k-means draws from the global generator
    stage("open")
    big = load_facebook_vectors(model)
    stage("compress")
    small = compress_fasttext.prune_ft_freq(
        big, new_vocab_size=n_words, new_ngrams_size=n_ngrams, pq=True, qdim=codes, centroids=CENTROIDS
    )
    stage("save")
    small.save(path)


def judge(model: str, ours: str, theirs: str | None) -> dict[str, dict[str, float]]:
    """Job: 1 - mean cosine to the original, over kept, dropped and unseen words."""
    import workbench as wb
    from workbench.evaluate.fidelity import cosines
    from workbench.vocab import made_up_words

    big, small = wb.load(model), wb.load(ours)
    look_up: dict[str, Callable[[list[str]], Any]] = {"workbench": lambda asked: small.get_vectors(asked, "zero")}
    if theirs is not None:
        from compress_fasttext.models import CompressedFastTextKeyedVectors

        look_up["peer"] = CompressedFastTextKeyedVectors.load(theirs).__getitem__
    order = np.random.default_rng(SEED).permutation(len(big))[: 20 * N_JUDGED]
    words = {"kept": small.words[:], "dropped": [big.words[i] for i in order if big.words[i] not in small]}
    words["unseen"] = made_up_words(big.words, N_JUDGED, fitting=False, seed=SEED)
    words = {kind: some[:: max(len(some) // N_JUDGED, 1)][:N_JUDGED] for kind, some in words.items()}
    exact = {kind: big.get_vectors(some) for kind, some in words.items()}
    return {
        side: {kind: float(1 - cosines(exact[kind], find(some)).mean(dtype=float)) for kind, some in words.items()}
        for side, find in look_up.items()
    }


def read_workbench(path: str) -> None:
    """Job: word2vec text, by the workbench."""
    import workbench as wb

    stage("read")
    wb.load(path)


def read_peer(path: str) -> None:
    """Job: word2vec text, by gensim."""
    from gensim.models import KeyedVectors

    stage("read")
    KeyedVectors.load_word2vec_format(path)


if __name__ == "__main__":
    defaults = {"words": 2_000_000, "buckets": 2_000_000, "dim": 300, "threads": THREADS}
    options = {f"--{name}": {"type": int, "default": number} for name, number in defaults.items()}
    options["--peer-words"] = {"type": int, "default": 500_000, "help": "and as many buckets; 0 leaves the peer out"}
    options["--text-words"] = {"type": int, "default": 100_000, "help": "0 leaves the text out"}
    run_script(tables, [build_workbench, build_peer, judge, read_workbench, read_peer], options)
