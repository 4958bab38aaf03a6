"""Pictures of the documentation: the chain from its table of stages, and the parts of the whole.

`nox -s docs` writes docs/chain.svg and docs/architecture.svg. A unit test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from release.chain.pipeline import STAGES, Stage

HEIGHT = 34
ROW = 62
BEND = 54
MARGIN = 140
"""Room for labels at the right side."""

STYLE = """<style>
text { font: 14px system-ui, sans-serif; fill: #1f2328; text-anchor: middle }
.small { font-size: 12px; fill: #59636e }
rect { fill: #f6f8fa; stroke: #59636e } .mark { stroke: #0969da; stroke-width: 2 }
path { fill: none; stroke: #59636e }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .small { fill: #9198a1 }
rect { fill: #151b23; stroke: #9198a1 } .mark { stroke: #4493f8 } path { stroke: #9198a1 }
}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0L8 4L0 8" /></marker></defs>"""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A labelled box; x and y are its upper left corner, in pixels."""

    name: str
    x: int
    y: int
    width: int = 100
    note: str = ""
    marked: bool = False

    @property
    def middle(self) -> int:
        return self.y + HEIGHT // 2

    def drawn(self) -> str:
        center = self.x + self.width // 2
        kind = ' class="mark"' if self.marked else ""
        shape = f'<rect x="{self.x}" y="{self.y}" width="{self.width}" height="{HEIGHT}" rx="6"{kind} />'
        label = f'<text x="{center}" y="{self.middle + 5}">{escape(self.name)}</text>'
        below = f'<text class="small" x="{center}" y="{self.y + HEIGHT + 15}">{escape(self.note)}</text>'
        return shape + label + (below if self.note else "")


def arrow(start: Box, end: Box) -> str:
    """Draw a line from a box to the left side of another one. It bends right before its end."""
    left, right = start.x + start.width, end.x - 2
    bend = max(left, right - BEND)
    half = (bend + right) // 2
    curve = f"M{left} {start.middle}H{bend}C{half} {start.middle} {half} {end.middle} {right} {end.middle}"
    return f'<path d="{curve}" marker-end="url(#tip)" />'


def picture(title: str, boxes: Sequence[Box], arrows: Iterable[tuple[Box, Box]], more: str = "") -> str:
    """Return the SVG document; it needs nothing from outside and follows the reader's colours."""
    width = max(box.x + box.width for box in boxes) + (MARGIN if more else 20)
    height = max(box.y for box in boxes) + HEIGHT + 34
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>'
    )
    lines = [
        head,
        STYLE,
        *(arrow(*each) for each in arrows),
        more,
        *(box.drawn() for box in boxes),
        "</svg>",
        "",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def column(stage: Stage, stages: Sequence[Stage]) -> int:
    """Return the number of stages on the longest way to this one."""
    earlier = [each for each in stages if each.name in stage.after]
    return 1 + max((column(each, stages) for each in earlier), default=-1)


def direct(stage: Stage, stages: Sequence[Stage]) -> list[str]:
    """Return the stages right before this one, without those that a later one waits for anyway."""
    further = {name for each in stages if each.name in stage.after for name in each.after}
    return [name for name in stage.after if name not in further]


NOTES = {
    "lock": "lockfile is fresh",
    "lint": "pinned linters",
    "build": "the committed tree",
    "test": "in the image",
    "smoke": "as in production",
    "installed": "equals the lock",
    "audit": "if configured",
    "push": "read back, hashed",
    "record": "ledger + git tag",
    "promote": "the version tag",
}


def lanes() -> dict[str, float]:
    """Return the row of each stage: one for each way into the last join, else the mean of the next."""
    before = {stage.name: direct(stage, STAGES) for stage in STAGES}
    after = {stage.name: [each for each in before if stage.name in before[each]] for stage in STAGES}
    join = max(before, key=lambda name: len(before[name]))
    ends = sorted(before[join], key=lambda name: not before[name])  # those that begin the chain come last
    rows: dict[str, float] = {name: float(row) for row, name in enumerate(ends)}
    for stage in reversed(STAGES):
        known = [rows[name] for name in after[stage.name] if name in rows]
        rows.setdefault(stage.name, sum(known) / len(known) if known else -1)
    rows[join] = sum(rows[name] for name in ends) / len(ends)
    return rows | dict.fromkeys(after[join], rows[join])


def chain() -> str:
    """Return the picture of the chain, as the table of stages says."""
    rows = lanes()
    boxes = {
        stage.name: Box(
            name=stage.name,
            x=20 + column(stage, STAGES) * 165,
            y=16 + round(rows[stage.name] * ROW),
            width=110,
            note=NOTES[stage.name],
            marked=stage.name == "record",
        )
        for stage in STAGES
    }
    arrows = [(boxes[name], boxes[stage.name]) for stage in STAGES for name in direct(stage, STAGES)]
    return picture("The stages of a release; an arrow means: waits for", list(boxes.values()), arrows)


def architecture() -> str:
    """Return the picture of who talks to whom."""
    ci = Box(name="CI: nox -s release", x=20, y=90, width=170, note="one commit, one digest")
    operator = Box(
        name="operator: invoke deploy, rollback", x=20, y=228, width=250, note="by digest, with a plan"
    )
    builder = Box(name="BuildKit and an engine", x=330, y=20, width=190, note="build, tests, smoke run")
    registry = Box(name="OCI registry", x=330, y=90, width=190, note="image, evidence")
    ledger = Box(
        name="ledger: a git branch", x=330, y=160, width=190, note="records that only grow", marked=True
    )
    target = Box(name="Docker Engine or cluster", x=330, y=228, width=190, note="what runs, and the lock")
    boxes = [ci, operator, builder, registry, ledger, target]
    arrows = [(ci, builder), (ci, registry), (ci, ledger), (operator, ledger), (operator, target)]
    pull = '<path d="M520 107C570 107 570 245 522 245" marker-end="url(#tip)" />'
    label = '<text class="small" x="602" y="180">pull by digest</text>'
    return picture("Parts of the system; an arrow means: uses", boxes, arrows, pull + label)


PICTURES = {"chain.svg": chain, "architecture.svg": architecture}
