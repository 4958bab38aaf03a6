"""Run settings that belong to the place and not to the release: how requests get there.

A rollback restores the settings that a release ran with. Where requests come from is not one of them: the
proxy that stands there, its network and the ports of the machine are today's, for that is what the users'
requests reach. As long as nothing moved, recorded settings are taken as they are, published ports too.
"""

from __future__ import annotations

from release.config import Environment, Proxy
from release.runspec import RunSpec


def placed(spec: RunSpec, settings: Environment) -> RunSpec:
    """Return the settings with today's proxy or ports, for each process.

    Args:
        spec: today's or recorded settings; of recorded ones behind a proxy the first network was the proxy's.
        settings: the environment as it is configured today.
    """
    return spec.mapped(lambda process, one: _placed(one, settings.of(process)))


def _placed(spec: RunSpec, settings: Environment) -> RunSpec:
    if settings.proxy is not None:
        return _behind(settings.proxy, spec, settings.replicas)
    if spec.proxy is None:
        return spec
    today = {"publish": settings.publish, "networks": settings.networks}
    return spec.model_copy(update={"proxy": None, "replicas": 1, **today})


def _behind(proxy: Proxy, spec: RunSpec, replicas: int) -> RunSpec:
    others = [name for name in spec.networks[spec.proxy is not None :] if name != proxy.network]
    several = spec.replicas if spec.proxy is not None else replicas
    return spec.model_copy(
        update={
            "proxy": proxy.kind,
            "networks": (proxy.network, *others),
            "publish": (),
            "replicas": 1 if proxy.kind == "dns" else several,
        }
    )


def moved(spec: RunSpec, settings: Environment) -> str:
    """Return a note on recorded settings from another target or proxy; empty if they are the same."""
    said = {name: _moved(one, settings.of(name)) for name, one in spec.every.items()}
    return "; ".join(f"{name}: {text}" if name else text for name, text in said.items() if text)


def _moved(spec: RunSpec, settings: Environment) -> str:
    today = settings.proxy.kind if settings.proxy is not None else None
    if spec.proxy == today:
        return ""
    then, now = _where(spec.proxy), _where(today)
    return f"it ran {then}, and today's place is {now}: proxy, its network and published ports are today's"


def _where(proxy: str | None) -> str:
    return f"behind a proxy ({proxy})" if proxy is not None else "without a proxy"
