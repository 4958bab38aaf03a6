"""A socket whose other end is a program."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress
from typing import Any, Final

from release.lastlines import LastLines

_END_SECONDS: Final = 5.0
"""Limit for a program that was asked to end."""

_LAST_SECONDS: Final = 1.0
"""Limit for a program that has closed its connection."""


_LAST_WORDS: Final = 3
"""Number of lines of its standard error in the error of a failed connection."""


class ProgramEnded(ConnectionResetError):
    """The program at the other end of a connection failed; the text has its status and its last words."""


class ProgramSocket(socket.socket):
    """A socket whose other end is the standard input and output of a program."""

    process: subprocess.Popen[bytes]
    complaints: LastLines

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """As a socket's. An end is an end only where the program says that all went well.

        Raises ProgramEnded: it failed, as ssh does when it is cut off or lets nobody in.
        """
        try:
            count = super().recv_into(*args, **kwargs)
        except ConnectionResetError:  # it ended with the request unread
            self._check_end()
            raise
        if count == 0:
            self._check_end()
        return count

    def _check_end(self) -> None:
        """Raise ProgramEnded if the program ended with a failure; one that goes on did not end the talk."""
        with suppress(subprocess.TimeoutExpired):
            if status := self.process.wait(_LAST_SECONDS):
                words = "; ".join(self.complaints.end()[-_LAST_WORDS:])
                raise ProgramEnded(f"the program ended with status {status}: {words or 'it gave no reason'}")

    def close(self) -> None:
        """Hang up and end the program, when nobody reads any more: files made of the socket keep it open.

        Its children, as ssh's own, end with the connection.
        """
        super().close()
        if self.fileno() != -1:
            return
        self.process.terminate()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
