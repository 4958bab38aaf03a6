"""A few words with a proxy, spoken inside its own container.

The engine runs a program there (`docker exec`), so the way is the engine's own - local, ssh or TLS - and a
proxy need not listen for orders anywhere but on its own loopback or on a socket. Which program can carry the
words is looked for there: perl (in every Debian image), socat, or for ports nc (BusyBox).
"""

from __future__ import annotations

from typing import Final

from release.errors import ProxyError
from release.images.engine import Engine
from release.images.output_frames import OUTPUT_LIMIT
from release.values import Struct

_SECONDS: Final = 15
_NO_PROGRAM: Final = 97

_PERL: Final = (
    '$SIG{ALRM} = sub { die "no answer\\n" }; alarm 10; my $s = $ENV{HOST} '
    "? IO::Socket::INET->new(PeerAddr => $ENV{HOST}, PeerPort => $ENV{PORT}) "
    ': IO::Socket::UNIX->new(Peer => $ENV{SOCKET}); die "$!\\n" unless $s; '
    "$s->autoflush(1); print $s $ENV{WORDS}; print while sysread($s, $_, 65536)"
)
_SCRIPT: Final = f"""\
if command -v perl >/dev/null; then
  exec perl -MIO::Socket::INET -MIO::Socket::UNIX -e '{_PERL}'
elif command -v socat >/dev/null; then
  printf %s "$WORDS" | socat -t 10 - "${{HOST:+TCP:$HOST:$PORT}}${{SOCKET:+UNIX-CONNECT:$SOCKET}}"
  exit
elif [ -n "$HOST" ] && command -v nc >/dev/null; then
  printf %s "$WORDS" | nc -w 10 "$HOST" "$PORT"
  exit
fi
exit {_NO_PROGRAM}
"""


LONGEST_QUOTE: Final = 300
"""Characters of a proxy's own words in a message."""


def quoted(text: str) -> str:
    """Return the beginning of a proxy's answer."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


class AdminConnection(Struct, frozen=True, kw_only=True):
    """Admin address of a proxy: a socket or a port, as its container sees it."""

    engine: Engine
    container: str
    address: str
    """As "/run/haproxy/admin.sock" or "127.0.0.1:2019"."""

    def ask(self, words: str) -> bytes:
        """Send this text and return the whole answer.

        Raises:
            ProxyError: nothing listens there, or the container has no program to connect.
            EngineError: the container is missing or does not run.
        """
        host, _, port = ("", "", "") if self.address.startswith("/") else self.address.rpartition(":")
        env = {"WORDS": words, "HOST": host, "PORT": port, "SOCKET": "" if host else self.address}
        return self.run(["sh", "-c", _SCRIPT], env)

    def run(self, argv: list[str], env: dict[str, str]) -> bytes:
        """Return the standard output of a program in the proxy's container. Raises as `ask` does."""
        attempted = f"send a command to the proxy in {self.container} at {self.address}"
        try:
            ended = self.engine.execute(self.container, argv, env=env, timeout=_SECONDS * 1000)
        except TimeoutError as error:
            raise ProxyError(attempted, f"no answer within {_SECONDS} s", self._hint) from error
        if ended.status == _NO_PROGRAM:
            raise ProxyError(
                attempted,
                "its image has neither perl nor socat nor (for a port) nc",
                "use an image of the proxy that has one of them",
            )
        if ended.status != 0:
            said = ended.errors.decode(errors="replace").strip() or f"status {ended.status}"
            raise ProxyError(attempted, quoted(said.splitlines()[-1]), self._hint)
        if ended.is_cut:
            raise ProxyError(attempted, f"its answer is longer than {OUTPUT_LIMIT // 1024} KiB", self._hint)
        return ended.output

    @property
    def _hint(self) -> str:
        return f"read its log: `docker logs {self.container}`; check that the proxy listens at {self.address}"
