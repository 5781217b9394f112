/** ghz, the load generator for gRPC: one that is there, else made from source into a folder of this suite. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const MADE = join(import.meta.dirname, '.ghz');
const SOURCE = 'github.com/bojand/ghz/cmd/ghz@latest';
const run = promisify(execFile);

/** $GHZ, the PATH, where `go install` puts it, or what this suite made before; null where there is none. */
function findGhz(): string | null {
  const places = [process.env['GHZ'], 'ghz', join(homedir(), 'go/bin/ghz'), join(MADE, 'ghz')];
  return places.find((place) => place && spawnSync(place, ['--version']).status === 0) ?? null;
}

const hasGo = spawnSync('go', ['version']).status === 0;
const found = findGhz();

/** Whether there is a ghz or a way to make one; says so where there is not. */
export const canHaveGhz = found !== null || hasGo;
if (!canHaveGhz) console.warn('skipped: neither ghz ($GHZ, PATH, ~/go/bin) nor go to make it is here');

/** The program; made at the first call where there is none, which takes some minutes and Go's module proxy. */
export async function makeGhz(): Promise<string> {
  if (found !== null) return found;
  await run('go', ['install', SOURCE], { env: { ...process.env, GOBIN: MADE } });
  const made = join(MADE, 'ghz');
  if (!existsSync(made)) throw new Error(`go install ${SOURCE} made no ${made}`);
  return made;
}

export type GhzReport = {
  readonly count: number;
  /** Requests a second. */
  readonly rps: number;
  /** Nanoseconds. */
  readonly total: number;
  readonly statusCodeDistribution: Readonly<Record<string, number>>;
  readonly errorDistribution: Readonly<Record<string, number>> | null;
  readonly latencyDistribution: readonly { readonly percentage: number; readonly latency: number }[];
};

/** Runs it with these options more; calls in progress at the end are waited for and counted. */
export async function runGhz(ghz: string, address: string, ...options: string[]): Promise<GhzReport> {
  const fixed = ['--insecure', '--duration-stop', 'wait', '--format', 'json'];
  const { stdout } = await run(ghz, [...fixed, ...options, address], { maxBuffer: 1 << 28 });
  return JSON.parse(stdout) as GhzReport;
}
