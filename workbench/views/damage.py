"""What was damaged, drawn: groups of words in a figure, and tables of groups, words and codes."""

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from .figures import BLUE, GREY, RED, Picture, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {  # what each panel compares, and its title
    "frequency": "By rank of frequency",
    "shape": "By shape of the word",
    "fate": "By what became of it",
}
MEANINGS = {
    "number": "words with a digit",
    "mixed scripts": "words that mix two scripts",
    "other script": "words in another script than most",
    "punctuation": "punctuation marks",
    "joined": "words joined by a hyphen, an apostrophe or the like",
    "long": "long words",
    "short": "words of 3 characters or fewer",
    "plain": "plain words",
    "kept": "kept words",
    "remapped": "words that borrow the row of a near one",
    "dropped": "words rebuilt from n-grams, if they can be",
}
N_SHOWN = 15  # words in each table


def damage_figure(groups: pd.DataFrame) -> Picture:
    """Mean and 5th percentile of fidelity for each group of words.

    Parameters
    ----------
    groups : DataFrame
        From `damage_groups`.
    """
    panels = {by: rows for by in PANELS if len(rows := groups[groups["by"] == by])}
    most = max((len(rows) for rows in panels.values()), default=1)
    figure, axes = new_figure(11.2, 1.6 + 0.42 * most, max(len(panels), 1))
    for axis, (by, rows) in zip(axes, panels.items(), strict=False):
        _draw_groups(axis, rows)
        axis.set_title(PANELS[by], fontsize=11)
    _share_x(axes)
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    return figure


def _draw_groups(axis: "Axes", rows: pd.DataFrame) -> None:
    """One panel: groups from top to bottom, the worst mean marked by shape and colour."""
    places = list(range(len(rows)))
    worst = int(rows["mean"].to_numpy().argmin())
    others = [place for place in places if place != worst or len(rows) == 1]
    mean, low = rows["mean"].to_numpy(), rows["p5"].to_numpy()
    axis.hlines(places, low, mean, color=GREY, linewidth=1)
    axis.plot(low, places, "|", color=GREY, markersize=11, label="one word in twenty is below")
    axis.plot(mean[others], others, "o", color=BLUE, label="mean")
    if len(rows) > 1:
        axis.plot(mean[worst], worst, "D", color=RED, markersize=8, label="mean of the worst group")
    names = [f"{r.group}\n{r.n:,} words scored" for r in rows.itertuples()]
    axis.set_yticks(places, names, fontsize=9)
    axis.set(xlabel="cosine to the original (no unit)", ylabel="group", ylim=(len(rows) - 0.4, -0.6))
    axis.spines[["top", "right"]].set_visible(False)


def _share_x(axes: list["Axes"]) -> None:
    """One scale for all panels, so that a dot farther left is worse in any of them."""
    low = min(axis.get_xlim()[0] for axis in axes)
    for axis in axes:
        axis.set_xlim(low, 1 + 0.02 * (1 - min(low, 0.9)))


def damage_html(damage: pd.DataFrame, groups: pd.DataFrame, codes: pd.DataFrame) -> str:
    """What to worry about: a sentence, groups of words, the most damaged words, and codes where there are any.

    Parameters
    ----------
    damage, groups, codes : DataFrame
        From `word_damage`, `damage_groups` and `code_damage`.
    """
    about = damage.attrs
    weighed = "counts" if about["weights"] == "counts" else "frequencies guessed from ranks by Zipf's law"
    parts = [
        f"<p>{escape(summary(groups))}</p>",
        f"<p class='quiet'>{escape(about['how'])}, {len(damage):,} of {about['n_total']:,} words; "
        f"share of the damage: what is missing from a cosine of 1, weighted by {weighed}</p>",
        _groups_table(groups),
        f"<div class='side'>{_words_table('Weigh most in texts', damage, 'worry')}",
        f"{_words_table('Moved farthest', damage, 'cosine')}</div>",
        _codes_table(codes),
    ]
    return "".join(parts)


def summary(groups: pd.DataFrame) -> str:
    """In a sentence or two, which words are the worst off and where most of the damage is met."""
    everything = groups[groups["by"] == "all"]
    if everything.empty:
        return "Too few words were scored to compare groups of them."
    overall = everything.iloc[0]
    if overall["worry"] == 0:
        return "Nothing was damaged: every word keeps its direction."
    compared = groups[groups["by"] != "all"]
    worst = compared.loc[compared["mean"].idxmin()]
    said = (
        f"Worst off are {_name(worst)}: cosine {worst['mean']:.3f} on average, and {overall['mean']:.3f} over all "
        f"words; they are {worst['share_of_vocabulary']:.2%} of the vocabulary."
    )
    bands = compared[compared["by"] == "frequency"]
    if bands.empty:
        return said
    heaviest = bands.loc[bands["worry"].idxmax()]
    return said + f" Of the damage that a text meets, {heaviest['worry']:.0%} is in {_name(heaviest)}."


def _name(group: pd.Series) -> str:
    """A group inside a sentence."""
    return f"words of ranks {group['group']}" if group["by"] == "frequency" else MEANINGS[group["group"]]


def _table(names: list[str], rows: list[str], title: str = "") -> str:
    head = "".join(f"<th>{name}</th>" for name in names)
    heading = f"<h4>{title}</h4>" if title else ""
    return f"<div>{heading}<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _numbers(*values: str) -> str:
    return "".join(f"<td class='number'>{value}</td>" for value in values)


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(f"<bdi>{escape(word)}</bdi>" for word in words)


def _groups_table(groups: pd.DataFrame) -> str:
    rows = []
    for r in groups.itertuples():
        sure = "" if pd.isna(r.low) else f"{r.low:.3f} to {r.high:.3f}"
        numbers = _numbers(f"{r.n:,}", f"{r.share_of_vocabulary:.2%}", f"<b>{r.mean:.3f}</b>", sure, f"{r.p5:.3f}",
                           f"{r.no_vector:.2%}", f"{r.worry:.1%}")  # fmt: skip
        by = "" if r.by == "all" else escape(r.by)
        about = escape(MEANINGS.get(r.group, ""))
        rows.append(
            f"<tr><td class='quiet'>{by}</td><th title='{about}'>{escape(r.group)}</th>{numbers}"
            f"<td>{_words(r.worst)}</td></tr>"
        )
    names = ["by", "group", "words scored", "of the vocabulary", "mean cosine", "95% interval", "one in twenty below",
             "without a vector", "share of the damage", "farthest moved"]  # fmt: skip
    return _table(names, rows)


def _words_table(title: str, damage: pd.DataFrame, by: str) -> str:
    """The words of the greatest worry or of the smallest cosine."""
    chosen = damage.sort_values(by, ascending=by == "cosine", kind="stable").head(N_SHOWN)
    rows = []
    for r in chosen.itertuples():
        cosine = f"<b>{r.cosine:.3f}</b>" if r.has_vector else "no vector"
        numbers = _numbers(f"{r.rank:,}", "" if pd.isna(r.count) else f"{r.count:,}", cosine, _small(r.worry))
        rows.append(
            f"<tr><th><bdi>{escape(r.word)}</bdi></th>{numbers}<td>{escape(r.shape)}</td><td>{escape(r.split)}</td></tr>"
        )
    return _table(["word", "rank", "count", "cosine", "share of the damage", "shape", "fate"], rows, title)


def _small(share: float) -> str:
    """A share that may be next to nothing."""
    return f"{share:.2%}" if share == 0 or share >= 1e-4 else "below 0.01%"


def _codes_table(codes: pd.DataFrame) -> str:
    if codes.empty:
        return ""
    rows = [
        f"<tr><th>{escape(r.group)}</th>"
        + _numbers(f"{r.n:,}", f"<b>{r.mean:.3f}</b>", f"{r.z:.1f}")
        + f"<td>{'chance would do' if r.p > 0.05 else 'more than chance'}</td><td>{_words(r.worst)}</td></tr>"
        for r in codes.itertuples()
    ]
    names = ["code", "words scored", "mean cosine", "standard errors from all", "is it more than chance?",
             "farthest moved"]  # fmt: skip
    return _table(names, rows, "Codes whose words suffer most")
