"""Takes all that waits, joins the calls that can share a run, runs, and answers each with its own rows; the rules of run-loop.ts."""

import os
import struct
import time

from . import frames
from .frames import Tensor, join_rows
from .words import words_of

DIARY_HEAD = struct.Struct("<dII")


class Call:
    __slots__ = ("cancelled", "deadline_ms", "id", "inputs", "key", "rows")

    def __init__(self, call, rows, deadline_ms, inputs):
        self.id = call
        self.rows = rows
        self.deadline_ms = deadline_ms
        self.inputs = inputs
        self.cancelled = False
        # Calls of one key may share a run; None: this one shares none.
        by_row = len(inputs) > 0 and all(len(one.shape) > 0 and one.shape[0] == rows for one in inputs)
        self.key = tuple((one.name, one.shape[1:]) for one in inputs) if by_row else None


class RunLoop:
    def __init__(self, model, can_batch, max_batch_rows, send, diary_fd):
        self._model = model
        self._can_batch = can_batch
        self._max_rows = max_batch_rows
        self._send = send
        self._diary_fd = diary_fd
        self._pid = os.getpid()
        self.pending = []

    def add(self, call):
        self.pending.append(call)

    def cancel(self, call_id):
        for call in self.pending:
            if call.id == call_id:
                call.cancelled = True

    def run_next(self):
        """One run of what waits."""
        group = self._take_group()
        stack = [group]
        while stack:
            calls = self._wanted(stack.pop())
            if not calls:
                continue
            halves = self._run(calls)
            # The first half is run first: it is the one taken from the end.
            stack.extend(reversed(halves))

    def _take_group(self):
        first = self.pending[0]
        if not self._can_batch or first.key is None or len(self.pending) == 1:
            return [self.pending.pop(0)]
        group, rest, rows = [first], [], first.rows
        for call in self.pending[1:]:
            if call.key == first.key and rows + call.rows <= self._max_rows:
                group.append(call)
                rows += call.rows
            else:
                rest.append(call)
        self.pending = rest
        return group

    def _wanted(self, calls):
        now_ms = time.monotonic() * 1000
        wanted = []
        for call in calls:
            if call.cancelled or call.deadline_ms <= now_ms:
                self._send(frames.bare_frame(frames.SKIPPED, call.id))
            else:
                wanted.append(call)
        return wanted

    def _run(self, calls):
        """Runs the calls together. Gives the groups that are to be run apart, when they cannot be answered together."""
        rows = sum(call.rows for call in calls)
        self._note(calls)
        if len(calls) == 1:
            inputs = calls[0].inputs
        else:
            inputs = [join_rows([call.inputs[i] for call in calls]) for i in range(len(calls[0].inputs))]
        started = time.perf_counter()
        try:
            outputs = self._model.run(inputs)
        except BaseException as error:  # whatever a model raises, its exit included, is one call's answer
            self._stay_one()
            if len(calls) == 1:
                self._send(frames.json_frame(frames.FAULT, calls[0].id, {"message": words_of(error)}))
                return []
            middle = len(calls) // 2
            return [calls[:middle], calls[middle:]]
        self._stay_one()
        run_ms = (time.perf_counter() - started) * 1000
        if len(calls) == 1:
            self._answer(calls[0], rows, run_ms, outputs)
            return []
        if any(len(one.shape) == 0 or one.shape[0] != rows for one in outputs):
            # Whatever validation saw: rows cannot be told apart in an output. Never do that again.
            self._can_batch = False
            return [[call] for call in calls]
        start = 0
        for call in calls:
            self._answer(call, rows, run_ms, [one.rows(start, start + call.rows) for one in outputs])
            start += call.rows
        return []

    def _answer(self, call, rows, run_ms, outputs):
        try:
            frame = frames.result_frame(call.id, rows, run_ms, outputs)
        except frames.FrameError as error:
            frame = frames.json_frame(frames.FAULT, call.id, {"message": f"the answer cannot be sent: {error}"})
        self._send(frame)

    def _note(self, calls):
        note = DIARY_HEAD.pack(time.monotonic() * 1000, len(calls), 0)
        note += struct.pack(f"<{len(calls)}I", *(call.id for call in calls))
        try:
            os.pwrite(self._diary_fd, note, 0)
        except OSError:
            pass  # a full disk ends no run; without the note all that we had counts as under way

    def _stay_one(self):
        """A model may fork. The copy comes back here as well, and must not answer in our place."""
        if os.getpid() != self._pid:
            os._exit(0)


__all__ = ["Call", "RunLoop", "Tensor"]
