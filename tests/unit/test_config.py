"""`[tool.release]`: what is accepted, and that everything wrong is named where it is written."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from release.config import Config, Environment, Service, load, parse
from release.errors import ConfigError, UsageError
from release.runspec import Probe, Publish

PRODUCTION = "tool.release.environments.production"
MINIMAL = """
[project]
name = "api"
[tool.release.smoke]
port = 8000
"""


def read(text: str) -> Config:
    return parse(tomllib.loads(text))


def problems(text: str) -> dict[str, str]:
    """The message of each problem by its path."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    found = [(problem.path, problem.message) for problem in caught.value.problems]
    assert len(dict(found)) == len(found), "a path was reported twice"
    return dict(found)


def production(keys: str) -> str:
    return f"{MINIMAL}\n[{PRODUCTION}]\n{keys}\n"


def environment(keys: str) -> Environment:
    return read(production(keys)).service("api").environments["production"]


def service(keys: str) -> Service:
    return read(MINIMAL + keys).service("api")


# --- what is accepted


def test_a_port_for_the_smoke_run_is_all_that_must_be_said() -> None:
    """Everything else has a default."""
    api = read(MINIMAL).service(None)
    assert (api.service, api.context, api.build.dockerfile, str(api.repository)) == (
        "api",
        ".",
        "Dockerfile",
        "localhost/api",
    )
    assert (api.test.command, api.environments) == (("python", "-m", "pytest", "-q"), {})


def test_the_name_of_the_service_comes_before_that_of_the_project() -> None:
    """`project.name` is only its default."""
    assert read('[tool.release]\nservice = "web"' + MINIMAL).service(None).service == "web"


def test_units_are_read_into_whole_numbers() -> None:
    """Bytes, milliseconds, thousandths."""
    settings = environment('memory = "256m"\ncpus = 0.5\nstop_grace = "8s"\nhealth_timeout = "2m"')
    assert (settings.memory, settings.cpus) == (256 * 1024**2, 500)
    assert (settings.stop_grace, settings.health_timeout) == (8000, 120_000)


@pytest.mark.parametrize(
    "written",
    ['"127.0.0.1:8080:8000"', '{ address = "127.0.0.1", host = 8080, container = 8000 }'],
)
def test_a_port_is_published_as_text_or_as_a_table(written: str) -> None:
    """Both mean the same."""
    assert environment(f"publish = [{written}]").publish == (
        Publish(address="127.0.0.1", host=8080, container=8000),
    )


def test_one_port_may_be_published_for_tcp_and_udp_and_on_two_addresses() -> None:
    """Only the same address, port and protocol collide."""
    ports = environment('publish = ["127.0.0.1:53:53", "127.0.0.1:53:53/udp", "127.0.0.2:53:53"]').publish
    assert len(ports) == 3


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ('from_env = "PROD_URL"', "from_env"),
        ('from_file = "/run/secret"', "from_file"),
        ('from_command = ["op", "read", "op://prod/db"]', "from_command"),
    ],
)
def test_a_secret_comes_from_one_source(source: str, field: str) -> None:
    """A variable, a file, or a command."""
    secret = environment(f"secrets = {{ DATABASE_URL = {{ {source} }} }}").secrets["DATABASE_URL"]
    assert secret.model_fields_set == {field}


@pytest.mark.parametrize(
    "place", ["registry.example", "registry.example/acme", "127.0.0.1:5000", "localhost:5000/a"]
)
def test_a_registry_is_a_host_or_a_place_in_one(place: str) -> None:
    """The repository is the service below it."""
    assert str(service(f'[tool.release]\nregistry = "{place}"').repository) == f"{place}/api"


def test_the_smoke_probe_is_what_deployments_repeat() -> None:
    """In milliseconds, ready to be recorded."""
    api = read(
        '[project]\nname = "api"\n[tool.release.smoke]\nport = 80\npath = "/up"\ntimeout = "5s"'
    ).service(None)
    assert api.smoke.probe == Probe(port=80, path="/up", status=200, timeout=5000)


def test_paths_are_written_below_the_root() -> None:
    """With one spelling for each."""
    assert service('[tool.release]\ncontext = "services/./api/"').context == "services/api"


def test_several_services_share_what_stands_outside_of_their_tables() -> None:
    """Table by table: a service's own keys win, the others stay."""
    config = read("""
[tool.release]
registry = "registry.example/acme"
[tool.release.smoke]
port = 8000
path = "/healthz"
[tool.release.environments.production]
memory = "256m"
env = { LOG_LEVEL = "info" }
[tool.release.services.api]
context = "services/api"
[tool.release.services.web]
context = "services/web"
[tool.release.services.web.smoke]
port = 3000
[tool.release.services.web.environments.production]
env = { THEME = "dark" }
""")
    api, web = config.service("api"), config.service("web")
    assert config.several
    assert [str(each.repository) for each in (api, web)] == [
        "registry.example/acme/api",
        "registry.example/acme/web",
    ]
    assert (api.smoke.port, web.smoke.port, web.smoke.path) == (8000, 3000, "/healthz")
    assert web.environments["production"].env == {"LOG_LEVEL": "info", "THEME": "dark"}
    assert api.environments["production"].env == {"LOG_LEVEL": "info"}
    assert web.environments["production"].memory == 256 * 1024**2


def test_one_service_in_a_table_of_its_own_is_still_one_of_several() -> None:
    """Its git tags carry its name, so a second service changes nothing for the first."""
    assert read("[tool.release.services.api.smoke]\nport = 1").several


def test_a_configuration_cannot_be_changed() -> None:
    """What is parsed is frozen."""
    with pytest.raises(ValueError, match="frozen"):
        read(MINIMAL).service(None).smoke.port = 1  # type: ignore[misc]


# --- everything wrong at once, where it is written


def test_every_problem_is_reported_at_once_with_its_path() -> None:
    """From one reading, in one message."""
    found = problems(
        production(
            """
memory = "12q"
memroy = "1g"
read_only = "yes"
publish = ["8080:8000", "99999:1"]
stop_grace = 3
env = { LEVEL = 1 }
restart = "sometimes"
"""
        )
    )
    assert set(found) == {
        f"{PRODUCTION}.memory",
        f"{PRODUCTION}.memroy",
        f"{PRODUCTION}.read_only",
        f"{PRODUCTION}.publish[1].host",
        f"{PRODUCTION}.stop_grace",
        f"{PRODUCTION}.env.LEVEL",
        f"{PRODUCTION}.restart",
    }


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ('memory = "12q"', "memory", "'12q' is not a size: write a number and b, k, m or g, as \"256m\""),
        ('memory = "1m"', "memory", "'1m' is too little: the engine asks for at least \"6m\""),
        ("memory = true", "memory", "write a whole number, not True"),
        ('cpus = "2"', "cpus", "'2' is not a number of processors: write a number from 0.01, as 0.5"),
        ("pids = 0", "pids", "input should be greater than or equal to 1, not 0"),
        (
            "stop_grace = 30",
            "stop_grace",
            '30 is not a duration: write a number and ms, s, m, h or d, as "30s"',
        ),
        ('stop_grace = "0s"', "stop_grace", "input should be greater than 0, not '0s'"),
        ('read_only = "yes"', "read_only", "write true or false, not 'yes'"),
        ('tmpfs = "/tmp"', "tmpfs", "write a list, not '/tmp'"),
        ('tmpfs = ["tmp"]', "tmpfs[0]", '\'tmp\' is not an absolute path without ":" and ","'),
        ("user = 1000", "user", "write text in quotes, not 1000"),
        ('env = "A=1"', "env", "write a table, not 'A=1'"),
        ('env = { "A-B" = "1" }', "env.A-B", "'A-B' is not the name of a variable"),
        ("command = []", "command", "write at least 1 word"),
        ('engine = "podman"', "engine", "input should be 'docker' or 'swarm', not 'podman'"),
        ('networks = ["-x"]', "networks[0]", "'-x' is not a name: letters, digits, _ . and -"),
        ('volumes = ["./data:/data"]', "volumes[0]", "'./data:/data' is not a mount: write volume:/path"),
        ('host = "example"', "host", "'example' is not an engine's address: unix, tcp, ssh or npipe://"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_write(keys: str, path: str, message: str) -> None:
    """The path, what was found, and what is expected."""
    found = problems(production(keys))
    assert list(found) == [f"{PRODUCTION}.{path}"]
    assert found[f"{PRODUCTION}.{path}"].startswith(message)


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ('nodes = { a = { host = "a" } }', "nodes.a.host", "'a' is not an engine's address"),
        ("nodes = { a = {} }", "nodes.a", "give either context or host"),
        (
            'nodes = { a = { host = "ssh://a", context = "a" } }',
            "nodes.a",
            "give either context or host",
        ),
        ("max_per_node = 0", "max_per_node", "input should be greater than or equal to 1, not 0"),
        ('reserve_memory = "1x"', "reserve_memory", "'1x' is not a size"),
    ],
)
def test_a_wrong_value_of_a_swarm_is_named(keys: str, path: str, message: str) -> None:
    """In its table, by the node's name."""
    found = problems(production(f'engine = "swarm"\n[{PRODUCTION}.swarm]\n{keys}'))
    assert list(found) == [f"{PRODUCTION}.swarm.{path}"]
    assert found[f"{PRODUCTION}.swarm.{path}"].startswith(message)


@pytest.mark.parametrize(
    ("port", "path", "message"),
    [
        ('"8000"', "publish[0]", "'8000' is not a published port"),
        ('"http:80"', "publish[0]", "'http:80' is not a published port"),
        ('"999.1.1.1:80:80"', "publish[0]", "'999.1.1.1' does not appear to be an IPv4 or IPv6 address"),
        ('"0:80"', "publish[0].host", "input should be greater than or equal to 1, not 0"),
        ('"80:70000"', "publish[0].container", "input should be less than or equal to 65535, not 70000"),
        ("8080", "publish[0]", "8080 is not a published port"),
        ("{ host = 80 }", "publish[0].container", "this key is required"),
        ("{ host = 80, container = 80, hots = 1 }", "publish[0].hots", "unknown key; did you mean 'host'?"),
        ('"80:1", "80:2"', "", "0.0.0.0:80:2 is published twice"),
    ],
)
def test_a_wrong_published_port_is_named(port: str, path: str, message: str) -> None:
    """In either form, by its place in the list."""
    found = problems(production(f"publish = [{port}]"))
    assert list(found) == [f"{PRODUCTION}.{path}".rstrip(".")]
    assert next(iter(found.values())).startswith(message)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "'8000'", "8000.0", "true"])
def test_a_port_is_a_whole_number_from_1_to_65535(port: str) -> None:
    """Nothing is coerced."""
    assert list(problems(MINIMAL.replace("8000", port))) == ["tool.release.smoke.port"]


@pytest.mark.parametrize(
    ("text", "path", "near"),
    [
        ("[tool.release.ledgr]", "tool.release.ledgr", "ledger"),
        ("[tool.release.servces.api]", "tool.release.servces", "services"),
        ("[tool.release.lock]\npyhton = '3.13'", "tool.release.lock.pyhton", "python"),
        ("[tool.release.test]\ncopi = []", "tool.release.test.copi", "copy"),
        ("[tool.release.test]\ncopy_ = []", "tool.release.test.copy_", "copy"),
        (f"[{PRODUCTION}]\nmemroy = '1g'", f"{PRODUCTION}.memroy", "memory"),
        (
            "[tool.release.environments.secrets]\nmemroy = '1g'",
            "tool.release.environments.secrets.memroy",
            "memory",
        ),
        (f"[{PRODUCTION}.secrets.A]\nfrom_evn = 'X'", f"{PRODUCTION}.secrets.A.from_evn", "from_env"),
        (f"[{PRODUCTION}.secrets.env]\nfrom_evn = 'X'", f"{PRODUCTION}.secrets.env.from_evn", "from_env"),
    ],
)
def test_an_unknown_key_fails_with_the_near_miss(text: str, path: str, near: str) -> None:
    """At every depth, whatever the environments and variables are called."""
    assert problems(MINIMAL + text)[path] == f"unknown key; did you mean {near!r}?"


def test_an_unknown_key_that_is_near_to_nothing_fails_with_the_known_ones() -> None:
    """The reader can choose."""
    message = problems(MINIMAL + "[tool.release.ledger]\nxyzzy = 1")["tool.release.ledger.xyzzy"]
    assert message == "unknown key; known: branch, remote, sign, allowed_signers, require_signed"


def test_required_keys_are_named() -> None:
    """The service's name and the port of the smoke run."""
    assert problems("[tool.release]") == {
        "tool.release.service": "this key is required",
        "tool.release.smoke": "this key is required",
    }


@pytest.mark.parametrize("text", ["", "tool = 1", "[tool]\nrelease = 1", "[tool.other]"])
def test_a_missing_table_is_said_plainly(text: str) -> None:
    """With the page that shows one."""
    assert problems(text) == {"tool.release": "the table is missing; docs/how-to/adopt.md shows one"}


def test_a_project_that_is_no_table_does_not_matter() -> None:
    """Only the name is missing then."""
    text = "project = 1\n[tool.release.smoke]\nport = 1"
    assert problems(text) == {"tool.release.service": "this key is required"}


# --- names


@pytest.mark.parametrize("name", ["a", "api", "api-2", "0", "a" * 40])
def test_a_service_name_is_lower_case_with_digits_and_dashes(name: str) -> None:
    """It becomes part of a repository, a container name and a git tag."""
    assert read(MINIMAL.replace('"api"', f'"{name}"')).service(name).service == name


@pytest.mark.parametrize("name", ["", "API", "my_app", "my.app", "-a", "a-", "a/b", "a" * 41, "ä"])
def test_another_service_name_is_refused_where_it_is_written(name: str) -> None:
    """Under `project.name` when it came from there."""
    rule = "a name of at most 40 lower-case letters, digits and -, with no - at its ends"
    assert problems(MINIMAL.replace('"api"', f'"{name}"')) == {"project.name": f"{name!r} is not {rule}"}
    assert list(problems(f'[tool.release]\nservice = "{name}"' + MINIMAL)) == ["tool.release.service"]


def test_the_name_of_a_services_table_follows_the_same_rule() -> None:
    """The path is the table."""
    found = problems("[tool.release.services.API.smoke]\nport = 1")
    assert list(found) == ["tool.release.services.API"]


def test_the_name_of_an_environment_follows_the_same_rule() -> None:
    """It becomes part of a path in the ledger."""
    assert list(problems(MINIMAL + '[tool.release.environments."Prod!"]')) == [
        "tool.release.environments.Prod!"
    ]


def test_a_service_has_no_second_name() -> None:
    """`service` inside of, or beside, the services' tables says something else than the table."""
    text = '[tool.release]\nservice = "x"\n[tool.release.services.a]\nservice = "y"'
    assert set(problems(text)) == {"tool.release.service", "tool.release.services.a.service"}


# --- several services


def test_a_problem_in_what_services_share_is_reported_once_where_it_is_written() -> None:
    """Not once for each service."""
    text = """
[tool.release.smoke]
port = "8000"
[tool.release.environments.production]
memroy = "1g"
[tool.release.services.api]
[tool.release.services.web]
"""
    assert set(problems(text)) == {"tool.release.smoke.port", f"{PRODUCTION}.memroy"}


def test_a_problem_of_one_service_is_reported_in_its_own_table() -> None:
    """Also where the other service is right."""
    text = """
[tool.release.smoke]
port = 8000
[tool.release.services.api.smoke]
prot = 1
[tool.release.services.web.environments.production]
memory = "x"
"""
    assert set(problems(text)) == {
        "tool.release.services.api.smoke.prot",
        "tool.release.services.web.environments.production.memory",
    }


def test_what_no_table_says_is_missing_in_the_services_table() -> None:
    """There it can be written."""
    assert problems("[tool.release.services.api]") == {
        "tool.release.services.api.smoke": "this key is required"
    }


@pytest.mark.parametrize("services", ["1", "[]", "{}", "{ api = 1 }"])
def test_services_are_tables(services: str) -> None:
    """At least one."""
    found = problems(f"[tool.release]\nservices = {services}")
    assert found == {"tool.release.services": "write one table for each service"}


# --- rules between keys


@pytest.mark.parametrize(
    "sources",
    ["", 'from_env = "A", from_file = "b"', 'from_file = "b", from_command = ["c"]'],
)
def test_a_secret_with_no_or_two_sources_is_refused(sources: str) -> None:
    """Which one counts would be a guess."""
    found = problems(production(f"secrets = {{ A = {{ {sources} }} }}"))
    assert found == {f"{PRODUCTION}.secrets.A": "give exactly one of from_env, from_file and from_command"}


@pytest.mark.parametrize(
    "secret",
    ['"hunter2"', '{ from_env = "hunter2!" }', '{ from_file = ["hunter2"] }', '{ from_command = "hunter2" }'],
)
def test_a_value_under_secrets_is_never_shown(secret: str) -> None:
    """Somebody may have written the secret itself."""
    with pytest.raises(ConfigError) as caught:
        read(production(f"secrets = {{ A = {secret} }}"))
    assert caught.value.problems[0].path.startswith(f"{PRODUCTION}.secrets.A")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('context = "a"\nhost = "ssh://b"', "give either context or host, not both"),
        ('env = { A = "1" }\nsecrets = { A = { from_env = "B" } }', "A is in env and in secrets: keep one"),
        (
            'publish = ["8080:8000"]\nproxy = { kind = "dns", network = "edge" }',
            "give either publish or proxy: behind a proxy, the proxy publishes the port",
        ),
        ("replicas = 2", "replicas needs proxy: a port of the machine belongs to one container"),
        (
            'replicas = 2\nproxy = { kind = "dns", network = "edge" }',
            'replicas needs another kind than "dns": a name belongs to one container',
        ),
    ],
)
def test_keys_of_an_environment_that_contradict_each_other_are_refused(keys: str, message: str) -> None:
    """One of them would be ignored."""
    assert problems(production(keys)) == {PRODUCTION: message}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('kind = "haproxy"', 'kind = "haproxy" needs container, admin, backend'),
        ('kind = "caddy", container = "c", admin = "127.0.0.1:2019"', 'kind = "caddy" needs backend'),
        ('kind = "traefik"', 'kind = "traefik" needs rule'),
        ('kind = "dns", rule = "Host(`a`)", backend = "b"', 'kind = "dns" has no use for backend, rule'),
    ],
)
def test_a_proxy_has_the_keys_that_its_kind_needs_and_no_others(keys: str, message: str) -> None:
    """A key that nobody reads was meant for something."""
    found = problems(production(f'proxy = {{ network = "edge", {keys} }}'))
    assert found == {f"{PRODUCTION}.proxy": message}


@pytest.mark.parametrize("admin", ["haproxy.sock", "127.0.0.1", "http://127.0.0.1:2019", "/run/a:b"])
def test_a_proxy_takes_orders_at_a_socket_or_a_port(admin: str) -> None:
    """A relative path would be looked for in a folder that nobody named."""
    table = f'network = "edge", container = "c", backend = "b", kind = "haproxy", admin = "{admin}"'
    assert set(problems(production(f"proxy = {{ {table} }}"))) == {f"{PRODUCTION}.proxy.admin"}


@pytest.mark.parametrize("other", ['install = ["pytest"]', 'copy = ["tests"]'])
def test_tests_run_in_one_way(other: str) -> None:
    """A stage, or a throw-away layer."""
    found = problems(f'{MINIMAL}[tool.release.test]\ntarget = "test"\n{other}')
    assert found == {"tool.release.test": "give either target, or install and copy, not both"}


@pytest.mark.parametrize("tool", ["ruff", "ruff>=1", "ruff==0.*", "ruff==1,<2", "ruff @ https://x", "=="])
def test_a_tool_without_an_exact_version_is_refused(tool: str) -> None:
    """The gate must mean the same tomorrow."""
    found = problems(f'{MINIMAL}[tool.release.lint]\ntools = ["mypy==1.0", "{tool}"]')
    expected = f'{tool!r} is not pinned: write the exact version, as "ruff==0.14.5"'
    assert found == {"tool.release.lint.tools[1]": expected}


@pytest.mark.parametrize("tool", ["ruff==0.14.5", "mypy[reports] == 1.0", "a===1.0; python_version > '3'"])
def test_a_tool_with_an_exact_version_is_accepted(tool: str) -> None:
    """Extras and markers are part of a requirement."""
    assert service(f'[tool.release.lint]\ntools = ["{tool}"]').lint.tools == (tool,)


@pytest.mark.parametrize(
    ("key", "table"), [("commands", "lint"), ("install", "test")], ids=["commands", "install"]
)
def test_a_command_must_split_into_words(key: str, table: str) -> None:
    """An open quote, or nothing at all, is found at the door."""
    found = problems(f'{MINIMAL}[tool.release.{table}]\n{key} = ["ruff \'x", " ", "ok \'x y\'"]')
    assert set(found) == {f"tool.release.{table}.{key}[0]", f"tool.release.{table}.{key}[1]"}


@pytest.mark.parametrize("path", ["/srv", "..", "a/../../b", "../x"])
def test_a_path_may_not_leave_the_repository(path: str) -> None:
    """Only committed files are released."""
    found = problems(f'{MINIMAL}[tool.release]\ncontext = "{path}"')
    assert found == {"tool.release.context": f"{path!r} leaves the repository: write a path below its root"}


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a..b", "a~1", "a^", "a:b", "a@{1}", "x.lock", "/a", "a/", ".a"]
)
def test_a_name_that_git_refuses_is_refused_here(name: str) -> None:
    """A leading dash would be an option."""
    assert list(problems(f'{MINIMAL}[tool.release.ledger]\nbranch = "{name}"')) == [
        "tool.release.ledger.branch"
    ]


@pytest.mark.parametrize(
    "place", ["", "https://registry.example", "registry.example/", "Acme", "a:b/c", "x@y"]
)
def test_what_is_no_place_in_a_registry_is_refused(place: str) -> None:
    """The message shows the form, not the repository made from it."""
    message = problems(f'{MINIMAL}[tool.release]\nregistry = "{place}"')["tool.release.registry"]
    assert message.startswith(f"{place!r} is not a place in a registry: write host[:port][/path]")


@pytest.mark.parametrize("platform", ["linux", "darwin/arm64", "linux/AMD64", "linux/arm/7"])
def test_a_platform_is_one_of_linux(platform: str) -> None:
    """As BuildKit writes it."""
    assert list(problems(f'{MINIMAL}[tool.release.build]\nplatform = "{platform}"')) == [
        "tool.release.build.platform"
    ]


# --- choosing


def two() -> Config:
    return read("[tool.release.smoke]\nport = 1\n[tool.release.services.api]\n[tool.release.services.web]")


def test_the_only_service_and_the_only_environment_need_no_name() -> None:
    """With one of each, the commands are short."""
    api = read(production("")).service(None)
    assert (api.service, api.environment(None)[0]) == ("api", "production")


def test_one_of_several_services_must_be_named() -> None:
    """The message lists them and shows the option."""
    with pytest.raises(UsageError, match=r"there are 2 services: api, web\n.*use --service api"):
        two().service(None)


def test_a_mistyped_service_gets_the_near_miss() -> None:
    """The hint can be pasted."""
    with pytest.raises(UsageError, match=r"no service is called 'wbe': api, web\n.*use --service web"):
        two().service("wbe")


def test_a_mistyped_environment_gets_the_near_miss() -> None:
    """Also when there is only one."""
    with pytest.raises(
        UsageError, match=r"no environment is called 'prodction'.*\n.*--environment production"
    ):
        read(production("")).service(None).environment("prodction")


def test_without_environments_the_message_says_which_table_to_add() -> None:
    """Nothing can be chosen."""
    with pytest.raises(UsageError, match=r"none is configured\n.*\[tool.release.environments.<name>\]"):
        read(MINIMAL).service(None).environment(None)


# --- the file


def test_the_file_is_read_from_the_repositorys_root(tmp_path: Path) -> None:
    """It is pyproject.toml, in UTF-8."""
    (tmp_path / "pyproject.toml").write_text(MINIMAL, encoding="utf-8")
    assert load(tmp_path) == read(MINIMAL)


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    """With the system's own word."""
    with pytest.raises(
        ConfigError, match=r"tool\.release: the file cannot be read: No such file or directory"
    ):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"[tool.release", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_said_plainly(tmp_path: Path, content: bytes) -> None:
    """The message has the line."""
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"pyproject\.toml: not TOML: "):
        load(tmp_path)


def test_this_projects_own_configuration_is_right() -> None:
    """It is its own first user."""
    root = Path(__file__).parents[2]
    api = load(root).service("api")
    assert (root / api.context / api.build.dockerfile).is_file()


def test_the_releases_own_build_arguments_are_not_configured() -> None:
    """VERSION, COMMIT and SOURCE_DATE_EPOCH are set by the release; a value of one's own would be lost."""
    found = problems(f'{MINIMAL}\n[tool.release.build]\nargs = {{ VERSION = "9", FLAVOUR = "x" }}\n')
    assert found == {
        "tool.release.build.args": "VERSION: set by the release itself; a Dockerfile may declare it as ARG"
    }


# --- what a build is lent


def test_a_build_argument_that_looks_like_a_secret_is_refused_with_the_way_to_do_it() -> None:
    """At its own path, by the rule's name, and without the value."""
    keys = (
        '[tool.release.build]\nargs = { INDEX_TOKEN = "canary", URL = "https://a:canary@b/", FLAVOUR = "x" }'
    )
    message = problems(MINIMAL + keys)["tool.release.build.args"]
    assert "INDEX_TOKEN looks like a secret (its name says TOKEN)" in message
    assert "URL looks like a secret (its value has the shape of an address with a password)" in message
    assert "[tool.release.build.secrets.<id>]" in message
    assert "canary" not in message
    assert "FLAVOUR" not in message


def test_a_false_alarm_is_allowed_by_name() -> None:
    """The others are looked at all the same."""
    keys = '[tool.release.build]\nnot_secret = ["CACHE_KEY"]\nargs = { CACHE_KEY = "7" }'
    assert service(keys).build.args == {"CACHE_KEY": "7"}
    both = '[tool.release.build]\nnot_secret = ["CACHE_KEY"]\nargs = { CACHE_KEY = "7", API_KEY = "8" }'
    assert list(problems(MINIMAL + both)) == ["tool.release.build.args"]


def test_the_value_of_a_build_argument_is_never_shown() -> None:
    """Also where it has the wrong shape."""
    assert "canary" not in str(problems(f'{MINIMAL}[tool.release.build]\nargs = {{ A = ["canary"] }}'))


@pytest.mark.parametrize("written", ["", "=x", "a b", "a=", "a=/one,/two"])
def test_an_ssh_agent_or_key_is_an_id_and_at_most_one_path(written: str) -> None:
    """BuildKit would read a comma as the next key."""
    keys = f"[tool.release.build]\nssh = [{written!r}]"
    assert "is not an id for" in problems(MINIMAL + keys)["tool.release.build.ssh[0]"]


def test_the_test_layer_names_secrets_that_the_build_has() -> None:
    """And only where something is installed."""
    layer = '[tool.release.test]\ninstall = ["x"]\nsecrets = { PIP_CONFIG_FILE = "pip" }\n'
    known = '[tool.release.build.secrets]\npip = { from_env = "PIP" }\n'
    assert service(layer + known).test.secrets == {"PIP_CONFIG_FILE": "pip"}
    assert "test.secrets names pip" in problems(MINIMAL + layer)["tool.release"]
    alone = layer.replace('install = ["x"]\n', "")
    assert "secrets are for the installation" in problems(MINIMAL + alone + known)["tool.release.test"]


# --- settings of the container


def test_a_health_check_is_recorded_in_milliseconds() -> None:
    """What is not given stays the image's."""
    settings = environment(
        'healthcheck = { command = ["check"], interval = "10s", start_interval = "500ms" }'
    )
    assert settings.healthcheck is not None
    assert settings.healthcheck.recorded.model_dump(exclude_none=True) == {
        "command": ("check",),
        "interval": 10_000,
        "start_interval": 500,
    }


def test_a_health_check_that_is_taken_away_has_no_other_keys() -> None:
    """One of the two was meant."""
    keys = 'healthcheck = { disable = true, interval = "10s" }'
    assert problems(production(keys)) == {f"{PRODUCTION}.healthcheck": "disable excludes interval"}


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGRTMIN+3", "SIGUSR1"])
def test_a_stop_signal_is_a_name(signal: str) -> None:
    """As the engine takes it."""
    assert environment(f'stop_signal = "{signal}"').stop_signal == signal
    assert "is not a signal" in problems(production('stop_signal = "15"'))[f"{PRODUCTION}.stop_signal"]


def test_a_logging_option_that_looks_like_a_secret_is_refused() -> None:
    """It would be recorded; the engine's own settings can have it."""
    (found,) = problems(production('log_options = { splunk-token = "canary" }')).items()
    assert found[0] == f"{PRODUCTION}.log_options"
    assert "daemon.json" in found[1]
    assert "canary" not in found[1]


def test_a_file_is_readable_by_all_unless_it_is_said() -> None:
    """Its mode is written in octal digits, as text."""
    given = '{ "/etc/a/b" = { source = "b" }, "/etc/a/c" = { source = "c", mode = "600" } }'
    assert [file.mode for file in environment(f"files = {given}").files.values()] == [0o444, 0o600]
    wrong = problems(production('files = { "/etc/a/b" = { source = "b", mode = 444 } }'))
    assert "three octal digits" in wrong[f"{PRODUCTION}.files./etc/a/b.mode"]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (
            'files = { "/data/a/b" = { source = "b" } }\nvolumes = ["data:/data"]',
            "below a mounted folder",
        ),
        ('files = { "/tmp/b" = { source = "b" } }\ntmpfs = ["/tmp"]', "lies below a mounted folder"),
        ('files = { "/etc/b" = { source = "b" } }\nread_only = true', "a folder of its own below another"),
        ('secrets = { A = { from_env = "A", file = "/run/a/b" } }\ntmpfs = ["/run/a"]', "another is mounted"),
        (
            'secrets = { A = { from_env = "A", file = "/a/b/c" }, B = { from_env = "B", file = "/a/b/c" } }',
            "is written twice",
        ),
    ],
)
def test_a_file_that_could_not_be_there_is_refused(keys: str, found: str) -> None:
    """Hidden by a mount, shared through a volume, or without a folder that can be its own."""
    assert found in problems(production(keys))[PRODUCTION]
