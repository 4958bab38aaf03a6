"""The Dockerfile line that made each layer of an image, from the image's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from release.chain.building.dockerfile import DockerStage, Instruction, parse_stages
from release.values import Struct

_WITHOUT_STEP: Final = frozenset({"FROM", "ONBUILD"})
_SHOWN: Final = 72


class LayerOrigin(Struct, frozen=True, kw_only=True):
    """Source of a layer."""

    is_base: bool
    """True: the layer belongs to the base image."""
    line: int | None = None
    """Line of the Dockerfile."""
    text: str = ""
    """Instruction of the Dockerfile, or the text in the history."""


def find_layer_origins(
    history: Sequence[Mapping[str, Any]], dockerfile: str, target: str | None, own: Sequence[int]
) -> tuple[LayerOrigin, ...]:
    """Return the origin of each layer, base image first.

    BuildKit writes one history step for each instruction. If the steps match the Dockerfile, each layer has a
    line.

    Args:
        history: the history in the image's config; steps without a layer have `empty_layer`.
        dockerfile: the text of the Dockerfile.
        target: the stage that was built; None: the last one.
        own: positions of the layers that this build made, by the time of their steps.
    """
    instructions = instructions_of_stage(parse_stages(dockerfile), target)
    matched = _match_history(history, instructions)
    found: list[LayerOrigin] = []
    for position, step in enumerate(history):
        if step.get("empty_layer"):
            continue
        if matched is None:
            is_own = len(found) in own
            found.append(LayerOrigin(is_base=not is_own, text=_describe_history_step(step) if is_own else ""))
        else:
            instruction = matched.get(position)
            found.append(
                _origin_of_instruction(instruction) if instruction is not None else LayerOrigin(is_base=True)
            )
    return tuple(found)


def instructions_of_stage(stages: Sequence[DockerStage], target: str | None) -> list[Instruction]:
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


def _match_history(
    history: Sequence[Mapping[str, Any]], instructions: Sequence[Instruction]
) -> dict[int, Instruction] | None:
    """Return the instruction of each history step; None if the history does not end with the instructions."""
    start = len(history) - len(instructions)
    if start < 0:
        return None
    pairs = dict(enumerate(instructions, start=start))
    if all(_history_keyword(history[place]) == each.keyword for place, each in pairs.items()):
        return pairs
    return None


def _history_keyword(step: Mapping[str, Any]) -> str:
    words = str(step.get("created_by", "")).split(maxsplit=1)
    return words[0].upper() if words else ""


def _origin_of_instruction(instruction: Instruction) -> LayerOrigin:
    return LayerOrigin(is_base=False, line=instruction.line, text=_shorten_line(instruction.text))


def _describe_history_step(step: Mapping[str, Any]) -> str:
    return _shorten_line(str(step.get("created_by", "")).removesuffix(" # buildkit"))


def _shorten_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
