"""The smoke run on a real engine: what passes, and each hint, which is then followed.

Each case is a tiny image without a build: a program of the small base, and settings of its config.
"""

from __future__ import annotations

from typing import Any

import pytest

from release.images.engine import ContainerSpec
from release.network import probe
from tests.engine import lab, tiny
from tests.engine.chain.smokes import Bench, refused

NAMED = """
class Named(Handler):
    def do_GET(self):
        self.answer(200 if self.headers["Host"] == "api.example" else 400)
Handler = Named
serve()
"""


ENDS = "def end(number, _): os._exit({status})\n"


@pytest.mark.parametrize(
    ("written", "python", "named", "status"),
    [
        ("SIGINT", "SIGINT", "SIGINT", 0),
        ("SIGINT", "SIGINT", "SIGINT", 130),
        ("INT", "SIGINT", "SIGINT", 130),
        ("3", "SIGQUIT", "SIGQUIT", 131),
        ("SIGRTMIN+3", "SIGRTMIN + 3", "SIGRTMIN+3", 165),
        ("37", "SIGRTMIN + 3", "SIGRTMIN+3", 0),
    ],
)
def test_the_images_own_stop_signal_is_a_clean_end(
    bench: Bench, written: str, python: str, named: str, status: int
) -> None:
    """By name or number: status 0, or 128 and its number; and the signal is named."""
    program = ENDS.format(status=status) + f"signal.signal(signal.{python}, end); serve()"
    passed = bench.image(program, StopSignal=written)()
    assert passed.summary.endswith(f"stopped with status {status} after {named}")


def test_another_status_names_the_signal_that_was_sent(bench: Bench) -> None:
    """143 is not the status of SIGINT; the hint is followed: the handler ends with 0."""
    program = ENDS + "signal.signal(signal.SIGINT, end); serve()"
    failed = refused(bench.image(program.format(status=143), StopSignal="SIGINT"))
    assert failed.found == "after SIGINT it ended with status 143 (allowed: 1 s, status 0 or 130)"
    assert "handler of SIGINT end with status 0" in failed.hint
    assert bench.image(program.format(status=0), StopSignal="SIGINT")()


def test_a_signal_that_reloads_is_told_from_one_that_ends(bench: Bench) -> None:
    """As uWSGI does on SIGTERM: the other signals that it handles are named, and one is followed."""
    run = bench.image(
        "signal.signal(signal.SIGQUIT, end)\nsignal.signal(signal.SIGTERM, lambda *_: None)\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nserve()"
    )
    failed = refused(run)
    assert failed.found == "after SIGTERM it did not end within 1 s (allowed: 1 s, status 0 or 143)"
    assert "It handles SIGQUIT too: if that ends it, write STOPSIGNAL SIGQUIT" in failed.hint
    assert "after SIGQUIT" in run(stop_signal="SIGQUIT").summary
    assert "after SIGQUIT" in run(environments={"production": {"stop_signal": "SIGQUIT"}}).summary


def test_a_process_1_without_a_handler_is_told_so(bench: Bench) -> None:
    """The kernel ignores the signal then; with `init` it does not."""
    run = bench.image("signal.signal(signal.SIGTERM, signal.SIG_DFL)\nserve()")
    failed = refused(run)
    assert "its process 1 has no handler for SIGTERM" in failed.hint
    assert "`smoke.init = true`" in failed.hint
    assert run(init=True).summary.endswith("stopped with status 143")


def test_a_shell_that_keeps_the_signal_is_told_so(bench: Bench) -> None:
    """CMD in shell form, with a second command after it; in exec form it passes."""
    run = bench.image("serve()", Cmd=["/bin/sh", "-c", "python3 /srv/app.py; true"])
    assert "write CMD in exec form" in refused(run).hint
    assert bench.image("serve()")()


def test_a_service_that_answers_its_own_host_alone(bench: Bench) -> None:
    """The hint is about the answer, whose first words are there; `host` leads through."""
    run = bench.image(NAMED)
    failed = refused(run, timeout="1s")
    assert failed.found == (
        "after 1 s, GET / on port 8000 gave 400 Bad Request: the body of the answer, not 200"
    )
    assert "`smoke.host`" in failed.hint
    assert "0.0.0.0" not in failed.hint  # noqa: S104 - compared
    passed = run(host="api.example")
    assert passed.spec.probe is not None
    assert passed.spec.probe.host == "api.example"


def test_a_redirect_to_https_says_how_a_proxy_would_ask(bench: Bench) -> None:
    """The header field of the hint leads through."""
    run = bench.image(
        """
        class Secure(Handler):
            def do_GET(self):
                if self.headers["X-Forwarded-Proto"] == "https":
                    self.answer(200)
                else:
                    self.answer(301, Location="https://api.example/")
        Handler = Secure
        serve()
        """
    )
    failed = refused(run, timeout="1s")
    assert "301 Moved Permanently to https://api.example/" in failed.found
    assert '`smoke.headers = { X-Forwarded-Proto = "https" }`' in failed.hint
    assert run(headers={"X-Forwarded-Proto": "https"})


@pytest.mark.parametrize(
    ("status", "fields", "hint", "followed"),
    [
        (302, 'Location="/healthz"', "redirects to /healthz: set `smoke.path`", {"path": "/healthz"}),
        (401, "", "`smoke.path` to a path that answers without one", {"path": "/healthz"}),
        (404, "", "`smoke.path`", {"path": "/healthz"}),
        (204, "", "`smoke.status = 204`", {"status": 204}),
    ],
)
def test_another_answer_is_told_with_what_leads_through(
    bench: Bench, status: int, fields: str, hint: str, followed: dict[str, Any]
) -> None:
    """A path that answers well, or the status that is right."""
    run = bench.image(
        f"""
        class Other(Handler):
            def do_GET(self):
                self.answer(200) if self.path == "/healthz" else self.answer({status}, {fields})
        Handler = Other
        serve()
        """
    )
    assert hint in refused(run, timeout="1s").hint
    assert run(**followed)


@pytest.mark.parametrize(
    ("served", "hint", "good", "followed"),
    [
        ('serve("127.0.0.1")', "port 8000 of its own loopback alone", "serve()", {}),
        ("serve(port=9000)", "it listens on port 9000: set `smoke.port`", "serve(port=9000)", {"port": 9000}),
        (
            "import time; time.sleep(60)",
            "If it is a worker, which listens nowhere, write `smoke.stays_up",
            "serve()",
            {},
        ),
    ],
)
def test_a_silent_port_is_told_by_what_listens(
    bench: Bench, served: str, hint: str, good: str, followed: dict[str, Any]
) -> None:
    """As the container's own kernel says."""
    assert hint in refused(bench.image(served), timeout="1s").hint
    assert bench.image(good)(**followed)


def test_an_image_without_a_command_is_told_so(bench: Bench) -> None:
    """Before anything is started; a command of the settings is enough, of smoke or of the environments."""
    run = bench.image("serve()", Cmd=None)
    failed = refused(run)
    assert failed.found == "the image has no CMD and no ENTRYPOINT"
    assert "`environments.<name>.command`" in failed.hint
    command = ["python3", "/srv/app.py"]
    assert run(command=command)
    assert run(environments={"staging": {"command": command}, "production": {"command": command}})


def test_a_command_that_is_not_there_is_named(bench: Bench) -> None:
    """And where it is to be corrected."""
    run = bench.image("serve()", Cmd=["gunicorn", "app"])
    failed = refused(run)
    assert "a program of `gunicorn app` is not in the image" in failed.hint
    assert "`environments.<name>.command`" in failed.hint
    assert run(command=["python3", "/srv/app.py"])


def test_a_command_that_ends_by_itself_is_named(bench: Bench) -> None:
    """As a stage that runs tests does."""
    run = bench.image("serve()", Cmd=["python3", "-c", "print('3 passed')"])
    failed = refused(run)
    assert "`python3 -c 'print('\"'\"'3 passed'\"'\"')'` ended by itself" in failed.hint
    assert "`build.target`" in failed.hint
    assert failed.tail == ("3 passed",)
    assert run(command=["python3", "/srv/app.py"])


def test_a_read_only_root_is_named_with_the_folder(bench: Bench) -> None:
    """For a user that is not the superuser with its owner; the hint is followed word by word."""
    program = 'os.path.exists("/data/run") or os.mkdir("/data/run"); open("/data/run/x", "w"); serve()'
    for user, text in (("", '"/data"'), ("10001", '"/data:uid=10001,gid=0"')):
        run = bench.image(program, User=user)
        failed = refused(run)
        assert failed.hint == f"its root is read-only: add {text} to `smoke.tmpfs`"
        assert run(tmpfs=[text.strip('"')])


def test_a_folder_with_the_program_in_it_is_not_hidden(bench: Bench) -> None:
    """A folder in memory over it would be empty."""
    run = bench.image('open("/srv/pid", "w"); serve()')
    failed = refused(run)
    assert "which holds the program: let it write elsewhere, or set `smoke.read_only = false`" in failed.hint
    assert run(read_only=False)
    assert run(environments={"production": {"read_only": False}})


def test_a_root_that_is_not_read_only_is_not_blamed(bench: Bench) -> None:
    """The words in the output are about something else: a mount of the service's own, say."""
    run = bench.image('sys.exit("/data/x: Read-only file system")')
    assert "read-only" not in refused(run, read_only=False).hint
    assert "its own last lines" in refused(run, read_only=False).hint


def test_a_folder_in_memory_that_the_user_may_not_write_to(bench: Bench) -> None:
    """It has the mode of the image's own folder; with its owner it is writable."""
    run = bench.image('open("/data/x", "w"); serve()', User="10001:10002")
    failed = refused(run, tmpfs=["/data"])
    assert failed.hint == 'its user may not write there: "/data:uid=10001,gid=10002" in `smoke.tmpfs`'
    assert run(tmpfs=["/data:uid=10001,gid=10002"])
    assert run(environments={"production": {"tmpfs": ["/data:uid=10001,gid=10002,mode=0700"]}})


def test_a_service_that_changes_its_user_needs_capabilities(bench: Bench) -> None:
    """As gosu and su-exec do: the hint names both, and they lead through; the environments' too."""
    run = bench.image(
        """
        try:
            os.setgid(10001); os.setuid(10001)
        except PermissionError:
            sys.exit('error: failed switching to "app": operation not permitted')
        serve()
        """
    )
    failed = refused(run)
    assert '`smoke.cap_add = ["SETGID", "SETUID"]`' in failed.hint
    assert "tmpfs" not in failed.hint
    assert run(cap_add=["SETGID", "SETUID"])
    assert run(environments={"production": {"cap_add": ["SETGID", "SETUID"]}})


def test_a_superuser_without_capabilities_and_a_file_of_another(bench: Bench) -> None:
    """It may not pass over the owner; with the capability it does."""
    run = bench.image('open("/mnt/own/x", "w"); serve()')
    folder = ["/mnt/own:uid=10001,mode=0700"]
    assert '`smoke.cap_add = ["DAC_OVERRIDE"]`' in refused(run, tmpfs=folder).hint
    assert run(tmpfs=folder, cap_add=["DAC_OVERRIDE"])


def test_too_little_memory_is_told_with_the_limit(bench: Bench) -> None:
    """As the engine says, not by the status; more memory leads through."""
    run = bench.image("hold = b'x' * 60_000_000; serve()")
    failed = refused(run, memory="32m")
    assert "needed more memory than `smoke.memory`" in failed.found
    assert failed.hint == 'it had 32m: raise `smoke.memory`, as "64m"'
    assert run(memory="128m")


def test_a_start_up_line_is_asked_for(bench: Bench) -> None:
    """With version and commit; the variables of the hint lead through."""
    quiet = bench.image("serve()")
    failed = refused(quiet, startup_line=True)
    assert "no line of its output has the version 0.1.0 and the commit" in failed.found
    assert "ARG VERSION COMMIT" in failed.hint
    told = bench.image("print('starting', os.environ['V'], os.environ['C'], flush=True); serve()")
    commit = failed.found.rpartition(" ")[2]
    assert told(startup_line=True, env={"V": "0.1.0", "C": commit})
    assert refused(told, startup_line=True, env={"V": "0.1.0", "C": "0" * 40})


def test_the_processor_time_of_a_container_is_told(bench: Bench) -> None:
    """It is what the clock of the smoke run goes by."""
    name = f"localhost/{lab.unique('smoke')}:one"
    bench.names.append(name)
    made = tiny.on_small_base(
        bench.engine, files={"x": ""}, settings={"Cmd": ["python3", "-c", "while 1: 0"]}
    )
    tiny.load(bench.engine, name, made)
    container = bench.engine.create(ContainerSpec(image=made.image.id))
    try:
        bench.engine.start(container)
        first = lab.eventually(lambda: bench.engine.used(container).seconds, what="its first use")
        lab.eventually(lambda: (bench.engine.used(container).seconds or 0) > first, what="more of it")
    finally:
        bench.engine.remove(container)


@pytest.mark.attack(
    "a service answers the smoke run a byte at a time, and the gate never ends",
    "each request has one end, and so has the gate",
)
def test_a_service_that_answers_slowly_ends_the_gate(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that does not answer."""
    monkeypatch.setattr(probe, "REQUEST_SECONDS", 0.5)
    run = bench.image(
        """
        import time
        class Slow(Handler):
            def do_GET(self):
                while True:
                    self.wfile.write(b"H")
                    time.sleep(0.1)
        Handler = Slow
        serve()
        """
    )
    assert "no answer: the answer did not end in time" in refused(run, timeout="1s").found


SLOW = """
    import threading, time
    class Slow(Handler):
        def do_GET(self):
            if self.path == "/slow":
                time.sleep({seconds})
            self.answer(200)
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Slow)
    server.daemon_threads = False
    def finish(number, _):
        {on_signal}
    signal.signal(signal.SIGTERM, finish)
    server.serve_forever()
    server.server_close()
"""
"""Answers `/slow` late. `server_close` waits for the requests under way."""


def test_a_request_under_way_is_finished_after_the_stop_signal(bench: Bench) -> None:
    """A service that ends at once is refused, and one that answers too early to prove anything."""
    finishes = "threading.Thread(target=server.shutdown).start()"
    passed = bench.image(SLOW.format(seconds=2, on_signal=finishes))(slow_path="/slow", stop_grace="5s")
    assert "stopped with status 0" in passed.summary
    error = refused(bench.image(SLOW.format(seconds=2, on_signal="os._exit(0)")), slow_path="/slow")
    assert "GET /slow was under way at the stop signal and gave no answer" in error.found
    assert "finish those that it has" in error.hint
    error = refused(bench.image(SLOW.format(seconds=0, on_signal=finishes)), slow_path="/slow")
    assert "GET /slow was answered before the stop signal: 200 OK" in error.found
