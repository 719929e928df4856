"""Commands on models: ``info``, ``compress``, ``convert``, ``compare`` and ``embed``."""

import argparse
import json
import math
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import artefact, data, files, formats
from ..compress import Chain, from_json, recipe_from
from ..formats.base import Format
from ..vectors import Vectors
from .terminal import clean, megabytes, number, print_pairs, trouble

if TYPE_CHECKING:
    from pandas import DataFrame

FITTED = 100_000  # first texts that weights are learned from


def info(args: argparse.Namespace) -> int:
    """Say what is in a model: words, dimensions, how it is stored, its source and its recipe."""
    v = formats.load(args.file, args.allow_pickle, limit=args.limit)
    kind, n_bytes, steps = formats.format_of(args.file), _on_disk(args.file), v.meta.get("recipe")
    try:
        recipe = repr(from_json(steps)) if steps else None
    except ValueError:  # a step that this version does not know
        recipe = json.dumps(steps)
    if args.json:
        word_rows, ngram_rows = (
            None if part is None else {"kind": part.kind, "rows": len(part), "dimensions": v.dim, "bytes": part.nbytes}
            for part in (v.storage.words, v.storage.ngrams)
        )
        _print_json(
            file=args.file,
            format=kind,
            bytes=n_bytes,
            safetensors_bytes=v.file_bytes,
            words=len(v),
            dimensions=v.dim,
            counts=v.vocab.counts is not None,
            word_rows=word_rows,
            ngram_rows=ngram_rows,
            ngrams=None if v.vocab.subwords is None else v.vocab.subwords.params(),
            provenance=v.meta.get("provenance", {}),
            recipe=recipe,
        )
        return 0
    about = [("file", args.file), ("format", kind), ("on disk", megabytes(n_bytes))]
    about += [("as .safetensors" if label == "as a file" else label, value) for label, value in v.describe()]
    print_pairs(about + ([("recipe", recipe)] if recipe else []))
    return 0


def compress(args: argparse.Namespace) -> int:
    """Make a model small: by a recipe, or by the best recipe found for a number of bytes."""
    from ..evaluate.cost import float32_bytes
    from ..evaluate.scorecard import quick_card
    from ..search.budget import fit_budget, parse_bytes

    endings = tuple(suffix for known in formats.writable().values() for suffix in known.suffixes)
    is_named = args.out.name.removesuffix(".gz").endswith(endings)
    chosen = _target(args, args.format or (None if is_named else formats.OWN.name))
    options = {name: getattr(args, name) for name in ("goal", "min_words", "n_trials", "time_limit")}
    options = {name: value for name, value in options.items() if value is not None}
    # Recipe and budget are checked before the model is read.
    if args.recipe is not None and options:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in options)
        raise ValueError(f"{named}: for --budget only; a recipe says everything itself")
    budget = math.inf if args.budget is None else parse_bytes(args.budget)
    recipe = None if args.recipe is None else recipe_from(args.recipe)
    big = formats.load(args.input, args.allow_pickle, limit=args.limit)
    if recipe is None:
        found = fit_budget(big, args.budget, random_state=args.seed, **options)
        if args.was_interrupted():  # then this is the best so far
            trouble(f"the best recipe so far is {found.recipe!r}")
            raise KeyboardInterrupt
        recipe, small = found.recipe, found.vectors
    else:
        recipe = recipe if isinstance(recipe, Chain) else Chain([recipe])
        small = recipe.fit_transform(big)
    lost = chosen.losses(small)
    _write(small, args.out, chosen)
    before, n_bytes = float32_bytes(big), _on_disk(str(args.out))
    if n_bytes > budget:
        trouble(
            f"warning: the file has {megabytes(n_bytes)}, more than the budget of {args.budget}, which is met in our "
            f"own format and not in {chosen.name}"
        )
    rows = []
    if not args.no_scores:
        rows = _rows(quick_card(big, formats.load(args.out, allow_pickle=True), random_state=args.seed))
    if args.json:
        both = {
            "in": {"file": args.input, "bytes": _on_disk(args.input), "float32_bytes": before},
            "out": {"file": str(args.out), "format": chosen.name, "bytes": n_bytes, "lost": lost},
        }
        _print_json(
            **both,
            ratio=before / n_bytes,
            recipe=repr(recipe),
            recipe_json=recipe.to_json(),
            random_state=args.seed,
            scorecard=[row for row in rows if row["metric"] not in ("size", "ratio")] or None,
        )
        return 0
    about = [
        ("before", f"{megabytes(before)} in float32 ({args.input}: {megabytes(_on_disk(args.input))})"),
        ("after", f"{megabytes(n_bytes)} ({args.out}, {chosen.name})"),
        ("ratio", f"{before / n_bytes:.1f}"),
        ("recipe", repr(recipe)),
    ]
    near = [f"{row['split']} {row['value']:.4f}" for row in rows if row["metric"] == "fidelity"]
    if near:
        about.append(("fidelity", f"{', '.join(near)} (mean cosine, sampled, seed {args.seed})"))
    overlaps = [row for row in rows if (row["metric"], row["split"]) == ("overlap@10", "all")]
    about += [("overlap@10", f"{row['value']:.3f} ({row['how']})") for row in overlaps]
    print_pairs(about)
    return 0


def convert(args: argparse.Namespace) -> int:
    """Write a model in another format, saying first what that cannot hold."""
    chosen = _target(args, args.format)
    v = formats.load(args.input, args.allow_pickle, limit=args.limit)
    lost = chosen.losses(v)
    if args.strict and lost:
        trouble(f"nothing was written, since {chosen.title} cannot hold {'; '.join(lost)}")
        return 1
    _write(v, args.out, chosen)
    print_pairs([("wrote", str(args.out)), ("format", chosen.name), ("on disk", megabytes(_on_disk(str(args.out))))])
    return 0


def compare(args: argparse.Namespace) -> int:
    """Judge a model against its original: size, fidelity, neighbours kept, agreement with people, speed."""
    from ..evaluate.scorecard import scorecard

    original, small = (formats.load(path, args.allow_pickle) for path in (args.original, args.small))
    rows = _rows(scorecard(original, small, random_state=args.seed))
    if args.json:
        _print_json(original=args.original, small=args.small, random_state=args.seed, scorecard=rows)
        return 0
    numbers = {"value", "low", "high", "n"}
    shown = [{name: number(x) if name in numbers else clean(x) for name, x in row.items()} for row in rows]
    shown.insert(0, {name: name for name in rows[0]})
    widths = {name: max(len(row[name]) for row in shown) for name in rows[0]}
    for row in shown:
        cells = [f"{row[name]:{'>' if name in numbers else '<'}{width}}" for name, width in widths.items()]
        print("  ".join(cells).rstrip())
    return 0


def embed(args: argparse.Namespace) -> int:
    """Write the vectors of texts, a text a line, as a numpy array of float32."""
    from ..networks.matching import embed_blocks
    from ..networks.texts import TextVectors

    if args.out.resolve() in (args.texts.resolve(), Path(args.model).expanduser().resolve()):
        raise ValueError(f"{args.out} is a file that is read; give another name to write to")
    files.check_writable(args.out)
    given = {name: getattr(args, name) for name in ("weighting", "tokenize", "language") if getattr(args, name)}
    with args.texts.open(encoding="utf-8", errors="replace") as file:
        model = text_model(args.model, args.allow_pickle, given)
        if isinstance(model, TextVectors):
            model.fit([] if model.weighting == "mean" else [line.rstrip("\n") for line in islice(file, FITTED)])
            file.seek(0)
        n, dim = 0, model.vectors_.dim if isinstance(model, TextVectors) else model.config.width
        with files.replacing(args.out) as out:
            about = {"descr": "<f4", "fortran_order": False, "shape": (n, dim)}
            np.lib.format.write_array_header_1_0(out, about)
            for block in embed_blocks(model, (line.rstrip("\n") for line in file)):
                out.write(block.astype("<f4").data)
                n += len(block)
            out.seek(0)  # numpy leaves room in the header for any number of rows
            np.lib.format.write_array_header_1_0(out, about | {"shape": (n, dim)})
    print_pairs([("wrote", str(args.out)), ("texts", f"{n:,}"), ("dimensions", f"{dim}")])
    return 0


def text_model(path: str, allow_pickle: bool, given: dict[str, Any]) -> Any:
    """The network in a file, or an unfitted `TextVectors` over word vectors; `given` are its options."""
    from ..networks import Network
    from ..networks.texts import TextVectors

    is_own = formats.format_of(path) == formats.OWN.name
    if not is_own or not artefact.read(path, lambda _, about: "network" in about):
        return TextVectors(formats.load(path, allow_pickle), **given)
    if given:
        raise ValueError(f"--{', --'.join(given)}: for word vectors only; a network splits and weighs words itself")
    return Network.load(path)


def _target(args: argparse.Namespace, format: str | None) -> Format:
    """The format to write; a place that cannot be written to is refused before any work."""
    formats.format_of(args.input)
    source = Path(args.input).expanduser().resolve()
    if source.exists() and args.out.resolve() in (source, *source.parents):
        raise ValueError(f"{args.out} is the model that is read, or holds it; give another name to write to")
    chosen = formats.target(args.out, format)
    files.check_writable(args.out, chosen.is_folder)
    return chosen


def _write(v: Vectors, out: Path, chosen: Format) -> None:
    try:
        formats.export(v, out, chosen.name)
    except OSError as error:
        raise OSError(f"{out} could not be written: {error.strerror or error}") from error


def _on_disk(source: str) -> int:
    """The bytes of a file, or of all files in a folder."""
    path = data.model_path(source) if source in data.NAMES else Path(source).expanduser()
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def _rows(card: "DataFrame") -> list[dict[str, Any]]:
    """The rows of a scorecard, with None for NaN, which JSON does not have."""
    return card.astype(object).where(card.notna(), None).to_dict("records")


def _print_json(**values: Any) -> None:
    print(json.dumps(values, indent=2))
