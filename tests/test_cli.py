"""The command line, as a new user would try it."""

import json
import os
import sys
from pathlib import Path, PurePosixPath

import pytest

from workbench import lab
from workbench.__main__ import main
from workbench.cli.notebooks import _value


def test_info_says_what_is_in_a_file(fasttext, tmp_path, capsys):
    path = fasttext.save(tmp_path / "m.safetensors")
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "700" in shown
    assert f"{path.stat().st_size / 1e6:.2f} MB" in shown


def test_trouble_is_one_line_on_stderr_and_a_status(tmp_path, capsys):
    assert main(["info", str(tmp_path / "gone.bin")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("workbench: ")
    assert shown.err.count("\n") == 1
    assert main(["report", str(tmp_path / "gone.ipynb")]) == 2


def test_parameters_are_literals_paths_or_strings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.bin").touch()
    texts = {"3": 3, "['a', 'b']": ["a", "b"], '["a"]': ["a"], "builtin:en": "builtin:en", "None": None}
    assert {text: _value(text) for text in texts} == texts
    assert _value("model.bin") == str(tmp_path / "model.bin")  # notebooks run elsewhere
    recipe = '{"step": "Chain", "steps": [' + '{"step": "Residual"}, ' * 100 + "null]}"  # too long for a path
    assert _value(recipe) == recipe


def test_without_a_command_the_usage_is_shown(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "report" in capsys.readouterr().err


def test_options_that_nobody_knows_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["info", "builtin:en", "--what"])
    assert "unrecognized arguments: --what" in capsys.readouterr().err


def test_lab_opens_the_notebooks_of_a_checkout_from_anywhere_and_passes_options_on(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("subprocess.call", lambda command, env: calls.append((command, env)) or 0)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/elsewhere")
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "--no-browser"]) == 0
    (command, environment), root = calls[0], Path(lab.__file__).parents[1]
    assert command[-2:] == [f"--ServerApp.root_dir={root / 'notebooks'}", "--no-browser"]
    assert environment["JUPYTER_CONFIG_PATH"] == f"{lab.SETTINGS}{os.pathsep}/elsewhere"
    assert list(tmp_path.iterdir()) == []


def test_lab_works_on_a_copy_where_the_package_is_installed(monkeypatch, tmp_path):
    site = tmp_path / "site" / "workbench"
    shared = tmp_path / "share" / "notebooks"
    (shared / "baselines").mkdir(parents=True)
    (shared / lab.FIRST).write_text("first")
    (shared / "baselines" / "b.json").write_text("{}")
    monkeypatch.setattr(lab, "__file__", str(site / "lab.py"))
    monkeypatch.chdir(tmp_path)

    class Installed(PurePosixPath):
        def locate(self):
            return self

    monkeypatch.setattr(lab.metadata, "files", lambda name: [Installed(shared / lab.FIRST)])
    folder = lab.notebooks()
    assert folder == tmp_path / "embedding-workbench" / "notebooks"
    assert (folder / "baselines" / "b.json").exists()
    (folder / lab.FIRST).write_text("a person's own")
    lab.notebooks()
    assert (folder / lab.FIRST).read_text() == "a person's own"
    assert (shared / lab.FIRST).read_text() == "first"


def test_lab_without_notebooks_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(lab, "__file__", str(tmp_path / "workbench" / "lab.py"))
    monkeypatch.setattr(lab.metadata, "files", lambda name: [])
    assert main(["lab"]) == 2
    assert "lacks the notebooks" in capsys.readouterr().err


def test_settings_for_jupyterlab_name_settings_that_it_has():
    overrides = json.loads((lab.SETTINGS / "labconfig" / "default_setting_overrides.json").read_text())
    share = Path(sys.prefix) / "share" / "jupyter"
    for plugin, settings in overrides.items():
        package, name = plugin.split(":")
        places = share / "lab" / "schemas" / package, share / "labextensions" / package / "schemas" / package
        schema = next(json.loads((p / f"{name}.json").read_text()) for p in places if (p / f"{name}.json").exists())
        assert set(settings) <= set(schema["properties"])
