"""What the compiled kernels do to the process around them. Each program is a process of its own."""

import multiprocessing
import os
import subprocess
import sys
from textwrap import dedent

import pytest

PRELUDE = """
import multiprocessing, sys, threading
import numpy as np
def answers(_=0):
    from workbench import kernels
    return float(kernels.segment_sums(np.arange(0, 1_001, 10), np.arange(1_000) % 50, np.ones((50, 4), "f4")).sum())
"""


def printed(program: str, **environment: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_THREADING_LAYER")}
    command = [sys.executable, "-c", PRELUDE + dedent(program)]
    return subprocess.check_output(command, env=env | environment, text=True, timeout=120)


def test_the_first_kernel_leaves_the_number_of_torchs_threads_alone():
    program = """
        import torch
        from workbench.threads import one_thread
        with one_thread():
            answers()
            print(torch.get_num_threads())
    """
    assert printed(program) == "1\n"


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_child_forked_while_another_thread_holds_the_lock_has_kernels_that_answer():
    program = """
        from workbench import kernels
        answers()
        hold, free = threading.Event(), threading.Event()
        def keep():
            with kernels.LOCK:
                hold.set()
                free.wait()
        threading.Thread(target=keep).start()
        hold.wait()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            try:
                print(pool.apply_async(answers, [0]).get(100))
            finally:
                free.set()
    """
    assert printed(program) == "4000.0\n"


def test_the_threading_layer_that_the_user_asks_for_is_used():
    assert printed("import numba; answers(); print(numba.threading_layer())", NUMBA_THREADING_LAYER="omp") == "omp\n"


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param("", id="nowhere"),
        pytest.param("embedding-workbench-numba", id="in the temporary folder", marks=pytest.mark.slow),
    ],
)
def test_kernels_and_umap_work_where_neither_the_package_nor_the_home_can_be_written(allowed, tmp_path):
    """The refusal is made up, since root may write anywhere."""
    program = f"""
        from numba.core import caching
        def try_folder(self):
            if not {allowed!r} or {allowed!r} not in self.get_cache_path():
                raise PermissionError
            ensure(self)
        ensure = caching._CacheLocator.ensure_cache_path
        caching._CacheLocator.ensure_cache_path = try_folder
        print(answers())
        if {allowed!r}:
            import umap
    """
    assert printed(program, TMPDIR=str(tmp_path)) == "4000.0\n"
