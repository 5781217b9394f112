"""The runner program in Python: one process per loaded version. Started by src/serving/runner/launch.ts, never by hand."""

import os
import socket
import sys

sys.dont_write_bytecode = True
# Run as a folder (`python slipway_runner`): its parent is where the package is found.
_here = os.path.dirname(os.path.abspath(__file__))
if sys.path and os.path.abspath(sys.path[0]) == _here:
    sys.path[0] = os.path.dirname(_here)

SOCKET_FD, DIARY_FD = 3, 4


def main():
    # What a model prints belongs to its log. The socket is no descriptor that anything would write to by chance.
    os.dup2(2, 1)
    link = socket.socket(fileno=os.dup(SOCKET_FD))
    diary = os.dup(DIARY_FD)
    os.close(SOCKET_FD)
    os.close(DIARY_FD)
    from slipway_runner.runner import serve

    serve(link, diary)


main()
