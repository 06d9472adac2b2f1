"""Lines of the studies' tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of a table: a value for each seed."""

    name: str
    values: tuple[float, ...]
    percent: bool = True

    def text(self) -> str:
        shown = [f"{100 * v:.1f}" if self.percent else f"{v:.4f}" for v in self.values]
        mean = sum(self.values) / len(self.values)
        if not self.percent:
            return f"| {self.name} | {', '.join(shown)} |"
        return f"| {self.name} | {mean:.1%} |" if len(shown) == 1 else f"| {self.name} | {', '.join(shown)} (mean {mean:.1%}) |"
