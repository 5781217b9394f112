import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

export type Machine = {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  readonly onnxruntimeNode: string;
  /** Load average over one minute as the benchmark began: above 0.5 something else was running. */
  readonly loadBefore: number;
};

/** The facts without which figures mean nothing. */
export function describeMachine(): Machine {
  const manifest = new URL('../node_modules/onnxruntime-node/package.json', import.meta.url);
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${process.platform} ${release()} ${arch()}`,
    node: process.version,
    onnxruntimeNode: (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version,
    loadBefore: Math.round(loadavg()[0]! * 100) / 100,
  };
}
