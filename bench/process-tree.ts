import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export type CpuTime = { readonly name: string; readonly userMs: number; readonly systemMs: number };

export type ProcessTree = {
  readonly child: ChildProcess;
  pids(): number[];
  /** Proportional set size of all processes together: shared pages are counted once. */
  pssBytes(): number;
  /** CPU time so far of every process, by a short name of what it runs. */
  cpuTimes(): Map<number, CpuTime>;
  /** The end of what it wrote to standard error, when it is quiet. */
  said(): string;
  /** SIGTERM to the first process, and SIGKILL to whatever is left after 8 s. */
  stop(): Promise<void>;
};

/** Milliseconds of one tick in /proc/<pid>/stat: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/**
 * Starts a command with all it will ever start pinned to the given cores (children inherit the mask).
 * @param cores as taskset takes them, e.g. `0` or `0,1`; null leaves them free
 * @param quiet standard error is kept for `said` instead of shown, and standard output is dropped
 */
export function startTree(
  command: readonly string[],
  options: { cores: string | null; env: NodeJS.ProcessEnv; quiet?: boolean },
): ProcessTree {
  const all = options.cores === null ? command : ['taskset', '-c', options.cores, ...command];
  const child = spawn(all[0]!, all.slice(1), {
    env: options.env,
    stdio: options.quiet ? ['ignore', 'ignore', 'pipe'] : ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  const pids = (): number[] => descendants(child.pid!);
  return {
    child,
    pids,
    pssBytes: () => pids().reduce((sum, pid) => sum + pssOf(pid), 0),
    cpuTimes: () => new Map(pids().flatMap((pid) => cpuOf(pid))),
    said: () => said,
    async stop() {
      const known = new Set(pids());
      child.kill('SIGTERM');
      for (let waited = 0; waited < 8000 && [...known].some(isAlive); waited += 50) await sleep(50);
      for (const pid of known) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    },
  };
}

function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = statOf(Number(entry))?.parent;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const found: number[] = [];
  for (let next = [root]; next.length > 0; next = next.flatMap((pid) => children.get(pid) ?? [])) found.push(...next);
  return found;
}

function statOf(pid: number): { parent: number; userMs: number; systemMs: number } | null {
  const text = readProc(pid, 'stat');
  if (text === null) return null;
  // The name in parentheses may hold anything, so fields are counted from the last parenthesis: state, parent, …, utime, stime.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z') return null;
  return { parent: Number(fields[1]), userMs: Number(fields[11]) * TICK_MS, systemMs: Number(fields[12]) * TICK_MS };
}

function cpuOf(pid: number): [number, CpuTime][] {
  const stat = statOf(pid);
  const command = readProc(pid, 'cmdline');
  if (stat === null || command === null) return [];
  const script = command.split('\0').find((word) => /\.(m?[jt]s)$/.test(word));
  const name = script?.replace(/^.*\//, '').replace(/\.\w+$/, '') ?? command.split('\0')[0]!.replace(/^.*\//, '');
  return [[pid, { name, userMs: stat.userMs, systemMs: stat.systemMs }]];
}

function pssOf(pid: number): number {
  const match = readProc(pid, 'smaps_rollup')?.match(/^Pss:\s+(\d+) kB/m);
  return match ? Number(match[1]) * 1024 : 0;
}

/** null when the process has ended. */
function readProc(pid: number, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  return statOf(pid) !== null;
}
