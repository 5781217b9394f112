/** Runs venv, uv or pip as a child process, line by line. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export type ToolOptions = {
  /** Where temporary files go: on the disk of what is made. */
  readonly folder: string;
  readonly timeoutMs: number;
  readonly onLine: (line: string) => void;
};

/** A tool that ended with a fault. */
export class ToolFailure extends Error {
  /** What it said of the fault, shortened. */
  readonly lastWords: string;
  constructor(lastWords: string) {
    super(lastWords);
    this.lastWords = lastWords;
  }
}

const KEPT_LINES = 200;
const LONGEST_LINE = 1000;
const LONGEST_WORDS = 1500;

/** What of our environment it needs to reach an index: no setting, no secret of ours. */
const PASSED_ON = [
  'PATH',
  'HOME',
  'LANG',
  'SSL_CERT_FILE',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
];

/** @throws ToolFailure */
export async function runTool(program: string, args: readonly string[], options: ToolOptions): Promise<void> {
  const env: Record<string, string> = { TMPDIR: options.folder, PYTHONUNBUFFERED: '1' };
  for (const name of PASSED_ON) if (process.env[name] !== undefined) env[name] = process.env[name];
  const child = spawn(program, args, { cwd: options.folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const lines: string[] = [];
  const take = (line: string): void => {
    const clean = line
      .replace(/\x1b\[[0-9;]*m/g, '')
      .slice(0, LONGEST_LINE)
      .trimEnd();
    if (clean === '') return;
    lines.push(clean);
    if (lines.length > KEPT_LINES) lines.shift();
    options.onLine(clean);
  };
  createInterface({ input: child.stdout }).on('line', take);
  createInterface({ input: child.stderr }).on('line', take);
  let timedOut = false;
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it has ended
    }
  };
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, options.timeoutMs);
  process.once('exit', end);
  const { code, error } = await new Promise<{ code: number | null; error: Error | null }>((resolve) => {
    child.once('error', (thrown) => resolve({ code: null, error: thrown }));
    child.once('close', (ended) => resolve({ code: ended, error: null }));
  });
  clearTimeout(timer);
  process.off('exit', end);
  if (error !== null) throw new ToolFailure(error.message);
  if (timedOut)
    throw new ToolFailure(`it timed out after ${Math.round(options.timeoutMs / 1000)} s; ${wordsOf(lines)}`);
  if (code !== 0) throw new ToolFailure(wordsOf(lines));
}

/** From the first line that says ERROR; the last ones where none does. */
function wordsOf(lines: readonly string[]): string {
  const first = lines.findIndex((line) => /^\s*(error:|×)/i.test(line));
  // pip tells a conflict before it calls it an error.
  const conflict = lines.findIndex((line) => /The conflict is caused by|Cannot install/.test(line));
  const from = [first, conflict].filter((at) => at >= 0).reduce((a, b) => Math.min(a, b), lines.length);
  const said = (from < lines.length ? lines.slice(from) : lines.slice(-5)).filter((line) => !/^\[notice\]/.test(line));
  const text = said.map((line) => line.replace(/^ERROR:\s*/i, '').trim()).join(' ');
  return text.length > LONGEST_WORDS ? `${text.slice(0, LONGEST_WORDS)}…` : text || 'it said nothing';
}
