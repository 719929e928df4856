"""The command line, as a new user would try it."""

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import workbench as wb
from workbench import formats
from workbench.__main__ import main
from workbench.cli import notebooks
from workbench.cli.parser import EXAMPLES, parser

RECIPE = "Prune(n_words=300, n_ngrams=600), PQ(4)"


@pytest.fixture
def model(fasttext, tmp_path, monkeypatch):
    """Name of a file in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TQDM_DISABLE", "1")  # a slow machine tells of steps that others do in no time
    return fasttext.save(tmp_path / "model.safetensors").name


def said_by(capsys, *arguments):
    """The JSON that a command prints."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(arguments, capsys, status=2):
    """The last line of a command that is refused, with nothing on stdout and no file made or changed."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    try:
        got = main(arguments)
    except SystemExit as stop:
        got = stop.code
    shown = capsys.readouterr()
    assert (got, shown.out) == (status, ""), shown
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    last = re.split(r"[\r\n]+", shown.err)[-2]
    assert last.startswith("workbench: ")
    assert "Traceback" not in shown.err
    return last


def test_lab_opens_the_notebooks_of_a_checkout_from_anywhere_and_passes_options_on(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("subprocess.call", lambda command, env: calls.append((command, env)) or 0)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/elsewhere")
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "--no-browser"]) == 0
    [(command, environment)] = calls
    assert command[-2:] == [f"--ServerApp.root_dir={notebooks.PACKAGE.parent / 'notebooks'}", "--no-browser"]
    assert environment["JUPYTER_CONFIG_PATH"] == f"{notebooks.SETTINGS}{os.pathsep}/elsewhere"
    assert list(tmp_path.iterdir()) == []


def test_lab_works_on_a_copy_where_the_package_is_installed(monkeypatch, tmp_path):
    shared, copy = tmp_path / "share", tmp_path / "embedding-workbench" / "notebooks"
    (shared / "baselines").mkdir(parents=True)
    (shared / notebooks.FIRST).write_text("first")
    (shared / "baselines" / "b.json").write_text("{}")
    installed = SimpleNamespace(name=notebooks.FIRST, locate=lambda: shared / notebooks.FIRST)
    monkeypatch.setattr(notebooks, "PACKAGE", tmp_path / "site" / "workbench")
    monkeypatch.setattr(notebooks.metadata, "files", lambda name: [installed])
    monkeypatch.setattr("subprocess.call", lambda command, env: 0)
    monkeypatch.chdir(tmp_path)
    for text in ("first", "a person's own"):
        assert main(["lab"]) == 0
        assert (copy / "baselines" / "b.json").exists()
        assert (copy / notebooks.FIRST).read_text() == text
        (copy / notebooks.FIRST).write_text("a person's own")
    assert (shared / notebooks.FIRST).read_text() == "first"


def test_settings_for_jupyterlab_name_settings_that_it_has():
    overrides = json.loads((notebooks.SETTINGS / "labconfig" / "default_setting_overrides.json").read_text())
    share = Path(sys.prefix) / "share" / "jupyter"
    for plugin, settings in overrides.items():
        package, name = plugin.split(":")
        places = share / "lab" / "schemas" / package, share / "labextensions" / package / "schemas" / package
        schema = next(json.loads((p / f"{name}.json").read_text()) for p in places if (p / f"{name}.json").exists())
        assert set(settings) <= set(schema["properties"])


# -- models -------------------------------------------------------------------------------


def test_info_says_what_python_says(model, capsys):
    path = wb.recipe_from(RECIPE).fit_transform(wb.load(model)).save("small.safetensors")
    said = said_by(capsys, "info", str(path))
    assert (said["words"], said["dimensions"], said["format"]) == (300, 12, "safetensors")
    assert said["bytes"] == said["safetensors_bytes"] == path.stat().st_size
    assert said["word_rows"]["kind"] == "coded"
    assert said["ngrams"]["max_n"] == 5
    assert said["provenance"] == {"source": "made up"}
    assert wb.recipe_from(said["recipe"]) == wb.recipe_from(path)
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    for text in ("300", said["recipe"], f"{path.stat().st_size / 1e6:.2f} MB"):
        assert text in shown


@pytest.mark.parametrize("name", formats.writable())
def test_info_names_the_format_of_a_file_or_folder_and_its_size(plain, tmp_path, capsys, name):
    path = wb.export(plain, tmp_path / "model", name, warn=False)
    said = said_by(capsys, "info", str(path), "--allow-pickle")
    kind = {"ftz": "fasttext", "word2vec-binary": "word2vec"}.get(name, name)  # they begin in the same way
    assert (said["format"], said["words"]) == (kind, 700)
    assert said["bytes"] == sum(p.stat().st_size for p in [path, *path.rglob("*")] if p.is_file())


def test_compress_by_a_recipe_does_what_python_does_and_what_it_prints_can_be_pasted(model, capsys):
    said = said_by(capsys, "compress", model, "small.safetensors", "--recipe", RECIPE)
    recipe, big = wb.recipe_from(RECIPE), wb.load(model)
    python = recipe.fit_transform(big).save("python").read_bytes()
    assert Path("small.safetensors").read_bytes() == python
    assert wb.from_json(said["recipe_json"]) == recipe
    assert said["out"]["bytes"] == len(python)
    card = wb.scorecard(big, wb.load("python"), parts=["size"]).set_index("metric")["value"]
    assert said["ratio"] == card["ratio"]
    splits = {(row["metric"], row["split"]) for row in said["scorecard"]}
    assert {("fidelity", s) for s in ("kept", "dropped", "unseen")} | {("overlap@10", "all")} <= splits
    assert all(row["low"] is None for row in said["scorecard"] if row["metric"] == "coverage")  # NaN has no JSON
    assert main(["compress", model, "again.safetensors", "--recipe", "small.safetensors"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^fidelity: +kept 0\.\d+, dropped 0\.\d+, unseen 0\.\d+", shown, re.MULTILINE)
    assert re.search(r"^recipe: +(.*)$", shown, re.MULTILINE)[1] == said["recipe"]
    assert main(["compress", model, "pasted.safetensors", "--recipe", said["recipe"], "--no-scores"]) == 0
    assert "fidelity" not in capsys.readouterr().out
    assert Path("again.safetensors").read_bytes() == Path("pasted.safetensors").read_bytes() == python


@pytest.mark.parametrize("limits", [{"n_trials": 2}, {"n_trials": 6, "time_limit": 0}], ids=str)
def test_compress_to_a_budget_finds_what_fit_budget_finds(model, capsys, limits):
    options = ["--min-words", "100", "--goal", "overlap", "--seed", "3"]
    options += [text for name, n in limits.items() for text in (f"--{name.replace('_', '-')}", str(n))]
    said = said_by(capsys, "compress", model, "small", "--budget", "30 kB", "--no-scores", *options)
    found = wb.fit_budget(
        wb.load(model), "30 kB", n_trials=6, time_limit=0, min_words=100, goal="overlap", random_state=3
    )
    assert wb.recipe_from(said["recipe"]) == found.recipe
    assert Path("small").read_bytes() == found.vectors.save("python").read_bytes()  # no ending: our own format
    assert said["scorecard"] is None


def test_compress_into_another_format_scores_what_is_in_the_file(model, capsys):
    assert main(["compress", model, "small.vec", "--budget", "30kB", "--n-trials", "1", "--json"]) == 0
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert "workbench: warning: word2vec text cannot hold its " in shown.err
    assert "more than the budget of 30kB" in shown.err
    assert any("n-grams" in lost for lost in said["out"]["lost"])
    assert said["out"]["bytes"] == Path("small.vec").stat().st_size
    fidelity = {row["split"]: row["value"] for row in said["scorecard"] if row["metric"] == "fidelity"}
    assert fidelity["kept"] > fidelity["unseen"] == 0  # their n-grams are not there any more


def test_convert_makes_folders_packs_and_strictly_writes_only_what_loses_nothing(model, capsys):
    assert main(["convert", model, "new/model.vec.gz"]) == 0
    assert "new/model.vec.gz" in capsys.readouterr().out
    assert wb.load("new/model.vec.gz").words == wb.load(model).words
    said = refused(["convert", model, "model.vec", "--strict"], capsys, status=1)
    assert said.startswith("workbench: nothing was written, since word2vec text cannot hold its ")
    assert main(["convert", model, "copy.safetensors", "--strict"]) == 0
    assert Path("copy.safetensors").read_bytes() == Path(model).read_bytes()


def test_compare_is_the_scorecard(model, capsys):
    small = wb.recipe_from(RECIPE).fit_transform(wb.load(model)).save("small.safetensors")
    said = said_by(capsys, "compare", model, str(small), "--seed", "5")["scorecard"]
    card = wb.scorecard(wb.load(model), wb.load(small), random_state=5)
    timed = card["how"].str.startswith("timed")
    assert [row["how"] for row in said] == card["how"].tolist()
    assert [row["value"] for row in said if not row["how"].startswith("timed")] == card["value"][~timed].tolist()
    assert main(["compare", model, str(small)]) == 0
    table = capsys.readouterr().out
    assert table.split()[:7] == ["metric", "split", "value", "low", "high", "how", "n"]
    assert re.search(rf"size +compressed +{small.stat().st_size:,} +exact, bytes of the file +300$", table, re.M)


# -- what is refused ----------------------------------------------------------------------


WRONG = [
    ("compress MODEL out", "one of the arguments --budget --recipe is required; see workbench compress --help"),
    ("compress MODEL out --budget 1MB --recipe 'PQ()'", "not allowed with argument --budget"),
    ("compress MODEL out --budget 1MB --seed -1", "argument --seed: expected a whole number from 0 to 4294967295"),
    ("compress MODEL out --budget '20 apples'", "expected a size such as '20MB'"),
    ("compress MODEL out --recipe 'PQ(4)' --min-words 3", "--min-words: for --budget only"),
    ("compress MODEL out --recipe 'Prun(4)'", "did you mean Prune?"),
    ("compress MODEL out.txt --recipe 'PQ(4)'", "the name of out.txt does not tell the format; say --format, one of "),
    ("compress MODEL MODEL --recipe 'PQ(4)'", "is the model that is read"),
    ("compress MODEL link --recipe 'PQ(4)'", "is the model that is read"),
    ("compress MODEL folder --recipe 'PQ(4)'", "folder is a folder, and the workbench's .safetensors is a file"),
    ("compress MODEL MODEL/out --recipe 'PQ(4)'", "is a file, so model.safetensors/out cannot be in it"),
    ("compress gone.bin out --recipe 'PQ(4)'", "gone.bin does not exist; expected a model file or 'builtin:en'"),
    ("convert MODEL pipe --format glove", "pipe is no ordinary file"),
    ("info pickle", "say --allow-pickle"),
    ("info", "the following arguments are required: FILE; see workbench info --help"),
    ("info MODEL --jason", "unrecognized arguments: --jason"),
    ("compare MODEL narrow.vec", "the original has 12 dimensions, the other 2; they cannot be compared"),
    ("report gone.ipynb", "gone.ipynb does not exist"),
    ("inof MODEL", "invalid choice: 'inof' (choose from"),
]


@pytest.mark.parametrize(("line", "says"), WRONG, ids=[line for line, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line(model, capsys, line, says):
    Path("folder").mkdir()
    Path("link").symlink_to(model)
    Path("pickle").write_bytes(b"\x80\x04abc")
    Path("narrow.vec").write_text("1 2\na 1 2\n")
    os.mkfifo("pipe")
    assert says in refused(shlex.split(line.replace("MODEL", model)), capsys)


def test_what_nobody_foresaw_is_one_line_too_and_raised_on_demand(model, capsys, monkeypatch):
    monkeypatch.setattr(wb.Vectors, "describe", lambda v: 1 // 0)
    assert "ZeroDivisionError: integer division or modulo by zero (WORKBENCH_TRACEBACK=1" in refused(
        ["info", model], capsys
    )
    monkeypatch.setenv("WORKBENCH_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["info", model])


def test_nothing_in_a_file_moves_the_cursor(tmp_path, capsys):
    v = wb.Vectors.from_arrays(["\x1b[31mred", "caf\udce9", "a\nb"], np.eye(3), None)
    v.meta["provenance"] = {"source": "x\x1b]0;title\x07\ny"}
    assert main(["info", str(v.save(tmp_path / "m"))]) == 0
    assert not re.search(r"[^\n -~\ufffd]", capsys.readouterr().out)


# -- help -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *EXAMPLES])
def test_help_has_examples_that_are_understood(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert "None" not in shown
    examples = re.findall(rf"^  workbench ({command}.*)$", shown, re.MULTILINE)
    assert examples
    for line in examples:
        args, rest = parser().parse_known_args(shlex.split(line.split(">")[0]))
        assert not rest or args.name == "lab"
        if "(" in (getattr(args, "recipe", None) or ""):
            wb.recipe_from(args.recipe)


def test_help_loads_nothing_heavy_and_works_without_docstrings(model, capsys):
    code = "import sys; from workbench.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print({'pandas', 'numba', 'tqdm', 'sklearn', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    assert main([]) == 2
    assert "report" in capsys.readouterr().err


# -- in a process of its own --------------------------------------------------------------------


def test_what_a_format_cannot_hold_is_said_before_a_file_for_which_there_is_no_room(model):
    Path("model.vec").write_text("1 2\nold 1 2\n")
    limit = resource.RLIMIT_FSIZE, (9_999, 9_999)
    line = [sys.executable, "-m", "workbench", "convert", model, "model.vec"]
    done = subprocess.run(line, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: resource.setrlimit(*limit))
    assert done.returncode == 2
    lost = [f"warning: word2vec text cannot hold {text}" for text in formats.losses(wb.load(model), "model.vec")]
    assert len(lost) == 2
    lines = [*lost, "model.vec could not be written: File too large"]
    assert done.stderr.splitlines() == [f"workbench: {line}" for line in lines]
    assert wb.load("model.vec").words == ["old"]
    assert {path.name for path in Path().iterdir()} == {model, "model.vec"}


def test_a_reader_that_goes_and_an_output_that_is_full(model):
    line = [sys.executable, "-m", "workbench", "info", model]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE
    with open("/dev/full", "w") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"workbench: .*No space left on device\n", done.stderr)


SLOW = """
import os, sys, time
from workbench.__main__ import main

def fsync(_):
    print("writing", file=sys.stderr, flush=True)
    time.sleep(60)

os.fsync = fsync
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_ended_in_the_middle_nothing_half_written_stays(model, number, status):
    """Only a process that is killed at once cannot clear away the file beside."""
    Path("model.vec").write_text("old")
    line = [sys.executable, "-c", SLOW, "convert", model, "model.vec"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        while process.stderr.readline() != "writing\n":
            assert process.poll() is None
        assert list(Path().glob(".*.part"))
        process.send_signal(number)
        said = process.stderr.read()
    assert process.returncode == status
    assert said == ("workbench: stopped\n" if status == 130 else "")
    assert len(list(Path().glob(".*.part"))) == (number == signal.SIGKILL)
    assert sorted(path.name for path in Path().glob("[!.]*")) == [model, "model.vec"]
    assert Path("model.vec").read_text() == "old"


def test_an_interrupted_search_writes_nothing_and_says_what_it_had(model, capsys, monkeypatch):
    """`fit_budget` returns its best so far; nobody who pressed Ctrl-C expects a file of that."""
    from workbench.search import trials

    attempt, tried = trials.attempt, []

    def interrupted(*args, **options):
        if tried:
            signal.raise_signal(signal.SIGINT)
        tried.append(args)
        return attempt(*args, **options)

    monkeypatch.setattr(trials, "attempt", interrupted)
    assert main(["compress", model, "small", "--budget", "30kB"]) == 130
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("workbench: ")]
    assert lines[-1] == "workbench: stopped"
    assert isinstance(wb.recipe_from(lines[0].removeprefix("workbench: the best recipe so far is ")), wb.Chain)
    assert [path.name for path in Path().iterdir()] == [model]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
