/** Interleaved loads: every round loads each server once, in turn, so that a ratio is between two runs of the same half minute. */
import { readFileSync } from 'node:fs';
import { applyLoad, type LoadResult } from '../load.ts';
import type { PeerCase } from './cases.ts';
import { applyGrpcLoad } from './grpc-load.ts';
import { bodiesOf, type Kit } from './kit.ts';
import type { Served } from './served.ts';

export type RoundsPlan = {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Cores of the load generator. */
  readonly loadCores: string;
};

export type Run = LoadResult & {
  /** Share of the load generator's cores that was busy: near 1, the load generator was the limit. */
  readonly loadCoresBusy: number;
};

/** @returns the runs of each server, in order of rounds; all of them take this case */
export async function runRounds(
  kit: Kit,
  servers: readonly Served[],
  one: PeerCase,
  plan: RoundsPlan,
): Promise<Map<Served, Run[]>> {
  const runs = new Map<Served, Run[]>(servers.map((server) => [server, []]));
  for (const server of servers) await load(kit, server, one, plan.warmUpSeconds, plan.loadCores);
  for (let round = 0; round < plan.rounds; round++) {
    for (const server of servers) {
      const before = coreTimes(plan.loadCores);
      const result = await load(kit, server, one, plan.seconds, plan.loadCores);
      const after = coreTimes(plan.loadCores);
      const loadCoresBusy = (after.busy - before.busy) / Math.max(1, after.all - before.all);
      runs.get(server)!.push({ ...result, loadCoresBusy });
    }
  }
  return runs;
}

/** 256 rows of JSON are for servers with binary tensors only, to compare the two: others would take minutes, and the kit has no bodies for all. */
export function takes(server: Served, one: PeerCase): boolean {
  if (one.form === 'grpc') return server.grpc !== null;
  if (one.form === 'binary') return server.takesBinary;
  return one.rows < 256 || server.takesBinary || server.kind === 'slipway';
}

function load(kit: Kit, server: Served, one: PeerCase, seconds: number, cores: string): Promise<LoadResult> {
  const { model, rows, connections } = one;
  if (one.form === 'grpc') {
    const { address, form } = server.grpc!;
    const message = bodiesOf(kit, model, rows, form).path;
    return applyGrpcLoad(kit, { address, message, concurrency: connections, seconds, cores });
  }
  const bodies = bodiesOf(kit, model, rows, one.form === 'binary' ? 'bin' : server.jsonForm);
  const { path, contentType, headers } = bodies;
  return applyLoad({ url: server.url, bodies: path, contentType, headers, connections, seconds, cores });
}

/** Ticks of the named cores since boot. */
function coreTimes(cores: string): { busy: number; all: number } {
  const wanted = new Set(cores.split(',').map((core) => `cpu${core}`));
  let busy = 0;
  let all = 0;
  for (const line of readFileSync('/proc/stat', 'utf8').split('\n')) {
    const [name, ...fields] = line.split(/\s+/);
    if (!wanted.has(name!)) continue;
    const ticks = fields.slice(0, 8).map(Number);
    const total = ticks.reduce((sum, one) => sum + one, 0);
    all += total;
    busy += total - ticks[3]! - ticks[4]!; // idle and waiting for a disk
  }
  return { busy, all };
}
