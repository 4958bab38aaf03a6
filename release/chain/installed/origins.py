"""The Dockerfile line that made each layer of an image, from the image's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from release.chain.building.dockerfile import DockerStage, Instruction, parse_stages
from release.values import Struct

_WITHOUT_STEP: Final = frozenset({"FROM", "ONBUILD"})
_SHOWN: Final = 72


class Origin(Struct, frozen=True, kw_only=True):
    """Source of a layer."""

    is_base: bool
    """True: the layer belongs to the base image."""
    line: int | None = None
    """Line of the Dockerfile."""
    text: str = ""
    """Instruction of the Dockerfile, or the text in the history."""


def origins(
    history: Sequence[Mapping[str, Any]], dockerfile: str, target: str | None, own: Sequence[int]
) -> tuple[Origin, ...]:
    """Return the origin of each layer, base image first.

    BuildKit writes one history step for each instruction. If the steps match the Dockerfile, each layer has a
    line.

    Args:
        history: the history in the image's config; steps without a layer have `empty_layer`.
        dockerfile: the text of the Dockerfile.
        target: the stage that was built; None: the last one.
        own: positions of the layers that this build made, by the time of their steps.
    """
    instructions = steps_of(parse_stages(dockerfile), target)
    matched = _matched(history, instructions)
    found: list[Origin] = []
    for position, step in enumerate(history):
        if step.get("empty_layer"):
            continue
        if matched is None:
            is_own = len(found) in own
            found.append(Origin(is_base=not is_own, text=_said(step) if is_own else ""))
        else:
            instruction = matched.get(position)
            found.append(_of_instruction(instruction) if instruction is not None else Origin(is_base=True))
    return tuple(found)


def steps_of(stages: Sequence[DockerStage], target: str | None) -> list[Instruction]:
    """Return the instructions of a stage, preceded by those of the stages that it is built on."""
    known = {stage.name: stage for stage in stages if stage.name}
    stage = known.get(target.lower()) if target is not None else (stages[-1] if stages else None)
    chain: list[DockerStage] = []
    while stage is not None and stage not in chain:
        chain.insert(0, stage)
        stage = known.get(stage.base)
    return [
        instruction
        for each in chain
        for instruction in each.instructions
        if instruction.keyword not in _WITHOUT_STEP
    ]


def _matched(
    history: Sequence[Mapping[str, Any]], instructions: Sequence[Instruction]
) -> dict[int, Instruction] | None:
    """Return the instruction of each history step; None if the history does not end with the instructions."""
    start = len(history) - len(instructions)
    if start < 0:
        return None
    pairs = dict(enumerate(instructions, start=start))
    if all(_keyword(history[place]) == each.keyword for place, each in pairs.items()):
        return pairs
    return None


def _keyword(step: Mapping[str, Any]) -> str:
    words = str(step.get("created_by", "")).split(maxsplit=1)
    return words[0].upper() if words else ""


def _of_instruction(instruction: Instruction) -> Origin:
    return Origin(is_base=False, line=instruction.line, text=_short(instruction.text))


def _said(step: Mapping[str, Any]) -> str:
    return _short(str(step.get("created_by", "")).removesuffix(" # buildkit"))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
