"""Threads of torch."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread: small products gain little by more, and sums come out the same everywhere.

    Where other programs are busy, several threads also wait for each other, for tenths of a second at a time.
    """
    import torch

    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)
