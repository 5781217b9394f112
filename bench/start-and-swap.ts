import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { oneBody, writeBodies } from './bodies.ts';
import { deployTab, type Slipway, startSlipway } from './contenders.ts';
import { applyLoad, type LoadResult } from './load.ts';
import { type Spread, spreadOf } from './statistics.ts';

export type StartResult = {
  readonly cores: string;
  /** From the launch of `slipway serve` to the first 200 on a prediction, with one version deployed. */
  readonly firstPredictionMs: Spread;
  /** Idle memory of the whole tree after that one prediction, as PSS. */
  readonly idlePssMb: Spread;
  readonly processes: number;
};

/** @param cores where the server may run; null is everywhere */
export async function measureStart(cores: string | null, times: number): Promise<StartResult> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  try {
    const first = await startSlipway({ cores, dataFolder });
    await deployTab(first);
    await first.stop();
    const startMs: number[] = [];
    const pssMb: number[] = [];
    let processes = 0;
    for (let i = 0; i < times; i++) {
      const began = performance.now();
      const slipway = await startSlipway({ cores, dataFolder });
      await firstAnswer(slipway);
      startMs.push(performance.now() - began);
      await sleep(3000);
      pssMb.push(slipway.tree.pssBytes() / 1e6);
      processes = slipway.tree.pids().length;
      await slipway.stop();
    }
    return { cores: cores ?? 'all', firstPredictionMs: spreadOf(startMs), idlePssMb: spreadOf(pssMb), processes };
  } finally {
    rmSync(dataFolder, { recursive: true, force: true });
  }
}

async function firstAnswer(slipway: Slipway): Promise<void> {
  for (let tries = 0; tries < 6000; tries++) {
    if ((await predict(slipway)) !== null) return;
    await sleep(5);
  }
  throw new Error('no prediction within 30 s of the start');
}

/** One prediction: the version that answered, or null when there was no 200. */
async function predict(slipway: Slipway): Promise<string | null> {
  try {
    const response = await fetch(slipway.url('plain')!, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: oneBody('plain'),
    });
    await response.arrayBuffer();
    return response.ok ? response.headers.get('x-slipway-version') : null;
  } catch {
    return null;
  }
}

export type SwapResult = {
  readonly swaps: number;
  readonly connections: number;
  readonly load: LoadResult;
  /** Requests of the load that failed in any way: not 2xx, reset, timed out. */
  readonly failed: number;
  /** Versions seen answering, in order. */
  readonly versionsSeen: readonly string[];
  /** From asking for a version to the endpoint answering with it, upload and validation included. */
  readonly deployMs: Spread;
};

/** Deploys version after version under load. */
export async function measureSwaps(
  slipway: Slipway,
  options: { swaps: number; connections: number; cores: string; folder: string },
): Promise<SwapResult> {
  const bodies = join(options.folder, 'swap.bodies');
  writeBodies(bodies, 'open-inference', 1);
  const url = slipway.url('open-inference')!;
  let finished = false;
  const deployMs: number[] = [];
  const versionsSeen: string[] = [];
  const watching = (async () => {
    while (!finished) {
      const version = await predict(slipway);
      if (version !== null && version !== versionsSeen.at(-1)) versionsSeen.push(version);
      await sleep(10);
    }
  })();
  const results: LoadResult[] = [];
  const loading = (async () => {
    while (!finished) {
      results.push(
        await applyLoad({ url, bodies, connections: options.connections, seconds: 5, cores: options.cores }),
      );
    }
  })();
  for (let i = 0; i < options.swaps; i++) {
    const began = performance.now();
    await deployTab(slipway, 1000 + i);
    deployMs.push(performance.now() - began);
    await sleep(500);
  }
  finished = true;
  await Promise.all([watching, loading]);
  const worst = results.reduce((a, b) => (b.p99Ms > a.p99Ms ? b : a));
  const failed = results.reduce((sum, result) => sum + result.refused + result.socketErrors, 0);
  return {
    swaps: options.swaps,
    connections: options.connections,
    load: worst,
    failed,
    versionsSeen,
    deployMs: spreadOf(deployMs),
  };
}
