import { writeSync } from 'node:fs';
import { stringifyJson } from '../../sdk/src/json.ts';
import type { CliError } from './cli-error.ts';
import { adviceText } from './command-word.ts';
import { clean, cleanLine, createPaint, type Paint } from './terminal.ts';

/** The form of everything `--json` prints. It grows by new fields only; a change of meaning gets a new number. */
export const DOCUMENT_SCHEMA = 'slipway.cli/1';

export type Output = {
  /** Whether `--json` was given. */
  readonly json: boolean;
  /** Whether a person reads standard output. */
  readonly interactive: boolean;
  readonly paint: Paint;
  readonly paintNotes: Paint;
  /** The result of a command: one document with --json, else the text. `kind` is noun.verb. */
  result(kind: string, data: unknown, human: () => string): void;
  /** One line of a stream on standard output, written as it is. */
  line(text: string): void;
  /** A message to the person, on standard error; left out with --json or --quiet. */
  note(text: string): void;
  /** A warning to the person; shown also with --json. */
  warn(text: string): void;
  /** Text on standard error whatever the options: what a server has to report while it runs. */
  alert(text: string): void;
  /** Progress that is overwritten by the next: only on a terminal. null clears it. */
  progress(text: string | null): void;
  failure(error: CliError, command: string, debug: boolean): void;
};

export type OutputOptions = { readonly json: boolean; readonly color: boolean; readonly quiet: boolean };

/** Writes all of it, also into a pipe that is full: process.exit may follow at once. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') process.exit(0); // the reader, such as `head`, has enough
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

export function createOutput(options: OutputOptions): Output {
  const paint = createPaint(process.stdout, process.env, options.color);
  const paintNotes = createPaint(process.stderr, process.env, options.color);
  const animated = process.stderr.isTTY === true && process.env['TERM'] !== 'dumb' && !options.json && !options.quiet;
  let progressShown = false;

  const clearProgress = (): void => {
    if (progressShown) writeAll(2, '\r\u001b[K');
    progressShown = false;
  };
  const err = (text: string): void => {
    clearProgress();
    writeAll(2, text.endsWith('\n') ? text : `${text}\n`);
  };

  return {
    json: options.json,
    interactive: process.stdout.isTTY === true,
    paint,
    paintNotes,
    result(kind, data, human) {
      clearProgress();
      const text = options.json
        ? stringifyJson({ schema: DOCUMENT_SCHEMA, kind, data }, process.stdout.isTTY ? 2 : undefined)
        : human();
      if (text !== '') writeAll(1, text.endsWith('\n') ? text : `${text}\n`);
    },
    line(text) {
      clearProgress();
      writeAll(1, `${text}\n`);
    },
    note(text) {
      if (!options.json && !options.quiet) err(text);
    },
    warn: (text) => err(`${paintNotes('yellow', 'Warning:')} ${text}`),
    alert: err,
    progress(text) {
      if (!animated) return;
      if (text === null) return clearProgress();
      const room = Math.max(20, (process.stderr.columns ?? 80) - 1);
      writeAll(2, `\r\u001b[K${cleanLine(text).slice(0, room)}`);
      progressShown = true;
    },
    failure(error, command, debug) {
      if (options.json) {
        const { code, message, hint, fields, requestId, exitCode } = error;
        const body = { code, message, hint, fields, requestId, exitCode, command };
        err(stringifyJson({ schema: DOCUMENT_SCHEMA, kind: 'error', error: body }));
      } else {
        err(describe(error, paintNotes));
      }
      if (debug) err(stackOf(error));
    },
  };
}

/** What failed and where, every fault with its pointer, how to mend it, then the code and the request id to quote. */
function describe(error: CliError, paint: Paint): string {
  const lines = [`${paint('red', 'Error:')} ${clean(error.message)}`];
  for (const field of error.fields) {
    // A single fault is often the message itself.
    if (error.fields.length === 1 && error.message.includes(field.message)) continue;
    lines.push(`  ${paint('bold', cleanLine(field.pointer || '/'))}: ${cleanLine(field.message)}`);
  }
  if (error.hint !== null) lines.push(`  ${paint('cyan', 'Fix:')} ${adviceText(clean(error.hint))}`);
  const marks = [`code ${cleanLine(error.code)}`];
  if (error.requestId !== null) marks.push(`request ${cleanLine(error.requestId)}`);
  lines.push(paint('dim', `  (${marks.join(', ')})`));
  return lines.join('\n');
}

function stackOf(error: CliError): string {
  const parts: string[] = [];
  for (let at: unknown = error; at instanceof Error && parts.length < 5; at = at.cause)
    parts.push(at.stack ?? at.message);
  return parts.join('\ncaused by: ');
}
