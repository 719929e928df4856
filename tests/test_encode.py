"""Encoding by partitions: the codes are those in memory, for any workers and after any crash; bad ones are named."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

import workbench as wb
from workbench.__main__ import main
from workbench.scale import encode as module
from workbench.semantic import SemanticIDs
from workbench.workers import outcomes

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
N, DIM, A_GROUP = 3_000, 8, 400  # rows; in two files of unequal length, with eight row groups
ROOT = Path(__file__).parents[1]


def table(rows: np.ndarray | list, ids: list | np.ndarray | None = None, kind: str = "list"):
    if kind == "list":
        column = pa.array([None if row is None else list(row) for row in rows], pa.list_(pa.float32()))
    else:
        column = pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(rows, np.float32).ravel()), DIM)
    return pa.table(({} if ids is None else {"id": ids}) | {"vector": column})


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, DIM), np.float32)  # (N, DIM)


@pytest.fixture
def source(vectors, tmp_path) -> Path:
    folder = tmp_path / "source"
    (folder / "b").mkdir(parents=True)
    names = [f"item {i}" for i in range(N)]
    pq.write_table(table(vectors[:1_800], names[:1_800]), folder / "a.parquet", row_group_size=A_GROUP)
    pq.write_table(table(vectors[1_800:], names[1_800:]), folder / "b" / "a.parquet", row_group_size=A_GROUP)
    pq.write_table(table(vectors[:5]), folder / "_left_out.parquet")
    return folder


@pytest.fixture
def ids(vectors) -> SemanticIDs:
    return SemanticIDs.from_vectors(vectors, 3, 16, items=[f"item {i}" for i in range(N)])


def half_or_die(number: int, *_: object) -> int:
    return number // 2 if number else os._exit(1)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("beam", [1, 3])
def test_items_get_the_codes_that_they_have_in_memory(beam, vectors, source, tmp_path):
    ids = SemanticIDs.from_vectors(vectors, 3, 16, items=[f"item {i}" for i in range(N)], beam=beam)
    encoded = wb.encode(source, tmp_path / "out", ids)
    assert len(encoded) == N
    assert len(encoded.paths) == 8
    parts = [encoded.partition(place) for place in range(8)]
    assert [item for part in parts for item in part] == list(ids)
    assert (np.concatenate([part.codes for part in parts]) == ids.codes).all()
    assert (parts[3].decode(["item 1500"]) == ids.decode(["item 1500"])).all()
    opened = SemanticIDs.load(encoded.paths[1], codebook_size=16)  # an ordinary file of ids
    assert (opened.codes == ids.codes[A_GROUP : 2 * A_GROUP]).all()


@pytest.mark.parametrize("kind", ["list", "fixed"])
def test_rows_without_ids_go_by_their_numbers(kind, vectors, ids, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.scale.source.BLOCK", 300)
    pq.write_table(table(vectors, None, kind), tmp_path / "rows.parquet", row_group_size=700)
    encoded = wb.encode(tmp_path / "rows.parquet", tmp_path / "out", ids)
    assert encoded.ids([2_999, "701"]).codes.tolist() == ids.codes[[701, 2_999]].tolist()


def test_files_are_the_same_to_the_byte_for_any_number_of_workers(source, ids, client, tmp_path):
    wb.encode(source, tmp_path / "here", ids)
    wb.encode(source, tmp_path / "there", ids, client=client)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_files_are_the_same_to_the_byte_where_entries_are_equally_near(client, tmp_path):
    """Products of matrices differ in their last bits with the number of BLAS threads, and that decides here."""
    rng = np.random.default_rng(0)
    entries = rng.standard_normal((1, 16, 100)).astype(np.float32)
    pairs = entries[0][rng.permuted(np.tile(np.arange(16), (N, 1)), axis=1)[:, :2]]  # (N, 2, 100)
    pq.write_table(table(pairs.mean(axis=1)), tmp_path / "rows.parquet")
    ids = SemanticIDs(["a"], [[0]], entries)
    wb.encode(tmp_path / "rows.parquet", tmp_path / "here", ids)
    wb.encode(tmp_path / "rows.parquet", tmp_path / "there", ids, client=client)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_after_a_crash_only_what_is_missing_is_done(source, ids, tmp_path, monkeypatch):
    wb.encode(source, tmp_path / "whole", ids)
    real, n_written = module._encode, 0

    def crash(item, encoder):
        nonlocal n_written
        if n_written == 3:
            raise KeyboardInterrupt
        n_written += 1
        return real(item, encoder)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(module, "_encode", crash)
        with pytest.raises(KeyboardInterrupt):
            wb.encode(source, out, ids)
    with pytest.raises(ValueError, match=r"5 of 8 partitions are not encoded, such as codes-00003.parquet; run"):
        wb.EncodedItems(out)
    (out / ".codes-00003.parquet.1.1.part").write_bytes(b"half")  # as a process leaves it that was killed
    (out / "codes-00001.parquet").write_bytes((out / "codes-00001.parquet").read_bytes()[:500])
    done = {place: (out / f"codes-0000{place}.parquet").stat().st_mtime_ns for place in (0, 2)}
    wb.encode(source, out, ids)
    assert contents(out) == contents(tmp_path / "whole")
    assert done == {place: (out / f"codes-0000{place}.parquet").stat().st_mtime_ns for place in (0, 2)}


SLOW = """
import sys, time
import workbench as wb
from workbench.semantic import SemanticIDs
from workbench.scale.source import Source
whole = Source._vectors
Source._vectors = lambda *given: time.sleep(0.3) or whole(*given)
if __name__ == "__main__":
    source, out, ids = sys.argv[1:]
    wb.encode(source, out, SemanticIDs.load(ids))
"""


def until(is_so, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_driver_leaves_whole_files_and_the_next_run_gives_the_same_bytes(source, ids, tmp_path):
    out, saved = tmp_path / "out", ids.save(tmp_path / "ids.json")
    given = list(map(str, [source, out, saved]))
    with subprocess.Popen([sys.executable, "-c", SLOW, *given], env={**os.environ, "PYTHONPATH": str(ROOT)}) as driver:
        until(lambda: (out / "codes-00001.parquet").exists())
        driver.kill()
    assert not (out / "codes-00007.parquet").exists()
    wb.encode(source, out, saved)
    wb.encode(source, tmp_path / "whole", saved)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_killed_worker_changes_nothing(source, ids, client, tmp_path):
    def slow_down():
        from workbench.scale.source import Source

        whole = Source._vectors
        Source._vectors = lambda *given: time.sleep(0.1) or whole(*given)

    client.run(slow_down)
    victim = next(iter(client.run(os.getpid).values()))
    out = tmp_path / "out"
    until_killed = subprocess.Popen(
        ["sh", "-c", f"until [ -e {out}/codes-00001.parquet ]; do sleep 0.02; done; kill -{signal.SIGKILL} {victim}"]
    )
    wb.encode(source, out, ids, client=client)
    assert until_killed.wait(60) == 0
    until(lambda: not psutil.pid_exists(victim))
    wb.encode(source, tmp_path / "whole", ids)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("on_workers", [False, True])
def test_a_bad_partition_is_named_and_the_rest_is_whole(on_workers, vectors, source, ids, request, tmp_path):
    bad = source / "b" / "a.parquet"
    mended = bad.read_bytes()
    rows, names = [*map(list, vectors[1_800:])], [f"item {i}" for i in range(1_800, N)]
    rows[410:800] = [[1.0, 2.0]] * 390
    rows[5] = [np.nan] * DIM
    pq.write_table(table(rows, names), bad, row_group_size=A_GROUP)
    client, out = request.getfixturevalue("client") if on_workers else None, tmp_path / "out"
    with pytest.raises(
        ValueError, match=r"2 of 8 partitions failed; the other 6 .* The first: b/a.parquet, row group 0: row 5"
    ):
        wb.encode(source, out, ids, client=client)
    assert len([*out.glob("codes-*.parquet")]) == 6
    bad.write_bytes(mended)
    assert (wb.encode(source, out, ids, client=client).ids(["item 2250"])["item 2250"]) == ids["item 2250"]
    wb.encode(source, tmp_path / "whole", ids)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("is_older", [False, True])
def test_a_partition_that_changed_is_done_again(is_older, vectors, source, ids, tmp_path):
    out, file = tmp_path / "out", source / "b" / "a.parquet"
    wb.encode(source, out, ids)
    rows = vectors[1_800:].copy()
    rows[7] = rows[8] if not is_older else 9  # the one changes no extremes, the other has an old date
    pq.write_table(table(rows, [f"item {i}" for i in range(1_800, N)]), file, row_group_size=A_GROUP)
    if is_older:
        os.utime(file, (0, 0))
    wb.encode(source, out, ids)
    assert wb.EncodedItems(out).ids(["item 1807"]).codes.tolist() == ids.encode(rows[[7]]).tolist()


def test_an_item_that_kills_one_worker_after_the_other_is_given_up(client):
    """What travels once is there again where all workers died that had it."""
    [outcome] = outcomes(half_or_die, [0], [np.ones(9)], client=client)
    assert isinstance(outcome.error, ChildProcessError)
    found = [outcome.place for outcome in outcomes(half_or_die, [0, 4], [np.ones(9)], client=client)]
    assert sorted(found) == [0, 1]  # Dask may blame the one that waited beside it, too
    assert [outcome.value for outcome in outcomes(half_or_die, [4], [np.ones(9)], client=client)] == [2]


class Failing:
    """A text model that fails on one text and gives NaN for another."""

    def embed(self, texts):
        if "item 1000" in texts:
            raise KeyError("no such word")
        return np.full((len(texts), DIM), np.nan if "item 2000" in texts else 1.0)


def test_whatever_a_text_model_does_wrong_is_said_of_its_partition(source, ids, tmp_path):
    said = r"2 of 8 partitions failed; the other 6 .* a.parquet, row group 2: KeyError: 'no such word'"
    with pytest.raises(RuntimeError, match=said):
        wb.encode(source, tmp_path / "out", ids, texts=Failing(), column="id")
    assert sorted(file.name[6:11] for file in (tmp_path / "out").glob("codes-*")) == [
        f"0000{i}" for i in (0, 1, 3, 4, 6, 7)
    ]


def test_codes_of_a_source_that_is_gone_are_kept(vectors, source, ids, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other.parquet"
    pq.write_table(table(vectors[:9], [f"other {i}" for i in range(9)]), other)
    wb.encode(source, out, ids)
    before = contents(out)
    with pytest.raises(
        ValueError, match=r"holds codes of .*a.parquet, row group .*, which is not in the source; put it"
    ):
        wb.encode(other, out, ids)
    (source / "b" / "a.parquet").unlink()
    with pytest.raises(ValueError, match=r"holds codes of b/a.parquet, row group 0, which is not in the source"):
        wb.encode(source, out, ids)
    assert contents(out) == before


def test_only_a_column_that_is_called_as_ids_are_is_taken_for_one(vectors, tmp_path):
    labels = {"label": ["a", "b"] * 50, "text": ["x"] * 100}
    rows = table(vectors[:100]).append_column("label", [labels["label"]]).append_column("text", [labels["text"]])
    pq.write_table(rows, tmp_path / "a.parquet")
    assert wb.sample_rows(tmp_path / "a.parquet", 100).words == [str(i) for i in range(100)]


def test_repeated_ids_are_named(vectors, ids, tmp_path):
    pq.write_table(table(vectors[:3], ["a", "b", "a"]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="the id 'a' is there more than once"):
        wb.encode(tmp_path / "a.parquet", tmp_path / "out", ids)


def test_relative_paths_are_those_of_this_process(source, ids, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoded = wb.encode("source", "out", ids, client=client)
    assert len([*(tmp_path / "out").glob("codes-*")]) == len(encoded.paths) == 8


def test_files_behind_links_with_other_endings_and_in_folders_like_files_are_read(vectors, ids, tmp_path):
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    (source / "day.parquet").mkdir(parents=True)
    elsewhere.mkdir()
    (source / "linked").symlink_to(elsewhere)
    for place, file in enumerate((source / "A.PARQUET", source / "day.parquet" / "b.parquet", elsewhere / "c.parquet")):
        pq.write_table(table(vectors[place : place + 1], [f"item {place}"]), file)
    pq.write_table(table([], []), source / "empty.parquet")
    encoded = wb.encode(source, tmp_path / "out", ids)
    assert encoded.ids(["item 0", "item 1", "item 2"]).codes.tolist() == ids.codes[:3].tolist()


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.uint16()])
def test_ids_of_other_types_become_texts_or_whole_numbers(kind, vectors, ids, tmp_path):
    names = pa.array([7, 8, 9] if kind == pa.uint16() else ["7", "8", "9"]).cast(kind)
    pq.write_table(table(vectors[:3], names), tmp_path / "a.parquet")
    encoded = wb.encode(tmp_path / "a.parquet", tmp_path / "out", ids)
    assert encoded.ids(["8"]).codes.tolist() == ids.codes[[1]].tolist()
    with pytest.raises(KeyError, match="no item 'x' among 3"):
        encoded.ids(["8", "x"])


def test_a_run_that_died_before_its_first_file_goes_on(source, ids, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".manifest.json.1.1.part").write_bytes(b"{")
    wb.encode(source, out, ids)
    wb.encode(source, tmp_path / "whole", ids)
    assert contents(out) == contents(tmp_path / "whole")
    for damaged in ("", "[]", '{"form": "something else"}'):
        (out / "manifest.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"manifest.json cannot be read as a manifest"):
            wb.encode(source, out, ids)


def test_a_model_of_the_wrong_width_leaves_no_trace_that_matters(vectors, source, ids, tmp_path):
    wrong = SemanticIDs.from_vectors(vectors[:, :5], 3, 16)
    with pytest.raises(ValueError, match=r"8 of 8 partitions failed.*its vectors have 8 dimensions, expected 5"):
        wb.encode(source, tmp_path / "out", wrong)
    assert len(wb.encode(source, tmp_path / "out", ids)) == N


def test_the_codebooks_of_a_folder_serve_again(source, ids, tmp_path):
    first = wb.encode(source / "a.parquet", tmp_path / "first", ids)
    wb.encode(source, tmp_path / "again", first.folder)
    wb.encode(source, tmp_path / "whole", ids)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")


def test_ids_of_a_trained_arm_are_refused(source, ids, tmp_path):
    arm = SemanticIDs(ids.items, ids.codes, ids.codebooks, meta={"arm": "rotation"})
    with pytest.raises(ValueError, match="codebooks of a trained arm"):
        wb.encode(source, tmp_path / "out", arm)
    with pytest.raises(TypeError, match=r"client must be a dask.distributed.Client, got str"):
        wb.encode(source, tmp_path / "out", ids, client="tcp://127.0.0.1:8786")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1.0] * DIM, None], "a.parquet, row group 0: row 1 has no vector"),
        ([[1.0] * DIM, [1.0] * 3], "a.parquet, row group 0: row 0 has 8 numbers, and row 1 has 3"),
        ([[1.0] * 3, [1.0] * 3], "a.parquet, row group 0: its vectors have 3 dimensions, expected 8"),
        ([[1.0] * 7 + [None]] * 2, "a.parquet, row group 0: row 0 holds NaN or infinity"),
        ([[1.0] * 7 + [np.inf]] * 2, "a.parquet, row group 0: row 0 holds NaN or infinity"),
    ],
)
def test_bad_rows_are_named(rows, said, ids, tmp_path):
    pq.write_table(table(rows, ["a", "b"]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=f"1 of 1 partitions failed; .*The first: {re.escape(said)}"):
        wb.encode(tmp_path / "a.parquet", tmp_path / "out", ids)


def test_a_missing_id_is_named(vectors, ids, tmp_path):
    pq.write_table(table(vectors[:2], ["a", None]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="row group 0: row 1 has no id"):
        wb.encode(tmp_path / "a.parquet", tmp_path / "out", ids)


def test_what_footers_show_is_refused_before_any_work(vectors, source, ids, tmp_path):
    out = tmp_path / "out"
    for options, said in [
        ({"column": "vectors"}, "a.parquet: there is no column 'vectors' among id, vector"),
        ({"id_column": "name"}, "a.parquet: there is no column 'name' among id, vector"),
        ({"column": "id"}, "a.parquet: expected lists of numbers in column 'id', got string"),
        ({"texts": "not looked at", "column": "vector"}, "a.parquet: expected texts in column 'vector', got list"),
    ]:
        with pytest.raises(ValueError, match=said):
            wb.encode(source, out, ids, **options)
    pq.write_table(table(vectors[:5], list(range(5))), source / "c.parquet")
    with pytest.raises(ValueError, match=r"c.parquet: expected texts in column 'id', got int64"):
        wb.encode(source, out, ids)
    pq.write_table(pa.table({"id": ["a"]}), source / "c.parquet")
    with pytest.raises(ValueError, match=r"c.parquet: there is no column 'vector'"):
        wb.encode(source, out, ids)
    (source / "c.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"c.parquet cannot be read as Parquet"):
        wb.encode(source, out, ids)
    for nothing, said in [(tmp_path / "no.parquet", "there is no file"), (tmp_path / "empty", "there is no .parquet")]:
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError, match=said):
            wb.encode(nothing, out, ids)
    with pytest.raises(ValueError, match="model has no codebooks"):
        wb.encode(source, out, SemanticIDs(["a"], [[1]]))
    assert not out.exists()


def test_codes_of_another_model_and_other_files_are_left_alone(vectors, source, ids, tmp_path):
    out = tmp_path / "out"
    wb.encode(source, out, ids)
    before = contents(out)
    others = SemanticIDs.from_vectors(vectors, 3, 16, random_state=1)
    with pytest.raises(ValueError, match=r"made in another way \(model\)"):
        wb.encode(source, out, others)
    for inside in (source, source / "codes"):
        with pytest.raises(ValueError, match="is the source, or in it"):
            wb.encode(source, inside, ids)
    with pytest.raises(ValueError, match="holds other files"):
        wb.encode(source, tmp_path, ids)
    assert contents(out) == before


def test_a_partition_that_is_gone_is_named_and_the_rest_is_whole(source, ids, tmp_path, monkeypatch):
    real = module.outcomes

    def gone(*given, **options):
        (source / "b" / "a.parquet").unlink()
        yield from real(*given, **options)

    monkeypatch.setattr(module, "outcomes", gone)
    with pytest.raises(
        OSError, match=r"3 of 8 partitions failed.* The first: b/a.parquet, row group 0: .*No such file"
    ):
        wb.encode(source, tmp_path / "out", ids)
    assert len([*(tmp_path / "out").glob("codes-*.parquet")]) == 5


def test_a_full_disk_leaves_whole_files(source, ids, tmp_path, monkeypatch):
    real = pq.write_table

    def write(table, file, **options):
        if "00002" in str(file.name):
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(table, file, **options)

    monkeypatch.setattr(pq, "write_table", write)
    said = "The first: a.parquet, row group 2: codes-00002.parquet could not be written: No space"
    with pytest.raises(OSError, match=f"1 of 8 partitions failed; .*{re.escape(said)}"):
        wb.encode(source, tmp_path / "out", ids)
    assert len([*(tmp_path / "out").glob("*codes-*")]) == 7


def test_a_sample_is_drawn_from_all_partitions_and_is_the_same_for_any_workers(vectors, source, client, monkeypatch):
    monkeypatch.setattr("workbench.scale.source.BLOCK", 150)
    found = wb.sample_rows(source, 500, random_state=3)
    rows = np.array([int(name.split()[1]) for name in found.words])
    assert len(found) == 500
    assert (np.diff(rows) > 0).all()
    assert (found.matrix() == vectors[rows]).all()
    assert np.bincount(rows // 750, minlength=4).min() > 80  # 125 each, and not less than four deviations from it
    there = wb.sample_rows(source, 500, random_state=3, client=client)
    assert there.words == found.words
    assert (there.matrix() == found.matrix()).all()
    assert wb.sample_rows(source, 500, random_state=4).words != found.words
    assert (wb.sample_rows(source, N + 1).matrix() == vectors).all()


def test_a_sample_of_unequal_vectors_is_refused_by_partition(vectors, source):
    pq.write_table(table([[1.0, 2.0]] * 100, [str(i) for i in range(100)]), source / "c.parquet")
    with pytest.raises(ValueError, match=r"c.parquet, row group 0: its vectors have 2 dimensions, expected 8"):
        wb.sample_rows(source, N)
    with pytest.raises(ValueError, match="n "):
        wb.sample_rows(source, 0)


@pytest.mark.parametrize("kind", [int, "{:05}".format])
def test_items_are_looked_up_in_partitions_that_may_have_them_alone(kind, vectors, ids, tmp_path):
    names = [kind(row) for row in range(N)]
    pq.write_table(table(vectors, names), tmp_path / "a.parquet", row_group_size=A_GROUP)
    encoded = wb.encode(tmp_path / "a.parquet", tmp_path / "out", ids)
    for place, path in enumerate(encoded.paths):
        data, n = path.read_bytes(), int.from_bytes(path.read_bytes()[-8:-4], "little") + 8  # of the footer
        if place != 3:
            path.write_bytes(data[:4] + bytes(len(data) - n - 4) + data[-n:])
    assert encoded.ids([names[1_300]]).codes.tolist() == [ids.codes[1_300].tolist()]


def test_opening_reads_no_codes(source, ids, tmp_path):
    encoded = wb.encode(source, tmp_path / "out", ids)
    for path in encoded.paths:
        path.write_bytes(b"")
    opened = wb.EncodedItems(tmp_path / "out")
    assert len(opened) == N
    assert opened.codebooks.tolist() == ids.codebooks.tolist()
    assert "3,000" in repr(opened)
    assert "3,000" in opened._repr_html_()


def test_encoded_items_answer_as_ids_in_memory_do(source, ids, tmp_path):
    encoded = wb.encode(source, tmp_path / "out", ids)
    some = encoded.ids(["item 2999", "item 7"])
    assert list(some) == ["item 7", "item 2999"]
    assert some["item 7"] == ids["item 7"]
    with pytest.raises(KeyError, match=r"no item 'item 3000' among 3,000"):
        encoded.ids(["item 7", "item 3000"])
    sample = encoded.sample(100, random_state=1)
    assert len(sample) == 100
    assert all(sample[item] == ids[item] for item in sample)
    assert list(encoded.sample(100, random_state=2)) != list(sample)
    for level, prefix in [(1, ()), (2, ()), (3, (4,)), (2, (4, 5))]:
        expected = ids.prefixes(level, prefix).drop(columns="exemplars")
        pd.testing.assert_frame_equal(encoded.prefixes(level, prefix), expected)
    with pytest.raises(TypeError, match="expected several items, got 'item 7'"):
        encoded.ids("item 7")
    with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
        encoded.sample(-1)
    with pytest.raises(TypeError, match="float"):
        encoded.prefixes(2, (1.5,))
    with pytest.raises(ValueError, match="level goes from 2 to 3, got 1"):
        encoded.prefixes(1, (4, 5))


def test_texts_are_put_together_first(animals_texts, tmp_path):
    model, texts = animals_texts
    pq.write_table(pa.table({"id": [*map(str, range(len(texts)))], "text": texts}), tmp_path / "a.parquet")
    rows = wb.TextVectors(model).transform(texts)
    ids = SemanticIDs.from_vectors(rows, 2, 4)
    encoded = wb.encode(tmp_path / "a.parquet", tmp_path / "out", ids, texts=wb.TextVectors(model))
    assert (encoded.partition(0).codes == ids.codes).all()
    assert (wb.sample_rows(tmp_path / "a.parquet", 100, texts=wb.TextVectors(model)).matrix() == rows).all()
    other = wb.TextVectors(model, tokenize="word+ngrams")
    with pytest.raises(ValueError, match=r"in another way \(model\)"):
        wb.encode(tmp_path / "a.parquet", tmp_path / "out", ids, texts=other)


@pytest.fixture
def animals_texts(fasttext):
    words = fasttext.words
    return fasttext, [" ".join(words[i % len(words)] for i in range(j, j + 3)) for j in range(40)]


def test_the_command_encodes_and_does_what_is_missing(source, animals_texts, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["encode", str(source), str(out), "--n-levels", "2", "--codebook-size", "16", "--n-sampled", "1000"]
    assert main(command) == 0
    assert "3,000" in capsys.readouterr().out
    before = contents(out)
    sample = wb.sample_rows(source, 1_000)
    expected = SemanticIDs.from_vectors(sample, 2, 16)
    assert wb.EncodedItems(out).ids(list(expected)).codes.tolist() == expected.codes.tolist()
    (out / "codes-00002.parquet").unlink()
    assert main(command) == 0
    assert contents(out) == before
    saved = expected.save(tmp_path / "ids.json")
    assert main(["encode", str(source), str(out), "--ids", str(saved), "--n-levels", "2"]) == 2
    assert "--n-levels: the codebooks are those of" in capsys.readouterr().err
    assert main(["encode", str(source), str(tmp_path / "out2"), "--ids", str(saved), "--workers", "1"]) == 0
    assert contents(tmp_path / "out2") == before
    model, texts = animals_texts
    pq.write_table(pa.table({"text": texts}), tmp_path / "texts.parquet")
    command = ["encode", str(tmp_path / "texts.parquet"), str(tmp_path / "out3"), "--codebook-size", "4"]
    command += ["--texts", str(model.save(tmp_path / "m.safetensors"))]
    for _ in range(2):  # a model that is opened again is the same
        assert main(command) == 0
