import { type ChildProcess, spawn } from 'node:child_process';
import { EXIT_FATAL, type ProgramFatal, type ProgramMessage, type ProgramReady } from '../../base/program.ts';
import type { ProcessRow } from '../processes.ts';

export type ChildEnd =
  /** It said why it cannot start; starting it again would end the same way. */
  | { readonly kind: 'fatal'; readonly fatal: ProgramFatal }
  /** It ended several times before it was ready once. */
  | { readonly kind: 'unstartable'; readonly attempts: number; readonly lastWords: string }
  | { readonly kind: 'slow'; readonly waitedMs: number };

export type ChildDeps = {
  readonly row: ProcessRow;
  readonly path: string;
  readonly cwd: string;
  /** Read at every start, so that a restarted child keeps the port that its first run was given. */
  readonly env: () => Record<string, string>;
  /** Whole lines of its standard output: NDJSON. */
  readonly onOutput: (lines: string) => void;
  /** Lines of its standard error: whatever could not be logged properly. */
  readonly onErrorText: (text: string) => void;
  readonly onEvent: (level: 'info' | 'warn' | 'error', message: string) => void;
};

export type Child = {
  readonly row: ProcessRow;
  /** Why what it serves does not answer now; null when it does. */
  readonly assessed: () => string | null;
  /** The first `ready`, or why there will be none. Never rejects. */
  readonly started: Promise<ProgramReady | ChildEnd>;
  readonly pid: () => number | undefined;
  /** SIGTERM, then SIGKILL after `withinMs`. Resolves when it has ended. */
  stop(withinMs: number): Promise<void>;
  /** SIGKILL to it and everything it started. */
  kill(): void;
};

const START_ATTEMPTS = 3;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 10_000;

/** Starts a program and keeps it running until told to stop. One that was ready before is told so: `again` is its last argument. */
export function superviseChild(deps: ChildDeps): Child {
  const { row } = deps;
  const first = Promise.withResolvers<ProgramReady | ChildEnd>();
  let current: ChildProcess | undefined;
  let restart: NodeJS.Timeout | undefined;
  let stopping = false;
  let wasReady = false;
  let failures = 0;
  const notYet = `${row.title} has not said yet whether it answers`;
  let assessed: string | null = notYet;

  const slow = setTimeout(() => first.resolve({ kind: 'slow', waitedMs: row.readyWithinMs }), row.readyWithinMs);
  first.promise.then(() => clearTimeout(slow));

  function start(): void {
    let readyThisTime = false;
    let fatal: ProgramFatal | undefined;
    let lastWords = '';
    const child = spawn(process.execPath, [...row.flags, deps.path, ...row.args, ...(wasReady ? ['again'] : [])], {
      cwd: deps.cwd,
      env: deps.env(),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A process group of its own: Ctrl-C in a terminal reaches only the supervisor, which stops things in order.
      detached: true,
    });
    current = child;
    eachLine(child.stdout!, deps.onOutput);
    eachLine(child.stderr!, (text) => {
      lastWords = (lastWords + text).slice(-2000);
      deps.onErrorText(text);
    });
    child.on('message', (message: ProgramMessage) => {
      if (message.type === 'fatal') fatal = message;
      if (message.type === 'assessed') assessed = message.reason;
      if (message.type !== 'ready') return;
      wasReady = true;
      readyThisTime = true;
      first.resolve(message);
    });
    child.on('error', (error) => {
      lastWords = error.message;
      deps.onEvent('error', `${row.title} could not be started: ${error.message}`);
      if (child.pid === undefined) ended(null, null);
    });
    child.on('exit', ended);

    function ended(code: number | null, signal: NodeJS.Signals | null): void {
      current = undefined;
      assessed = notYet;
      // What it started and left behind ends with it.
      killGroup(child);
      if (stopping) return;
      // One that got ready is able to start: it is wanted back at once. Waiting longer each time is for those that do not get there.
      failures = readyThisTime ? 1 : failures + 1;
      if (!wasReady && (fatal !== undefined || code === EXIT_FATAL)) {
        const said: ProgramFatal = fatal ?? {
          type: 'fatal',
          code: 'internal',
          message: lastWords.trim() || `${row.title} cannot start`,
          hint: null,
        };
        first.resolve({ kind: 'fatal', fatal: said });
        return;
      }
      if (!wasReady && failures >= START_ATTEMPTS) {
        first.resolve({ kind: 'unstartable', attempts: failures, lastWords: lastWords.trim() });
        return;
      }
      const how = signal === null ? `code ${code}` : signal;
      const waitMs = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (failures - 1));
      const why = fatal === undefined ? '' : `: ${fatal.message}`;
      deps.onEvent('error', `${row.title} ended (${how})${why}; starting it again in ${waitMs / 1000} s`);
      restart = setTimeout(start, waitMs);
    }
  }
  start();

  return {
    row,
    assessed: () => assessed,
    started: first.promise,
    pid: () => current?.pid,
    async stop(withinMs) {
      stopping = true;
      clearTimeout(restart);
      const child = current;
      if (child === undefined) return;
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGTERM');
      const timer = setTimeout(() => {
        deps.onEvent('warn', `${row.title} did not stop within ${withinMs / 1000} s and was killed`);
        killGroup(child);
      }, withinMs);
      await ended;
      clearTimeout(timer);
    },
    kill() {
      stopping = true;
      clearTimeout(restart);
      if (current !== undefined) killGroup(current);
    },
  };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // gone already
  }
}

/** Whole lines, as many as there are at once. A line longer than 1 MiB is passed on in pieces. */
function eachLine(stream: NodeJS.ReadableStream, take: (lines: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const text = rest + chunk;
    const end = text.lastIndexOf('\n') + 1;
    rest = text.slice(end);
    if (end > 0) take(text.slice(0, end));
    if (rest.length > 1024 * 1024) {
      take(`${rest}\n`);
      rest = '';
    }
  });
  stream.on('end', () => {
    if (rest !== '') take(`${rest}\n`);
  });
}
