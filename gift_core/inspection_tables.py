"""How the command line shows inspections: of one text, and of a data set."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gift_core.dataset_document import CheckpointDataset, DatasetInspection, GlyphStatistic, GroupStatistic, Histogram
from gift_core.documents import CheckpointInspection, Inspection, Token
from gift_core.escaping import escaped
from gift_core.spec import Weighting

_BAR = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"


def visible(text: str) -> str:
    """Text on one line that shows where its spaces are."""
    return escaped(text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣")) or "·"


def print_inspection(inspection: Inspection, weighting: Weighting) -> None:
    """A row for each response token: what each checkpoint makes of it at the probe, at the partial mask if there is
    one, and in training at the last of the document's times and on average."""
    table = Table("", "token")
    columns: list[list[str]] = []
    for checkpoint in inspection.checkpoints:
        for heading, cells in _columns(checkpoint, weighting):
            first = heading == "H"
            table.add_column(f"{checkpoint.label}\n{heading}" if first else f"\n{heading}", justify="right")
            columns.append(cells)
    for place, token in enumerate(inspection.response):
        hidden = bool(inspection.masked) and inspection.masked[place]
        table.add_row(str(place), _token(token, hidden), *(cells[place] for cells in columns))
    Console().print(table, _explanation(inspection, weighting))


def _columns(checkpoint: CheckpointInspection, weighting: Weighting) -> list[tuple[str, list[str]]]:
    """Headings with a cell for each response token."""
    columns = [("H", _numbers(checkpoint.entropy)), ("r", _numbers(checkpoint.relative_rate))]
    if checkpoint.partial:
        columns += [
            ("H here", _numbers(checkpoint.partial.entropy)),
            ("p here", _numbers(checkpoint.partial.probability)),
        ]
    for masking in reversed(checkpoint.masking):
        weighted = next(each for each in masking.weighted if each.weighting == weighting)
        at = "mean" if masking.t is None else f"t={masking.t:g}"
        columns += [
            (f"t_i {at}", _numbers(masking.frequency)),
            (f"w_i {at}", ["never" if value is None else f"{value:.2f}" for value in weighted.weight]),
            (f"t_i w_i {at}", _numbers(weighted.product)),
        ]
    return columns


def _numbers(values: Sequence[float | None]) -> list[str]:
    return ["" if value is None else f"{value:.3f}" for value in values]


def _token(token: Token, hidden: bool) -> Text:
    return Text(visible(token.text), style="reverse" if hidden else "")


def _explanation(inspection: Inspection, weighting: Weighting) -> Text:
    lines = [
        "H: entropy in nats with all of the response masked. r: relative rate. t_i: how often the token is masked. "
        f"w_i: its weight when masked ({weighting}). Mean: over t uniform on (0.001, 1). SFT: r = 1, t_i = t."
    ]
    if inspection.masked:
        lines.append("H here, p here: with only the marked tokens masked; p is of the token that stands there.")
    return Text("\n".join(lines))


def print_dataset(inspection: DatasetInspection) -> None:
    """For each checkpoint: the tokens it is least and most sure of, classes, places, and the rates' histogram."""
    console = Console()
    console.print(
        f"{inspection.examples:,} of {inspection.available:,} examples, seed {inspection.seed}", highlight=False
    )
    for checkpoint in inspection.checkpoints:
        console.print(_checkpoint(checkpoint, inspection))


def _checkpoint(checkpoint: CheckpointDataset, inspection: DatasetInspection) -> RenderableType:
    heading = Text(checkpoint.label, style="bold")
    heading.append(
        f"  {checkpoint.tokens:,} response tokens, mean entropy {checkpoint.mean_entropy:.3f} nats, "
        f"GIFT masks {checkpoint.masking_frequency:.1%} of them over all t",
        style="not bold",
    )
    listed = f"occurring {inspection.minimum_count} times or more"
    return Group(
        heading,
        _glyphs(f"Highest mean entropy, {listed}", checkpoint.highest),
        _glyphs(f"Lowest mean entropy, {listed}", checkpoint.lowest),
        _groups("By class of token", checkpoint.classes),
        _groups("By place in the response, its EOS tail included", checkpoint.positions),
        _histogram(f"beta = H ** {inspection.power:g}", checkpoint.rates),
        "",
    )


def _glyphs(title: str, glyphs: Sequence[GlyphStatistic]) -> Table:
    table = _table(title, "token", "class", "count", "H nats", "sd", "beta", "t_i mean")
    for glyph in glyphs:
        table.add_row(
            Text(visible(glyph.text)),
            glyph.token_class,
            f"{glyph.count:,}",
            f"{glyph.mean_entropy:.3f}",
            f"{glyph.deviation:.3f}",
            f"{glyph.mean_rate:.3f}",
            f"{glyph.masking_frequency:.3f}",
        )
    return table


def _groups(title: str, groups: Sequence[GroupStatistic]) -> Table:
    table = _table(title, "", "", "tokens", "H nats", "SFT masks", "GIFT masks")
    most = max(group.mean_entropy or 0.0 for group in groups)
    for group in groups:
        table.add_row(
            group.name,
            bar(group.mean_entropy or 0.0, most),
            f"{group.tokens:,}",
            "" if group.mean_entropy is None else f"{group.mean_entropy:.3f}",
            f"{group.token_share:.1%}",
            f"{group.masked_share:.1%}",
        )
    return table


def _histogram(title: str, histogram: Histogram) -> Table:
    table = _table(title, "from", "", "tokens")
    # The upper end is often empty: up to the last bar that is there.
    used = max(place for place, count in enumerate(histogram.counts) if count) + 1
    most = max(histogram.counts)
    for edge, count in list(zip(histogram.edges, histogram.counts, strict=False))[:used]:
        table.add_row(f"{edge:.2f}", bar(count, most), f"{count:,}")
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < 2 else "right")
    return table


def bar(value: float, most: float) -> str:
    """A bar of eighths of a character; full length is `most`."""
    eighths = round(8 * _BAR * value / most) if most else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
