"""The base of live views: what is drawn when, what a person is told, and the page that stays in the notebook."""

from pathlib import Path

import ipywidgets as widgets
import pytest
from conftest import PATIENCE, until
from jupyter_client.manager import start_new_kernel

from workbench import progress
from workbench.views import widget
from workbench.views.flow import Flow
from workbench.views.widget import View


class Cells:
    def total(a, b):
        for _ in progress.bar(range(3), "Adding"):
            if a + b > 9:
                raise ValueError(f"expected at most 9, got {a + b}; take less")
        return a + b


class Blocks:
    def sums(total, a):
        drawn.append(total)
        return {"total": total, "share": a / total if total else float("nan"), "bytes": b"\0\1"}

    def broken(total):
        return {"inverse": 1 // (total - 5)}


class Dummy(View):
    sums, broken = widget.shown(), widget.shown()
    blocks = Blocks

    def page(self):
        return f"<p>{self.flow['total']}</p>"

    def do_put(self, a, buffers=()):
        if a < 0:
            raise ValueError("expected a count")
        self.flow.set(a=a + len(buffers))


drawn: list = []


@pytest.fixture
def view():
    view = Dummy(Flow(Cells, a=1, b=2), kind="dummy").wait(PATIENCE)
    drawn.clear()
    yield view
    view.close()


def test_blocks_are_drawn_once_for_each_change_and_hold_json(view):
    assert view.sums == {"total": 3, "share": 1 / 3, "bytes": b"\0\1"}
    view.render()
    assert drawn == []
    view.act("put", a=-2)
    view.flow.set(a=-2)
    view.wait(PATIENCE)
    assert drawn == [3, 0]  # with the new input, then with what follows from it
    assert view.sums["share"] is None
    assert view.status["stale"] == []


def test_old_values_stay_stale_beside_an_error_until_it_is_mended(view):
    view.act("put", a=8)
    assert view.status["stale"] == ["sums", "broken"]
    view.wait(PATIENCE)
    assert view.status["errors"] == {"total": "expected at most 9, got 10; take less"}
    assert view.sums["total"] == 3
    assert view.status["stale"] == ["sums", "broken"]
    view.act("put", a=2)
    assert view.wait(PATIENCE).status | {"problem": ""} == view.status
    assert (view.sums["total"], view.status["errors"], view.status["stale"]) == (4, {}, [])


def test_a_block_that_fails_is_said_and_ends_nothing(view):
    view.act("put", a=3)
    assert "integer division" in view.wait(PATIENCE).status["problem"]
    assert view.broken == {}
    view.act("put", a=4)
    assert view.wait(PATIENCE).broken == {"inverse": 1}
    assert view.status["problem"] == ""


def test_what_goes_wrong_in_an_action_is_said_and_messages_bring_bytes(view):
    view._handle_custom_msg({"action": "put", "a": -1}, [])
    assert view.status["problem"] == "expected a count"
    view._handle_custom_msg({"action": "put", "a": 1}, [b"1", b"2"])
    assert view.status["problem"] == ""
    assert view.wait(PATIENCE).sums["total"] == 5
    view.act("nonsense")
    assert "do_nonsense" in view.status["problem"]


def test_a_live_view_leaves_a_page_that_follows_it(view, shown, monkeypatch):
    monkeypatch.setattr(widget, "PAUSE", 0.05)
    view._ipython_display_()
    assert "<p>3</p>" in shown[0].data
    assert "application/vnd.jupyter.widget-view+json" in shown[1]
    view.act("put", a=6)
    until(lambda: len(shown) > 2)
    assert "<p>8</p>" in shown[-1].data
    view.wait(PATIENCE)
    view.render()
    assert len(shown) == 3


def test_without_a_person_there_is_a_page_and_no_widget(shown):
    view = Dummy(Flow(Cells, False, a=1, b=2), kind="dummy")
    view._ipython_display_()
    assert [thing.data for thing in shown] == ["<p>3</p>"]
    assert view.comm is None
    assert widgets.VBox([widgets.IntSlider(), view]).children[1] is view  # a lesson puts it beside its own


def test_a_cell_that_runs_again_ends_the_view_it_showed(view, shown, monkeypatch):
    for run in ("first", "second"):
        monkeypatch.setattr(widget, "asked", lambda run=run: {"metadata": {"cellId": "c"}, "header": {"msg_id": run}})
        view._ipython_display_()
    assert view.comm is not None  # the same view, shown again
    Dummy(Flow(Cells, a=1, b=2))._ipython_display_()
    assert view.comm is not None
    monkeypatch.setattr(widget, "asked", lambda: {"metadata": {"cellId": "c"}, "header": {"msg_id": "third"}})
    other = Dummy(Flow(Cells, a=1, b=2))
    other._ipython_display_()
    assert view.comm is None
    other.close()


def test_a_view_hears_the_next_page_after_one_that_went_in_the_midst_of_work():
    """JupyterLab asks from a subshell of the kernel which widgets are there, and ends that subshell at once."""
    manager, client = start_new_kernel()

    def ask(channel, kind, subshell=None, **content):
        message = client.session.msg(kind, content)
        message["header"]["subshell_id"] = subshell
        channel.send(message)
        while (reply := channel.get_msg(timeout=PATIENCE))["parent_header"]["msg_id"] != message["header"]["msg_id"]:
            pass  # a slow start leaves answers to questions from before
        assert reply["content"]["status"] == "ok", reply
        return reply["content"]

    def run(code, subshell=None, value="0"):
        asked = {"code": code, "user_expressions": {"value": value}}
        reply = ask(client.shell_channel, "execute_request", subshell, **asked)
        return reply["user_expressions"]["value"]["data"]["text/plain"]

    try:
        run(f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_widget import *")
        comm = run("view = Dummy(Flow(Cells, a=1, b=2)).wait()", value="view.comm.comm_id").strip("'")
        subshell = ask(client.control_channel, "create_subshell_request")["subshell_id"]
        run("view.flow.set(a=2)", subshell)
        run("view.wait()", subshell)
        ask(client.control_channel, "delete_subshell_request", subshell_id=subshell)
        said = {"method": "custom", "content": {"action": "put", "a": 7, "sent": 5}}
        client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": comm, "data": said}))
        assert run("view.wait()", value="view.sums['total'], view.status['heard']") == "(9, 5)"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
