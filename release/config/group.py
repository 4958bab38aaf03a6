"""`[tool.release.groups.<name>]`: services of one repository that are deployed together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from release.config.extending import KeyProblem
from release.config.kinds import Slug
from release.config.service import Service
from release.scalars import Items, Value


class Group(Value):
    """`[tool.release.groups.<name>]`: services that `invoke deploy --group <name>` deploys together."""

    services: Annotated[Items[Slug], Field(min_length=1)]
    """Names of the services, in the order of replacement, as ["api", "worker-pool"]."""

    @model_validator(mode="after")
    def _each_once(self) -> Group:
        if again := sorted({name for name in self.services if self.services.count(name) > 1}):
            raise ValueError(f"services: {', '.join(again)} is named more than once: keep one")
        return self


def parse_groups(table: object, services: Mapping[str, Service]) -> tuple[dict[str, Group], list[KeyProblem]]:
    """Parse the table of all groups. Return the groups by name, and the problems."""
    if not isinstance(table, dict):
        return {}, [KeyProblem(keys=(), message="write one table for each group")]
    groups: dict[str, Group] = {}
    wrong: list[KeyProblem] = []
    for name, content in table.items():
        try:
            groups[name] = Group.model_validate(content)
        except ValidationError as error:
            wrong += [
                KeyProblem(keys=(name, *_keys(found["loc"])), message=_message(found))
                for found in error.errors()
            ]
            continue
        unfit = _unfit(groups[name], services)
        wrong += [KeyProblem(keys=(name, "services"), message=message) for message in unfit]
    return groups, wrong


def _keys(location: Iterable[int | str]) -> Iterator[str]:
    return (part for part in location if isinstance(part, str))


def _message(found: Any) -> str:
    match found["type"]:
        case "extra_forbidden":
            return "unknown key; known: services"
        case "missing":
            return "this key is required"
        case "value_error":
            return str(found["ctx"]["error"])
        case _:
            return "write a list of names of services"


def _unfit(group: Group, services: Mapping[str, Service]) -> Iterator[str]:
    unknown = [name for name in group.services if name not in services]
    if unknown:
        yield f"there is no service {', '.join(unknown)}; there are: {', '.join(services)}"
    ledgers = [services[name].ledger for name in group.services if name in services]
    if any(each != ledgers[0] for each in ledgers):
        yield "these services have different tables `ledger`: a group needs one ledger"
