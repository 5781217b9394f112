import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What `serve` starts, in this order; it stops them in the opposite one. */
export type ProcessRow = {
  readonly name: 'control' | 'gateway';
  /** Flags for Node and V8. Every flag here was chosen by a measurement; say which when changing one. */
  readonly flags: readonly string[];
  /** How long it may take from its start to its first `ready`. */
  readonly readyWithinMs: number;
  /** How long it may take to end after SIGTERM before SIGKILL; for the gateway on top of its drain time. */
  readonly stopWithinMs: number;
};

const COMMON = ['--disable-warning=ExperimentalWarning'];

export const PROCESSES: readonly ProcessRow[] = [
  {
    name: 'control',
    flags: [...COMMON, '--single-threaded-gc', '--max-semi-space-size=2'],
    readyWithinMs: 60_000,
    stopWithinMs: 10_000,
  },
  {
    name: 'gateway',
    // Parallel collection starves beside a runner on the same core (pauses of up to 42 ms); a larger young generation makes it rarer.
    flags: [...COMMON, '--single-threaded-gc', '--max-semi-space-size=16'],
    readyWithinMs: 60_000,
    stopWithinMs: 5_000,
  },
];

/** The file of a program: TypeScript in a checkout, built JavaScript in a package. `cli`, `control` and `gateway` lie side by side. */
export function programPath(name: 'cli' | ProcessRow['name']): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../${name}.${extension}`, import.meta.url));
}

/** The folder of the checkout or package. */
export function packageRoot(): string {
  const here = fileURLToPath(new URL('../..', import.meta.url));
  return existsSync(`${here}/package.json`) ? here : fileURLToPath(new URL('../../..', import.meta.url));
}
