import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A kind of process that `serve` starts. */
export type ProcessRow = {
  readonly name: 'control' | 'gateway';
  /** What people call it; differs from the name where there are several. */
  readonly title: string;
  /** Arguments of the program. */
  readonly args: readonly string[];
  /** Flags for Node and V8. Every flag here was chosen by a measurement; say which when changing one. */
  readonly flags: readonly string[];
  /** How long it may take from its start to its first `ready`. */
  readonly readyWithinMs: number;
  /** How long it may take to end after SIGTERM before SIGKILL; for the gateway on top of its drain time. */
  readonly stopWithinMs: number;
};

const COMMON = ['--disable-warning=ExperimentalWarning'];

const [CONTROL, GATEWAY]: readonly [ProcessRow, ProcessRow] = [
  {
    name: 'control',
    title: 'control',
    args: [],
    flags: [...COMMON, '--single-threaded-gc', '--max-semi-space-size=2'],
    readyWithinMs: 60_000,
    stopWithinMs: 10_000,
  },
  {
    name: 'gateway',
    title: 'gateway',
    args: ['0'],
    // Parallel collection starves beside a runner on the same core (pauses of up to 42 ms); a larger young generation makes it rarer.
    flags: [...COMMON, '--single-threaded-gc', '--max-semi-space-size=16'],
    readyWithinMs: 60_000,
    stopWithinMs: 5_000,
  },
];

/**
 * What `serve` starts: one group after another, the members of a group together, and it stops them in the opposite order. Of several gateways the
 * first keeps the runners, so the others start after it and end before it; each is told its place.
 */
export function processGroups(gateways: number): readonly (readonly ProcessRow[])[] {
  if (gateways === 1) return [[CONTROL], [GATEWAY]];
  const places = Array.from({ length: gateways }, (_, place) => ({
    ...GATEWAY,
    title: `gateway ${place}`,
    args: [`${place}`],
  }));
  return [[CONTROL], places.slice(0, 1), places.slice(1)];
}

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
