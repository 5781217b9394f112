/** What Slipway adds to one prediction when nothing else is under way. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { writeBodies } from './bodies.ts';
import { MODEL, type Slipway } from './contenders.ts';
import { applyLoad } from './load.ts';
import { type Spread, spreadOf } from './statistics.ts';

export type AddedLatency = {
  /** One run of the model alone, in a process that does nothing else. */
  readonly bareRunP50Ms: Spread;
  /** The request through Slipway with one connection, as wrk sees it: both ways over the loopback interface included. */
  readonly requestP50Ms: Spread;
  /** The difference, round by round. */
  readonly addedP50Ms: Spread;
};

const BARE_RUN = fileURLToPath(new URL('bare-run.mjs', import.meta.url));

export async function measureAddedLatency(
  slipway: Slipway,
  how: { rounds: number; seconds: number; serverCores: string; clientCores: string; folder: string },
): Promise<AddedLatency> {
  const bodies = join(how.folder, 'latency.bodies');
  writeBodies(bodies, 'open-inference', 1);
  const url = slipway.url('open-inference')!;
  const load = (seconds: number) => applyLoad({ url, bodies, connections: 1, seconds, cores: how.clientCores });
  const bare: number[] = [];
  const request: number[] = [];
  await load(3);
  for (let round = 0; round < how.rounds; round++) {
    bare.push(await bareRunMs(bodies, how.seconds, how.serverCores));
    request.push((await load(how.seconds)).p50Ms);
  }
  return {
    bareRunP50Ms: spreadOf(bare),
    requestP50Ms: spreadOf(request),
    addedP50Ms: spreadOf(request.map((ms, i) => ms - bare[i]!)),
  };
}

async function bareRunMs(bodies: string, seconds: number, cores: string): Promise<number> {
  const env = { ...process.env, MODEL, BODIES: bodies, SECONDS: String(seconds) };
  const { stdout } = await promisify(execFile)('taskset', ['-c', cores, process.execPath, BARE_RUN], { env });
  return (JSON.parse(stdout) as { p50Us: number }).p50Us / 1000;
}
