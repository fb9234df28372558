"""Figures as a readable table, or as JSON with every sample."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import Figure, Machine, Ratio

WIDTH = 150
"""Characters that the tables need; a narrower terminal wraps them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Figures that belong together; ``note`` says how they were taken."""

    title: str
    note: str
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one benchmark found, and where."""

    name: str
    machine: Machine
    rows: int
    repeats: int
    sections: Sequence[Section]

    def json(self) -> str:
        """Everything, every sample included."""
        found = {
            "name": self.name,
            "machine": asdict(self.machine),
            "rows": self.rows,
            "repeats": self.repeats,
            "sections": [_section(section) for section in self.sections],
        }
        return json.dumps(found, indent=2)

    def show(self) -> None:
        """Print tables: medians with the smallest and the largest sample."""
        console = Console(width=max(Console().width, WIDTH))
        console.print(f"[bold]{self.name}[/bold]: {self.rows:,} rows, {self.repeats} repeats, median (min to max)")
        console.print(", ".join(f"{name} {value}" for name, value in asdict(self.machine).items()), highlight=False)
        for section in self.sections:
            console.print(_table(section))


def _section(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "note": section.note,
        "figures": [_figure(figure) for figure in section.figures],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "workload": figure.workload,
        "variant": figure.variant,
        "unit": figure.unit,
        "median": figure.median,
        "samples": list(figure.samples),
        "target": figure.target,
        "ratios": [
            {"against": ratio.against, "value": ratio.value, "samples": ratio.spread, "target": ratio.target}
            for ratio in figure.ratios
        ],
    }


def _table(section: Section) -> Table:
    table = Table(title=section.title, caption=section.note, title_justify="left", caption_justify="left")
    for name in ("workload", "variant"):
        table.add_column(name)
    for name in ("median", "min to max"):
        table.add_column(name, justify="right")
    for name in ("unit", "ratio (min to max)", "target"):
        table.add_column(name)
    before = ""
    for figure in section.figures:
        if before not in ("", figure.workload):
            table.add_section()
        table.add_row(*_row(figure, repeated=figure.workload == before))
        before = figure.workload
    return table


def _row(figure: Figure, *, repeated: bool) -> list[str]:
    return [
        "" if repeated else figure.workload,
        figure.variant,
        number(figure.median),
        f"{number(min(figure.samples))} to {number(max(figure.samples))}",
        figure.unit,
        "\n".join(_ratio(ratio) for ratio in figure.ratios),
        "\n".join(ratio.target for ratio in figure.ratios) or figure.target,
    ]


def _ratio(ratio: Ratio) -> str:
    if ratio.value is None or not ratio.spread:
        return f"lost in noise, to {ratio.against}"
    return f"{ratio.value:.2f} ({min(ratio.spread):.2f} to {max(ratio.spread):.2f}) of {ratio.against}"


def number(value: float) -> str:
    """Three digits or so: nobody reads more off a benchmark."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
