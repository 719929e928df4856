"""The command on collections: ``encode``."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .models import text_model
from .terminal import print_pairs


def encode(args: argparse.Namespace) -> int:
    """Write the semantic IDs of the rows of Parquet files, partition by partition."""
    from ..scale.encode import check_out, encode, sample_rows
    from ..scale.encoded import MANIFEST
    from ..semantic import SemanticIDs

    texts = None if args.texts is None else text_model(args.texts, args.allow_pickle, {})
    columns = {"column": args.column, "id_column": args.id_column, "texts": texts}
    given = [name for name in ("n_levels", "codebook_size", "n_sampled") if getattr(args, name) is not None]
    if args.ids is not None and given:
        raise ValueError(f"--{given[0].replace('_', '-')}: the codebooks are those of {args.ids} already")
    check_out(args.source, args.folder)
    is_begun = not given and (args.folder / MANIFEST).exists()
    with _client(args) as client:
        ids: Any = args.folder if is_begun and args.ids is None else args.ids
        if ids is None:
            n = args.n_sampled or 100_000
            sample = sample_rows(args.source, n, **columns, client=client, random_state=args.seed)
            size = args.n_levels or 3, args.codebook_size or 256
            ids = SemanticIDs.from_vectors(sample, *size, random_state=args.seed)
        encoded = encode(args.source, args.folder, ids, **columns, client=client)
    print_pairs([("wrote", str(args.folder)), *encoded.describe()])
    return 0


@contextmanager
def _client(args: argparse.Namespace) -> Iterator[Any]:
    """A Dask client; None where this process does the work alone."""
    if args.scheduler is None and args.workers is None:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError("workers need dask: pip install 'embedding-workbench[scale]'") from error
    with ExitStack() as opened:
        address = args.scheduler
        if address is None:
            cluster = LocalCluster(n_workers=args.workers, threads_per_worker=1, dashboard_address=":0")
            address = opened.enter_context(cluster)
        yield opened.enter_context(Client(address))
