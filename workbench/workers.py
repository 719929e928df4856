"""The same work on many items: here one after the other, or on the workers of a Dask client."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from . import progress

DEAD = "every worker that began it died, perhaps for want of memory"


class Outcome(NamedTuple):
    """The result of the item at `place`: its `value`, or the `error` that it raised."""

    place: int
    value: Any
    error: Exception | None


def outcomes(
    function: Callable[..., Any],
    items: Sequence[Any],
    shared: Sequence[Any] = (),
    client: Any = None,
    desc: str = "",
    unit: str = "part",
) -> Iterator[Outcome]:
    """Yield the outcome of ``function(item, *shared)`` for each item, as they come.

    An item that raises an error, or whose workers died, does not keep the others from being done. `shared` travels to
    each worker of the `dask.distributed.Client` once.
    """
    check_client(client)
    found: Iterator[Outcome] = (_tried(place, function, item, *shared) for place, item in enumerate(items))
    if client is not None:
        found = _on_client(function, items, shared, client, desc)
    with progress.bar(total=len(items), desc=desc, unit=unit) as bar:
        for outcome in found:
            bar.update()
            yield outcome


def _on_client(function: Callable, items: Sequence, shared: Sequence, client: Any, desc: str) -> Iterator[Outcome]:
    from distributed import KilledWorker, as_completed

    sent, call = [sent_once(client, value) for value in shared], uuid4().hex
    futures = {
        client.submit(on_worker, _tried, place, function, item, *sent, key=f"{desc}-{call}-{place}"): place
        for place, item in enumerate(items)
    }
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except KilledWorker:
                yield Outcome(futures[future], None, ChildProcessError(DEAD))
    finally:  # also where nobody asks for more
        client.cancel([future for future in futures if not future.done()])


def check_client(client: Any) -> None:
    """Refuse what is neither None nor a Dask client, such as an address."""
    if client is not None and not hasattr(client, "submit"):
        raise TypeError(f"client must be a dask.distributed.Client, got {type(client).__name__}")


def sent_once(client: Any, value: Any) -> Any:
    """Send a value to the workers that need it; return what stands for it in `submit`.

    Unlike what `scatter` sends, it is sent again where all workers that had it died.
    """
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of its size
        return client.submit(_itself, value, pure=False)


def _itself(value: Any) -> Any:
    return value


def on_worker(function: Callable, *given: Any) -> Any:
    """Call a function in a task, on as many threads as the worker has, one call at a time in a process."""
    import numba
    from distributed import get_worker

    from . import kernels

    with kernels.LOCK, progress.told_to(lambda *_: None):
        numba.set_num_threads(min(get_worker().state.nthreads, numba.config.NUMBA_NUM_THREADS))  # type: ignore
        return function(*given)


def _tried(place: int, function: Callable, *given: Any) -> Outcome:
    try:
        return Outcome(place, function(*given), None)
    except Exception as error:
        return Outcome(place, None, error)
