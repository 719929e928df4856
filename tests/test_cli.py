"""The command line, as a new user would try it."""

import pytest

from workbench.__main__ import _value, main


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


def test_without_a_command_the_usage_is_shown(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "report" in capsys.readouterr().err


def test_options_that_nobody_knows_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["info", "builtin:en", "--what"])
    assert "unrecognized arguments: --what" in capsys.readouterr().err


def test_lab_opens_the_notebooks_and_passes_options_on(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("subprocess.call", lambda command: calls.append(command) or 0)
    monkeypatch.chdir(tmp_path)
    assert main(["lab"]) == 2  # no notebooks here
    (tmp_path / "notebooks").mkdir()
    assert main(["lab", "--no-browser"]) == 0
    assert calls[0][-2:] == [f"--ServerApp.root_dir={tmp_path / 'notebooks'}", "--no-browser"]
