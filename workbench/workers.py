"""The same work on many items: here one after the other, or on the workers of a Dask client."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from . import progress


class Outcome(NamedTuple):
    """What came of the item at `place`: `value`, or the `error` that it was given up for."""

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

    An item that raises ValueError or OSError, or whose worker dies again and again, does not keep the others from
    being done. Other errors are raised. `shared` travels to each worker of the `dask.distributed.Client` once.
    """
    with progress.bar(total=len(items), desc=desc, unit=unit) as bar:
        for outcome in (
            _here(function, items, shared) if client is None else _afar(function, items, shared, client, desc)
        ):
            bar.update()
            yield outcome


def _here(function: Callable, items: Sequence, shared: Sequence) -> Iterator[Outcome]:
    for place, item in enumerate(items):
        yield _tried(place, function, item, *shared)


def _afar(function: Callable, items: Sequence, shared: Sequence, client: Any, desc: str) -> Iterator[Outcome]:
    from distributed import KilledWorker, as_completed

    there, call = scattered(client, shared), uuid4().hex
    futures = {
        client.submit(on_worker, _tried, place, function, item, *there, key=f"{desc}-{call}-{place}"): place
        for place, item in enumerate(items)
    }
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except KilledWorker as error:
                yield Outcome(futures[future], None, error)
    finally:  # also where nobody asks for more
        client.cancel([future for future in futures if not future.done()])


def scattered(client: Any, shared: Sequence) -> list[Any]:
    """Send values to every worker once; return what stands for them in `submit`."""
    return [client.scatter(value, broadcast=True, hash=False) for value in shared]


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
    except (ValueError, OSError) as error:
        return Outcome(place, None, error)
