import { formatLogLine, isAtLeast, parseLogLine } from '../log-line.ts';
import type { Output } from '../output.ts';
import { createLogWriter } from './log-writer.ts';

export type LogSink = {
  /** Whole NDJSON lines of a child. */
  lines(lines: string): void;
  /** Text a child wrote to its standard error. */
  text(process: string, text: string): void;
  /** Something the supervisor itself has seen. */
  event(level: 'info' | 'warn' | 'error', message: string): void;
  /** From now on children end because they are told to: what they say about it goes to the file only. */
  quieten(): void;
  close(): void;
};

/** Collects all log lines in the file, and shows warnings and errors to the person at the terminal. */
export function createLogSink(path: string, out: Output, leastLevel: string): LogSink {
  const writer = createLogWriter(path, (reason) =>
    out.alert(`The log cannot be written (${reason}); the server goes on.`),
  );

  let quiet = false;

  function own(level: string, process: string, msg: string): string {
    return `${JSON.stringify({ level, time: new Date().toISOString(), process, msg })}\n`;
  }

  function take(lines: string): void {
    writer.write(lines);
    if (quiet) return;
    for (const line of lines.split('\n')) {
      // Cheap test first: nearly every line is of a lower level.
      if (!line.includes('"level":"warn"') && !line.includes('"level":"error"') && !line.includes('"level":"fatal"'))
        continue;
      const parsed = parseLogLine(line);
      if (isAtLeast(parsed.level, 'warn')) out.alert(out.json ? line : formatLogLine(parsed, out.paintNotes));
    }
  }

  return {
    lines(lines) {
      // A line that is not JSON, such as a library's print, must not make the file unreadable.
      const safe = lines
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (line.startsWith('{') ? `${line}\n` : own('info', 'unknown', line)));
      take(safe.join(''));
    },
    text(process, text) {
      const lines = text.split('\n').filter((line) => line.trim() !== '');
      // What lands there was not logged properly, for example the trace of an uncaught error: kept, and not shown line by line.
      writer.write(lines.map((line) => own('error', process, line)).join(''));
    },
    event(level, message) {
      if (isAtLeast(level, leastLevel)) take(own(level, 'serve', message));
    },
    quieten: () => {
      quiet = true;
    },
    close: () => writer.close(),
  };
}
