"""Socket that is connected with a program."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress
from typing import Any, Final

from release.programs.last_lines import LastLines

_END_SECONDS: Final = 5.0
"""Limit for a program that was asked to end."""

_LAST_SECONDS: Final = 1.0
"""Limit for a program that has closed its connection."""


_LAST_WORDS: Final = 3
"""Number of last lines of standard error in the error of a failed connection."""


class ProgramEnded(ConnectionResetError):
    """Error for a connected program that failed; the text has its exit status and its last lines."""


class ProgramSocket(socket.socket):
    """Socket that is connected with standard input and output of a program."""

    process: subprocess.Popen[bytes]
    complaints: LastLines

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Read into the buffer. Raise ProgramEnded if the program has failed, as `ssh` without a login."""
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
        """Close the socket, and end the program when the last file of the socket is closed.

        Children of the program, as those of ssh, end with the connection.
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
