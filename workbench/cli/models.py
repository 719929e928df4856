"""Commands on models: ``info``, ``compress``, ``convert`` and ``compare``."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .terminal import megabytes, number, print_json, print_pairs, print_table, trouble

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..compress import Chain
    from ..formats.base import Format
    from ..vectors import Vectors

SHOWN = [("fidelity", "kept"), ("fidelity", "remapped"), ("fidelity", "dropped"), ("fidelity", "unseen")]
OVERLAP = ("overlap@10", "all")


def info(args: argparse.Namespace) -> int:
    """Say what is in a model: words, dimensions, how it is stored, its source and its recipe."""
    from ..formats import format_of, load

    v = load(args.file, args.allow_pickle, limit=args.limit)
    kind, n_bytes, recipe = format_of(args.file), _on_disk(args.file), _recipe_of(v)
    if args.json:
        print_json(_facts(v, args.file, kind, n_bytes, recipe))
        return 0
    about = [("file", args.file), ("format", kind)] + ([] if n_bytes is None else [("on disk", megabytes(n_bytes))])
    about += [(label if label != "as a file" else "as .safetensors", value) for label, value in v.describe()]
    print_pairs(about + ([("recipe", recipe)] if recipe else []))
    return 0


def compress(args: argparse.Namespace) -> int:
    """Make a model small: by a recipe, or by the best recipe found for a number of bytes."""
    from .. import formats

    out, chosen = _target(args.input, args.out, args.format)
    recipe = _recipe_asked(args)
    big = formats.load(args.input, args.allow_pickle, limit=args.limit)
    if recipe is None:
        recipe, small = _fitted(big, args)
    else:
        small = recipe.fit_transform(big)
    lost = chosen.losses(small)
    _written(small, out, chosen)
    n_bytes = _on_disk(out)
    if args.budget is not None:
        _check_budget(args.budget, n_bytes, chosen)
    card = None if args.no_scores else _quick_card(big, formats.load(out, allow_pickle=True), args.seed)
    _say_compressed(args, big, recipe, chosen, n_bytes, lost, card)
    return 0


def convert(args: argparse.Namespace) -> int:
    """Write a model in another format, saying first what that cannot hold."""
    from .. import formats

    out, chosen = _target(args.input, args.out, args.format, own_by_default=False)
    v = formats.load(args.input, args.allow_pickle, limit=args.limit)
    lost = chosen.losses(v)
    if args.strict and lost:
        trouble(f"nothing was written, since {chosen.title} cannot hold {'; '.join(lost)}")
        return 1
    _written(v, out, chosen)
    print_pairs([("wrote", str(out)), ("format", chosen.name), ("on disk", megabytes(_on_disk(out)))])
    return 0


def compare(args: argparse.Namespace) -> int:
    """Judge a model against its original: size, closeness, neighbours kept, agreement with people, speed."""
    from ..evaluate.scorecard import scorecard
    from ..formats import load

    original, small = (load(path, args.allow_pickle) for path in (args.original, args.small))
    card = scorecard(original, small, random_state=args.seed)
    if args.json:
        print_json({"original": args.original, "small": args.small, "random_state": args.seed, "scorecard": rows(card)})
        return 0
    columns = list(card.columns)
    numbers = ("value", "low", "high", "n")
    print_table(columns, [[number(r[c]) if c in numbers else r[c] for c in columns] for r in rows(card)])
    return 0


def rows(card: "DataFrame") -> list[dict[str, Any]]:
    """A scorecard's rows, one dict each."""
    return card.to_dict("records")


# -- reading and writing ----------------------------------------------------------------------


def _target(source: str, out: Path, format: str | None, own_by_default: bool = True) -> tuple[Path, "Format"]:
    """Where to write and in which format, refused before any work if it cannot be."""
    from .. import files, formats

    formats.format_of(source)
    there = Path(source).expanduser()
    if out.exists() and there.exists() and (out.samefile(there) or out.resolve() in there.resolve().parents):
        raise ValueError(f"{out} is the model that is read, or holds it; give another name to write to")
    if own_by_default and format is None and not _tells_a_format(out):
        format = formats.OWN.name
    chosen = formats.target(out, format)
    files.check_writable(out, chosen.is_folder)
    return out, chosen


def _tells_a_format(path: Path) -> bool:
    from ..formats import FORMATS

    name = path.name.removesuffix(".gz")
    return any(known.save is not None and name.endswith(known.suffixes) for known in FORMATS if known.suffixes)


def _written(v: "Vectors", out: Path, chosen: "Format") -> None:
    from .. import formats

    try:
        formats.export(v, out, chosen.name)
    except OSError as error:
        raise OSError(f"{out} could not be written: {error.strerror or error}") from error


def _on_disk(source: str | Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if str(source).startswith("builtin:"):
        from ..data import model_path

        source = model_path(str(source))
    path = Path(source).expanduser()
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


# -- what is known of a model -----------------------------------------------------------------


def _recipe_of(v: "Vectors") -> str:
    """The steps that made a model, to be pasted; as JSON where this version does not know them."""
    from ..compress import from_json

    steps = v.meta.get("recipe")
    if not steps:
        return ""
    try:
        return repr(from_json(steps))
    except ValueError:
        return json.dumps(steps)


def _facts(v: "Vectors", source: str, kind: str, n_bytes: int, recipe: str) -> dict[str, Any]:
    """What `info` says, for programs."""
    from ..storage import Storage

    def stored(part: Storage | None) -> dict[str, Any] | None:
        if part is None:
            return None
        return {"kind": part.kind, "rows": part.shape[0], "dimensions": part.shape[1], "bytes": part.nbytes}

    subwords = v.vocab.subwords
    return {
        "file": source,
        "format": kind,
        "bytes": n_bytes,
        "safetensors_bytes": v.file_bytes,
        "words": len(v),
        "dimensions": v.dim,
        "counts": v.vocab.counts is not None,
        "word_rows": stored(v.storage.words),
        "ngram_rows": stored(v.storage.ngrams),
        "ngrams": None if subwords is None else subwords.params(),
        "provenance": v.meta.get("provenance", {}),
        "recipe": recipe or None,
    }


# -- compressing ------------------------------------------------------------------------------


def _recipe_asked(args: argparse.Namespace) -> "Chain | None":
    """The recipe given, as a chain; None where a budget is. Both are read before the model is."""
    from ..compress import Chain, recipe_from

    if args.recipe is None:
        from ..search.budget import parse_bytes

        parse_bytes(args.budget)
        return None
    if given := _search_options(args):
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"{named}: for --budget only; a recipe says everything itself")
    recipe = recipe_from(args.recipe)
    return recipe if isinstance(recipe, Chain) else Chain([recipe])


def _search_options(args: argparse.Namespace) -> dict[str, Any]:
    """Those that were given."""
    given = {name: getattr(args, name) for name in ("goal", "min_words", "n_trials")}
    return {name: value for name, value in given.items() if value is not None}


def _fitted(big: "Vectors", args: argparse.Namespace) -> tuple["Chain", "Vectors"]:
    """The best recipe within the budget, and what it made."""
    from ..search.budget import fit_budget

    found = fit_budget(big, args.budget, random_state=args.seed, **_search_options(args))
    if args.was_interrupted():  # then this is the best so far
        trouble(f"the best recipe so far is {found.recipe!r}")
        raise KeyboardInterrupt
    return found.recipe, found.vectors


def _check_budget(budget: str, n_bytes: int, chosen: "Format") -> None:
    """Say so where another format than ours takes more bytes than were given."""
    from ..search.budget import parse_bytes

    if n_bytes > parse_bytes(budget):
        trouble(
            f"warning: the file has {megabytes(n_bytes)}, more than the budget of {budget}, which is met in our own "
            f"format and not in {chosen.name}"
        )


def _quick_card(big: "Vectors", small: "Vectors", seed: int) -> "DataFrame":
    from ..evaluate.scorecard import quick_card

    return quick_card(big, small, random_state=seed)


def _say_compressed(
    args: argparse.Namespace,
    big: "Vectors",
    recipe: "Chain",
    chosen: "Format",
    n_bytes: int,
    lost: list[str],
    card: "DataFrame | None",
) -> None:
    from ..evaluate.cost import float32_bytes

    before = float32_bytes(big)
    if args.json:
        print_json(
            {
                "in": {"file": args.input, "bytes": _on_disk(args.input), "float32_bytes": before},
                "out": {"file": str(args.out), "format": chosen.name, "bytes": n_bytes, "lost": lost},
                "ratio": before / n_bytes,
                "recipe": repr(recipe),
                "recipe_json": recipe.to_json(),
                "random_state": args.seed,
                "scorecard": None if card is None else [r for r in rows(card) if r["metric"] not in ("size", "ratio")],
            }
        )
        return
    about = [
        ("before", f"{megabytes(before)} in float32 ({args.input}: {megabytes(_on_disk(args.input))})"),
        ("after", f"{megabytes(n_bytes)} ({args.out}, {chosen.name})"),
        ("ratio", f"{before / n_bytes:.1f}"),
        ("recipe", repr(recipe)),
    ]
    print_pairs(about + ([] if card is None else _closeness(card, args.seed)))


def _closeness(card: "DataFrame", seed: int) -> list[tuple[str, str]]:
    """A few numbers of a scorecard, as lines."""
    found = {(r["metric"], r["split"]): r for r in rows(card)}
    near = [f"{split} {found[metric, split]['value']:.4f}" for metric, split in SHOWN if (metric, split) in found]
    lines = [("closeness", f"{', '.join(near)} (mean cosine, sampled, seed {seed})")] if near else []
    if OVERLAP in found:
        lines.append(("overlap@10", f"{found[OVERLAP]['value']:.3f} ({found[OVERLAP]['how']})"))
    return lines
