"""`[tool.release]`: what is accepted, and that everything wrong is named where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.config import load
from release.config.smoke import ASK
from release.errors import ConfigError
from release.runspec import Probe
from tests.unit.config.written import MINIMAL, PRODUCTION, environment, problems, production, read, service


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
        ('tmpfs = ["tmp"]', "tmpfs[0]", "'tmp' is not a folder in memory: write a path"),
        ("user = 1000", "user", "write text in quotes, not 1000"),
        ('env = "A=1"', "env", "write a table, not 'A=1'"),
        ('env = { "A-B" = "1" }', "env.A-B", "'A-B' is not the name of a variable"),
        ("command = []", "command", "write at least 1 value"),
        ('engine = "podman"', "engine", "input should be 'docker', 'swarm' or 'kubernetes', not 'podman'"),
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
    assert message == "unknown key; known: branch, remote, sign, allowed_signers, require_signed, fetch, id"


def test_required_keys_are_named() -> None:
    """The service's name and a question of the smoke run."""
    assert problems("[tool.release]") == {
        "tool.release.service": "this key is required",
        "tool.release.smoke": f"this table is required: {ASK}",
    }


@pytest.mark.parametrize("text", ["", "tool = 1", "[tool]\nrelease = 1", "[tool.other]"])
def test_a_missing_table_is_said_plainly(text: str) -> None:
    """With both places where it may be."""
    message = "the table is missing; write [tool.release] here, or its tables into release.toml"
    assert problems(text) == {"tool.release": message}


def test_a_project_that_is_no_table_does_not_matter() -> None:
    """Only the name is missing then."""
    text = "project = 1\n[tool.release.smoke]\nport = 1"
    assert problems(text) == {"tool.release.service": "this key is required"}


@pytest.mark.parametrize("name", ["a", "api", "api-2", "0", "a" * 40])
def test_a_service_name_is_lower_case_with_digits_and_dashes(name: str) -> None:
    """It becomes part of a repository, a container name and a git tag."""
    assert read(MINIMAL.replace('"api"', f'"{name}"')).service(name).service == name


@pytest.mark.parametrize("name", ["", "API", "my_app", "my.app", "-a", "a-", "a/b", "a" * 41, "ä"])
def test_another_service_name_is_refused_where_it_is_written(name: str) -> None:
    """Under `project.name` when it came from there."""
    rule = "a name of at most 40 lower-case letters, digits and -, with no - at its ends"
    (message,) = problems(MINIMAL.replace('"api"', f'"{name}"')).items()
    assert message[0] == "project.name"
    assert message[1].startswith(f"{name!r} is not {rule}; or ")
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
        "tool.release.services.api.smoke": f"this table is required: {ASK}"
    }


@pytest.mark.parametrize("services", ["1", "[]", "{}", "{ api = 1 }"])
def test_services_are_tables(services: str) -> None:
    """At least one."""
    found = problems(f"[tool.release]\nservices = {services}")
    assert found == {"tool.release.services": "write one table for each service"}


def test_the_file_is_read_from_the_repositorys_root(tmp_path: Path) -> None:
    """It is pyproject.toml, in UTF-8."""
    (tmp_path / "pyproject.toml").write_text(MINIMAL, encoding="utf-8")
    assert load(tmp_path) == read(MINIMAL)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """Editors of some systems write one, and nobody sees it."""
    (tmp_path / "pyproject.toml").write_text(MINIMAL, encoding="utf-8-sig")
    assert load(tmp_path) == read(MINIMAL)


@pytest.mark.attack(
    "a commit has a release.toml that is a link to a file with logins; a message quotes its keys and values",
    "a configuration that is a link out of the repository is not read",
)
def test_a_link_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    """A link to another file of the repository is."""
    root = tmp_path / "here"
    root.mkdir()
    (tmp_path / "credentials.toml").write_text('token = "topsecret"')
    (root / "release.toml").symlink_to(tmp_path / "credentials.toml")
    with pytest.raises(ConfigError, match="it is a link that leads out of the repository") as caught:
        load(root)
    assert "token" not in str(caught.value)
    (root / "release.toml").unlink()
    (root / "real.toml").write_text(MINIMAL)
    (root / "pyproject.toml").symlink_to("real.toml")
    assert load(root) == read(MINIMAL)
    (root / "release.toml").symlink_to("release.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(root)


def test_a_key_with_an_invisible_character_is_told_by_its_number() -> None:
    """Else the message shows the same word twice."""
    found = problems('[tool.release]\nservice = "api"\n"smo\u200bke".port = 8000\nsmoke.port = 1\n')
    (message,) = found.values()
    assert message == "unknown key: write 'smoke' without the character U+200B, which may be invisible"


def test_a_projects_name_that_is_none_of_a_service_can_stay() -> None:
    """The message names the key that is asked first."""
    found = problems('[project]\nname = "My_Service"\n[tool.release.smoke]\nport = 8000\n')
    assert found["project.name"].endswith(
        '; or give the service another one, as `service = "api"` in [tool.release]'
    )


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    """With both names that it may have."""
    with pytest.raises(
        ConfigError,
        match=r"there is no such file; write \[tool\.release\] here, or its tables into release\.toml",
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
    root = Path(__file__).parents[3]
    api = load(root).service("api")
    assert (root / api.context / api.build.dockerfile).is_file()
