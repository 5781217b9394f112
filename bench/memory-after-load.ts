/** Memory of all processes with one small model: before any load, right after it, and when things have calmed down. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeBodies } from './bodies.ts';
import type { Slipway } from './contenders.ts';
import { applyLoad } from './load.ts';

export type MemoryAfterLoad = {
  readonly connections: number;
  readonly seconds: number;
  /** PSS of the whole tree in MB. */
  readonly beforeMb: number;
  readonly afterMb: number;
  readonly calmMb: number;
};

const CONNECTIONS = 64;
const CALM_S = 10;

export async function measureMemory(
  slipway: Slipway,
  how: { seconds: number; clientCores: string; folder: string },
): Promise<MemoryAfterLoad> {
  const bodies = join(how.folder, 'memory.bodies');
  writeBodies(bodies, 'open-inference', 1);
  const pssMb = (): number => Math.round(slipway.tree.pssBytes() / 1e6);
  const beforeMb = pssMb();
  const url = slipway.url('open-inference')!;
  await applyLoad({ url, bodies, connections: CONNECTIONS, seconds: how.seconds, cores: how.clientCores });
  const afterMb = pssMb();
  await sleep(CALM_S * 1000);
  return { connections: CONNECTIONS, seconds: how.seconds, beforeMb, afterMb, calmMb: pssMb() };
}
