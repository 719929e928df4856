"""Which n-grams carry a word, as a table."""

from html import escape

import pandas as pd

from .figures import BLUE, RED, STATUS

MARKS = {"stays": STATUS["kept"], "pruned": STATUS["lost"], "not there before": STATUS["gained"]}


def carriers_html(carriers: pd.DataFrame) -> str:
    """The n-grams of a word with bars for what each carries, before and after.

    Parameters
    ----------
    carriers : DataFrame
        From `ngram_carriers`.
    """
    about = carriers.attrs
    said = (
        f"<p><b><bdi>{escape(about['word'])}</bdi></b>: {about['ngrams_left']} n-grams left; cosine of its vectors "
        f"before and after {about['cosine']:.3f}. Its vector was made of: {about['made_of_before']}; is made of: "
        f"{about['made_of_after']}.</p>"
    )
    if carriers.empty:
        return said + "<p class='quiet'>It has no n-grams.</p>"
    widest = carriers[["share_before", "share_after"]].abs().max(axis=None)
    rows = "".join(_row(entry, widest) for entry in carriers.itertuples())
    names = ["n-gram", "share before", "", "share after", "", "cosine of its rows", "what became of it"]
    head = "".join(f"<th>{name}</th>" if name else "<td></td>" for name in names)
    return (
        f"{said}{_note(about)}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        "<p class='quiet'>Shares of the mean of its n-grams add up to 1; a negative one pulls against the others.</p>"
    )


def _note(about: dict) -> str:
    """Where n-grams do not make the vector, what the table is about instead."""
    if "row" not in about["made_of_after"] or "n-grams" in about["made_of_after"]:
        return ""
    return (
        "<p class='quiet'>The compressed model knows this word by a row, so its n-grams do not change it now; "
        "the table says what they would carry without that row.</p>"
    )


def _row(entry, widest: float) -> str:
    colour, mark = MARKS[entry.status]
    cosine = "" if pd.isna(entry.cosine) else f"{entry.cosine:.3f}"
    return (
        f"<tr><th><bdi>{escape(entry.ngram)}</bdi></th>{_share(entry.share_before, widest)}"
        f"{_share(entry.share_after, widest)}<td class='number'>{cosine}</td>"
        f"<td><span style='color: {colour}'>{mark}</span> {entry.status}</td></tr>"
    )


def _share(share: float, widest: float) -> str:
    """A number and a bar as long as it is great; the sign of the number says what the colour does."""
    if pd.isna(share):
        return "<td class='number quiet'>none</td><td></td>"
    width = 100 * abs(share) / widest if widest else 0
    bar = f"<span class='bar' style='width: {width:.1f}%; background: {BLUE if share >= 0 else RED}'></span>"
    return f"<td class='number'>{share:.3f}</td><td><span class='room'>{bar}</span></td>"
