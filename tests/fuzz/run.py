"""Give every reader of the project damaged and hostile files, and see that it says so: nothing else, at once.

    PYTHONPATH=tests python -m fuzz.run --runs 200000 --seed 0             # changes made with an eye for each format
    PYTHONPATH=tests python -m fuzz.run --runs 200000 --seed 0 --atheris   # led by what code they reach; needs atheris

An input is a finding if opening it raises anything but a ValueError (of one line, which names the
file), takes more than a second, or allocates more than twice its own size unpacked and 64 MB; or
if a model that was opened raises anything but ValueError and KeyError in use. Findings are made
smaller and kept under ``--out``; those that were mended are in tests/fuzz/corpus, for test_fuzz.py.
"""

import argparse
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fuzz.mutations import mutated

if "--atheris" in sys.argv and "--folder" in sys.argv:  # what is imported here will tell how far an input gets
    import atheris

    # numba compiles functions of the two, and cannot if they are changed.
    with atheris.instrument_imports(include=["workbench"], exclude=["workbench.kernels", "workbench.subwords"]):
        pass

from fuzz.readers import READERS, Parts, Reader, read_parts

SECONDS = 1.0  # of processor time for one input
KILL = 20  # seconds after which a process that hangs where Python's own alarm does not reach is ended
MORE = 64 << 20  # bytes that opening may take beyond twice the file
IN_USE = 1 << 30  # bytes that may be taken later: vectors are decoded block by block
MOST = 1 << 27  # bytes of a gzip file that are unpacked to see how large it is
SHRINKING = 400  # tries to make a finding smaller
STATES = 500  # inputs after which a worker notes how far it is
FOLDERS = (FileNotFoundError, IsADirectoryError, NotADirectoryError)  # honest of a folder with files missing
CORPUS = Path(__file__).parent / "corpus"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "NUMBA", "MKL")}


class Hang(BaseException):
    """It takes too long."""


@dataclass
class Outcome:
    """What came of an input: a sort of answer, and for a finding where it was raised and how."""

    told: str
    finding: str = ""
    trace: str = ""


@dataclass
class Tally:
    """What came of many inputs."""

    runs: int = 0
    opened: int = 0
    seconds: float = 0
    slowest: float = 0
    outcomes: list[str] = field(default_factory=list)
    findings: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: Outcome, seconds: float) -> bool:
        """Add one; gives whether it is a finding not seen before."""
        self.runs += 1
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)
        self.opened += outcome.told == "opened"
        if outcome.told not in self.outcomes:
            self.outcomes.append(outcome.told)
        if not outcome.finding:
            return False
        self.findings[outcome.finding] = self.findings.get(outcome.finding, 0) + 1
        return self.findings[outcome.finding] == 1


# -- one input -----------------------------------------------------------------------------


def tried(reader: Reader, parts: Parts, folder: Path) -> Outcome:
    """Open an input and use what was opened, within the limits."""
    path = reader.write(parts, folder)
    try:
        with limits(2 * unpacked_size(parts) + MORE):
            opened = reader.open(path)
    except FOLDERS as error:
        return Outcome(type(error).__name__) if reader.is_folder else _finding("opening", error)
    except BaseException as error:
        complaint = _complaint(reader, path, error)
        return _finding(complaint, error) if complaint else Outcome(_sort(str(error), path))
    try:
        with limits(IN_USE):
            reader.use(opened)
    except BaseException as error:
        if type(error) not in (ValueError, KeyError):
            return _finding("using", error)
    return Outcome("opened")


def _complaint(reader: Reader, path: Path, error: BaseException) -> str:
    """What is wrong with a refusal; nothing if it is as it should be."""
    if type(error) is not ValueError:
        return "opening"
    message = str(error)
    if "\n" in message or len(message) > 3_000:
        return "a long message"
    return "" if str(path) in message else "a message without the file"


def _sort(message: str, path: Path) -> str:
    """The message without names and numbers, to tell sorts of answers apart."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|[\d,]+", "#", message.replace(str(path), ""))[:80]


def _finding(when: str, error: BaseException) -> Outcome:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "workbench/" in frame.filename]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "nowhere"
    text = "".join(traceback.format_exception(error))[-6_000:]
    return Outcome("finding", f"{when}: {type(error).__name__} in {where}", text)


def unpacked_size(parts: Parts) -> int:
    """Bytes of all files, gzip ones unpacked."""
    return sum(map(len, parts.values())) + sum(_in_gzip(data) for data in parts.values() if data[:2] == b"\x1f\x8b")


def _in_gzip(data: bytes) -> int:
    try:
        return len(zlib.decompressobj(31).decompress(data, MOST))
    except zlib.error:
        return 0


@contextmanager
def limits(n_bytes: int) -> Iterator[None]:
    """Let what is inside take so much more memory (Linux counts it) and a second; else MemoryError and Hang."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    old = signal.signal(signal.SIGPROF, _hang)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + n_bytes, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(KILL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_DATA, before)
        signal.signal(signal.SIGPROF, old)


def _hang(number, frame) -> None:
    raise Hang(f"more than {SECONDS} s")


def _data_bytes() -> int:
    """Memory of this process that RLIMIT_DATA is about; without Linux's /proc nothing is limited."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except OSError:
        return 1 << 60


# -- many inputs ---------------------------------------------------------------------------


def made(reader: Reader, number: int, seed: int) -> Parts:
    """Input `number`, always the same of one seed: a valid one with a change in one of its files, or two."""
    rng = random.Random(f"{seed} {reader.name} {number}")
    return changed(reader, dict(rng.choice(reader.seeds)), rng)


def changed(reader: Reader, parts: Parts, rng: random.Random) -> Parts:
    for _ in range(1 if len(parts) == 1 else rng.choice((1, 1, 2))):
        name = rng.choice(list(parts))
        if len(parts) > 1 and rng.random() < 0.03:
            del parts[name]
            continue
        parts[name] = mutated(parts[name], rng, [seed[name] for seed in reader.seeds if name in seed])
    return parts


def warm_up(reader: Reader, folder: Path) -> int:
    """Import and compile what is imported and compiled late; gives how many seeds are opened, not refused."""
    n_opened = 0
    for number, parts in enumerate(reader.seeds):
        path = reader.write(parts, folder / f"seed {number}")
        try:
            reader.use(reader.open(path))
            n_opened += 1
        except ValueError:  # pickles, and what is not supported
            continue
    return n_opened


def work(reader: Reader, numbers: range, seed: int, folder: Path, out: Path, tally: Tally, seconds: float) -> None:
    """Try these inputs in turn. The one that is being tried lies in a folder of its number."""
    for number in numbers:
        if tally.seconds > seconds:
            break
        outcome = _counted(reader, made(reader, number, seed), folder / str(number), tally)
        if outcome.finding:
            keep(reader, outcome, read_parts(folder / str(number)), out, folder / "smaller")
        shutil.rmtree(folder / str(number))
        if number % STATES == STATES - 1:
            note(tally, folder)
    note(tally, folder)


def _counted(reader: Reader, parts: Parts, folder: Path, tally: Tally) -> Outcome:
    folder.mkdir(parents=True)
    begun = time.process_time()  # so that it does not matter what else this machine does
    outcome = tried(reader, parts, folder)
    if not tally.count(outcome, time.process_time() - begun):
        outcome.finding = ""
    return outcome


def note(tally: Tally, folder: Path) -> None:
    (folder / "tally").write_text(json.dumps(asdict(tally)))


def keep(reader: Reader, outcome: Outcome, parts: Parts, out: Path, folder: Path) -> None:
    """Save a finding, made smaller."""
    save(reader, outcome, smaller(reader, parts, outcome.finding, folder), out)


def save(reader: Reader, outcome: Outcome, parts: Parts, out: Path) -> None:
    name = re.sub(r"\W+", "-", outcome.finding)
    for path, data in parts.items():
        file = out / reader.name / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (out / reader.name / f"{name}.log").write_text(outcome.trace, errors="backslashreplace")


def smaller(reader: Reader, parts: Parts, finding: str, folder: Path) -> Parts:
    """Leave out piece after piece while the finding stays the same."""
    left = SHRINKING
    for name in parts:
        piece = len(parts[name]) // 2
        while piece:
            at = 0
            while at < len(parts[name]) and left and finding:
                less = parts | {name: parts[name][:at] + parts[name][at + piece :]}
                left -= 1
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                if tried(reader, less, folder).finding == finding:
                    parts = less
                else:
                    at += piece
            piece //= 2
    return parts


# -- led by coverage -----------------------------------------------------------------------


def joined(reader: Reader, parts: Parts) -> bytes:
    """One input as one string of bytes, each part after its length."""
    names = sorted({name for seed in reader.seeds for name in seed})
    return b"".join(len(parts.get(name, b"")).to_bytes(4, "little") + parts.get(name, b"") for name in names)


def parted(reader: Reader, data: bytes) -> Parts:
    """Undo `joined`, of any bytes."""
    names = sorted({name for seed in reader.seeds for name in seed})
    if len(names) == 1 or not reader.is_folder:
        return {names[0]: data}
    parts, at = {}, 0
    for name in names:
        stop = at + 4 + int.from_bytes(data[at : at + 4], "little")
        parts[name] = data[at + 4 : stop]
        at = min(stop, len(data))
    return {name: part for name, part in parts.items() if part} or {names[0]: b""}


def work_by_coverage(
    reader: Reader, runs: int, seed: int, folder: Path, out: Path, tally: Tally, seconds: float
) -> None:
    """Hand the making of inputs to atheris, which keeps those that reach new code; ends the process."""

    def one(data: bytes) -> None:
        place = folder / str(tally.runs)
        outcome = _counted(reader, parted(reader, data), place, tally)
        if outcome.finding:
            keep(reader, outcome, read_parts(place), out, folder / "smaller")
        shutil.rmtree(place)
        is_done = tally.runs >= runs or tally.seconds > seconds
        if is_done or tally.runs % STATES == 0:
            note(tally, folder)
        if is_done:
            os._exit(0)

    def another(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.2:
            return atheris.Mutate(data, most)
        if not reader.is_folder:
            others = [next(iter(parts.values())) for parts in reader.seeds]
            return mutated(data, rng, others)[:most]
        return joined(reader, changed(reader, parted(reader, data), rng))[:most]

    seeds = folder / "seeds"
    seeds.mkdir()
    for number, parts in enumerate(reader.seeds):
        whole = joined(reader, parts) if reader.is_folder else next(iter(parts.values()))
        (seeds / str(number)).write_bytes(whole)
    options = [
        f"-seed={seed + 1}",
        "-max_len=8192",
        "-timeout=0",
        "-rss_limit_mb=0",
        "-verbosity=0",
        "-mutate_depth=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(seeds)], one, custom_mutator=another)
    atheris.Fuzz()


# -- from the shell ------------------------------------------------------------------------


def worker(arguments: argparse.Namespace) -> None:
    """What a process of its own does: the inputs of one reader from `first` on."""
    warnings.simplefilter("ignore")
    reader, folder = READERS[arguments.reader], Path(arguments.folder)
    told = json.loads((folder / "tally").read_text()) if (folder / "tally").exists() else {}
    tally, out = Tally(**told), Path(arguments.out)
    shutil.rmtree(folder)
    folder.mkdir()
    warm_up(reader, folder)
    if arguments.atheris:
        work_by_coverage(reader, arguments.runs, arguments.seed, folder, out, tally, 60 * arguments.minutes)
    numbers = range(arguments.first, arguments.runs)
    work(reader, numbers, arguments.seed, folder, out, tally, 60 * arguments.minutes)


def supervised(name: str, runs: int, minutes: float, arguments: argparse.Namespace) -> Tally:
    """Run workers until all inputs of a reader are tried: one that dies is a finding, and the next goes on."""
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder, first = Path(scratch) / "work", 0
        folder.mkdir()
        while True:
            command = [
                sys.executable,
                "-m",
                "fuzz.run",
                "--reader",
                name,
                "--folder",
                str(folder),
                "--first",
                str(first),
            ]
            command += ["--runs", str(runs), "--seed", str(arguments.seed), "--out", str(arguments.out)]
            command += ["--minutes", str(minutes)] + ["--atheris"] * arguments.atheris
            done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True)
            state = folder / "tally"
            tally = Tally(**json.loads(state.read_text())) if state.exists() else Tally()
            if not done.returncode:
                return tally
            last = max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=None)
            if last is None:
                raise RuntimeError(f"the worker of {name} failed: {done.stderr[-4_000:]}")
            died = Outcome("finding", f"the process died of {-done.returncode}", done.stderr[-6_000:])
            tally.runs, first = last, last + 1
            tally.count(died, 0)
            save(READERS[name], died, read_parts(folder / str(last)), arguments.out)
            note(tally, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200_000, help="inputs, over all readers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="time, over all readers")
    parser.add_argument("--reader", choices=READERS, help="only this one")
    parser.add_argument("--atheris", action="store_true", help="let code coverage lead; atheris must be installed")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder for findings")
    parser.add_argument("--scratch", type=Path, help="folder for inputs, such as /dev/shm")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        return worker(arguments)
    names = [arguments.reader] if arguments.reader else list(READERS)
    runs = -(-arguments.runs // len(names))
    print(f"{'reader':<18}{'inputs':>9}{'opened':>9}{'answers':>9}{'seconds':>9}{'slowest':>9}  findings")
    tallies = []
    for name in names:
        tally = supervised(name, runs, arguments.minutes / len(names), arguments)
        tallies.append(tally)
        show(name, tally)
    total = Tally(*(sum(getattr(tally, field) for tally in tallies) for field in ("runs", "opened", "seconds")))
    total.slowest = max(tally.slowest for tally in tallies)
    show("all", total)
    sys.exit(any(tally.findings for tally in tallies))


def show(name: str, tally: Tally) -> None:
    numbers = f"{tally.runs:>9,}{tally.opened:>9,}{len(tally.outcomes):>9}{tally.seconds:>9.1f}{tally.slowest:>9.3f}"
    print(f"{name:<18}{numbers}  {'; '.join(f'{text} ({n})' for text, n in tally.findings.items())}", flush=True)


if __name__ == "__main__":
    main()
