"""Errors in words that may be shown: one line, of bounded length, with the place in the model's own file."""

import os

MAX_WORDS = 2000


class Refused(Exception):
    """The version cannot be loaded. `code` is one of LOAD_FAULTS of load-message.ts."""

    def __init__(self, code, message, hint=None):
        super().__init__(message)
        self.code = code
        self.hint = hint


def words_of(error):
    if isinstance(error, MemoryError):
        return "Failed to allocate memory"
    if isinstance(error, SystemExit):
        return "it asked for the end of its process (SystemExit)"
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # a message that fails to be made says nothing
        text = ""
    if len(text) > MAX_WORDS:
        text = f"{text[:MAX_WORDS]}… (of {len(text)} characters)"
    where = _place(error)
    said = name if text == "" else f"{name}: {text}"
    return said if where is None else f"{said} ({where})"


def _place(error):
    """The innermost line in a file of the artifact, which is the working directory."""
    place = None
    trace = error.__traceback__
    home = os.getcwd() + os.sep
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(home):
            place = f"line {trace.tb_lineno} of {path[len(home):]}"
        trace = trace.tb_next
    return place
