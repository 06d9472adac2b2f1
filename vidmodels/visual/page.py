"""The pieces of a self-contained HTML page: cards, tables, embedded pictures; light and dark, down to a phone's width.

Every text that comes in is escaped; the page runs no script and, by its own policy, loads nothing from outside.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #ffffff; --ink: #1d2330; --muted: #667085; --line: #e4e7ec;
  --accent: #2f6fde; --soft: #eaf1fe; --good: #1f7a4d; --good-soft: #e3f5ea; --open: #9a5b08; --open-soft: #fdf1dc; }
@media (prefers-color-scheme: dark) { :root { --ground: #0e1116; --card: #171b22; --ink: #e8eaee; --muted: #98a2b3;
  --line: #2a303a; --accent: #7cb2ff; --soft: #1d2a41; --good: #6fd6a0; --good-soft: #15301f; --open: #f0b860;
  --open-soft: #33260f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
header { margin-bottom: 24px; }
.over { color: var(--muted); font-size: 13px; }
h1 { margin: 2px 0 8px; font-size: 28px; line-height: 1.2; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 0 0 14px; font-size: 17px; }
.pill { display: inline-block; padding: 2px 10px; border-radius: 99px; font-size: 13px; font-weight: 600; margin-right: 8px; }
.good { color: var(--good); background: var(--good-soft); } .open { color: var(--open); background: var(--open-soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px; margin: 16px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 12px; margin: 0; padding: 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 12px 16px; }
.tiles dt { color: var(--muted); font-size: 13px; } .tiles dd { margin: 0; font-size: 22px; font-weight: 650; }
.tiles dd, td.right, .bar { font-variant-numeric: tabular-nums; }
figure { margin: 0 0 16px; } figure:last-child { margin-bottom: 0; }
figcaption { color: var(--muted); font-size: 13px; margin-top: 8px; }
.scroll { overflow-x: auto; border-radius: 8px; }
img, video { display: block; width: 100%; height: auto; border-radius: 8px; }
.strip img { min-width: 680px; } .plot img { min-width: 520px; } .narrow img { max-width: 760px; margin: 0 auto; }
video { background: #14171c; }
@media (prefers-color-scheme: dark) { .plot img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; } }
table { border-collapse: collapse; width: 100%; font-size: 14px; } table + table, .scroll + .scroll { margin-top: 16px; }
th { text-align: left; color: var(--muted); font-weight: 500; font-size: 13px; }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td, tr:last-child th { border-bottom: 0; }
.right { text-align: right; white-space: nowrap; }
.facts th { width: 34%; min-width: 110px; overflow-wrap: anywhere; } .facts td { overflow-wrap: anywhere; }
.facts td { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: 13px; }
.bar { display: flex; align-items: center; gap: 10px; min-width: 150px; }
.bar i { flex: 1; height: 8px; border-radius: 4px;
  background: linear-gradient(var(--accent), var(--accent)) no-repeat var(--soft); }
.bar span { width: 62px; text-align: right; white-space: nowrap; }
details { border-top: 1px solid var(--line); padding: 8px 0; } details:first-of-type { border-top: 0; }
summary { cursor: pointer; font-weight: 600; padding: 2px 0; }
a { color: var(--accent); overflow-wrap: anywhere; }
@media (max-width: 560px) { main { padding: 20px 12px 40px; } .card { padding: 14px; } h1 { font-size: 22px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; } .tiles dd { font-size: 19px; } }
@media print { body { background: #fff; } .card { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Cell:
    """A table's cell of ready HTML; plain text needs none."""

    html: str
    align: str = ""

    @staticmethod
    def escape(value: Any) -> str:
        return html.escape(str(value), quote=True)

    @classmethod
    def right(cls, text: str) -> Cell:
        return cls(cls.escape(text), "right")

    @classmethod
    def link(cls, target: str, text: str) -> Cell:
        return cls(f'<a href="{cls.escape(target)}">{cls.escape(text)}</a>')


def page(title: str, state: str, written: str, parts: Sequence[str]) -> str:
    """The whole page; `state` is ready HTML, title and `written` are text."""
    name = Cell.escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<header><div class="over">Run report</div><h1>{name}</h1><div>{state}</div>'
        f'<div class="over">{Cell.escape(written)}</div></header>\n' + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def card(title: str, body: str) -> str:
    """A titled block of ready HTML."""
    return f'<section class="card"><h2>{Cell.escape(title)}</h2>{body}</section>'


def tiles(values: Sequence[tuple[str, str]]) -> str:
    """Large figures with their names side by side."""
    if not values:
        return ""
    items = "".join(f"<div><dt>{Cell.escape(name)}</dt><dd>{Cell.escape(value)}</dd></div>" for name, value in values)
    return f'<dl class="tiles">{items}</dl>'


def table(heads: Sequence[str | Cell], rows: Sequence[Sequence[str | Cell]]) -> str:
    """A table that scrolls sideways where it is wider than the page."""
    head = "".join(_cell("th", cell, ' scope="col"') for cell in heads)
    body = "".join(f"<tr>{''.join(_cell('td', cell) for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def facts_table(facts: Mapping[str, Any]) -> str:
    """Names and values in two columns; what is not set is a dash."""
    rows = "".join(
        f'<tr><th scope="row">{Cell.escape(name)}</th><td>{Cell.escape(_value(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def details(summary: str, body: str, opened: bool = False) -> str:
    """A part that folds."""
    return f"<details{' open' if opened else ''}><summary>{Cell.escape(summary)}</summary>{body}</details>"


def media(uri: str, caption: str, kind: str) -> str:
    """An embedded picture or video (`kind` "video") with a caption, which is also its text for those who do not see it."""
    text = Cell.escape(caption)
    shown = (
        f'<video controls loop muted playsinline src="{uri}" aria-label="{text}"></video>'
        if kind == "video"
        else f'<img src="{uri}" alt="{text}">'
    )
    return f'<figure class="{kind}"><div class="scroll">{shown}</div><figcaption>{text}</figcaption></figure>'


def bar(share: float) -> Cell:
    """A share of one as a bar with its percentage; a dash where there is none."""
    if not math.isfinite(share):
        return Cell("-")
    value = f"{100 * min(max(share, 0.0), 1.0):.1f}"
    return Cell(f'<div class="bar"><i style="background-size: {value}% 100%"></i><span>{value} %</span></div>')


def pill(text: str, kind: str) -> str:
    """A word on a coloured ground; `kind` is good or open."""
    return f'<span class="pill {kind}">{Cell.escape(text)}</span>'


def _cell(tag: str, cell: str | Cell, more: str = "") -> str:
    if isinstance(cell, str):
        return f"<{tag}{more}>{Cell.escape(cell)}</{tag}>"
    kind = f' class="{cell.align}"' if cell.align else ""
    return f"<{tag}{more}{kind}>{cell.html}</{tag}>"


def _value(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(part) for part in value)
    return "yes" if value is True else "no" if value is False else str(value)
