import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LoadResult } from '../load.ts';
import type { Kit } from './kit.ts';

export type GrpcLoadSpec = {
  /** host:port */
  readonly address: string;
  /** A file with one ModelInferRequest; ghz repeats it. */
  readonly message: string;
  readonly concurrency: number;
  readonly seconds: number;
  readonly cores: string;
};

type GhzReport = {
  count: number;
  /** Nanoseconds. */
  total: number;
  slowest: number;
  latencyDistribution: { percentage: number; latency: number }[] | null;
  statusCodeDistribution: Record<string, number> | null;
};

const CONNECTIONS = 4;

export function findGhz(kit: Kit): string {
  return process.env['GHZ'] ?? [join(kit.made, 'bin/ghz')].find((path) => existsSync(path)) ?? 'ghz';
}

/** Unary ModelInfer calls by ghz. Its p99.9 is not told, so it is given as its slowest. */
export async function applyGrpcLoad(kit: Kit, spec: GrpcLoadSpec): Promise<LoadResult> {
  const { address, message, concurrency, seconds, cores } = spec;
  const args = ['-c', cores, findGhz(kit), '--insecure', '--proto', join(kit.folder, 'wrk/oip.proto')];
  args.push('--call', 'inference.GRPCInferenceService.ModelInfer', '-B', message, '-c', String(concurrency));
  args.push(
    '--connections',
    String(Math.min(CONNECTIONS, concurrency)),
    '-z',
    `${seconds}s`,
    '--duration-stop',
    'wait',
  );
  const { stdout } = await promisify(execFile)('taskset', [...args, '-O', 'json', address], { maxBuffer: 1 << 28 });
  const report = JSON.parse(stdout) as GhzReport;
  const ok = report.statusCodeDistribution?.['OK'] ?? 0;
  const at = (percentage: number): number =>
    (report.latencyDistribution?.find((one) => one.percentage === percentage)?.latency ?? 0) / 1e6;
  return {
    requestsPerSecond: ok / (report.total / 1e9),
    p50Ms: at(50),
    p99Ms: at(99),
    p999Ms: report.slowest / 1e6,
    maxMs: report.slowest / 1e6,
    refused: report.count - ok,
    socketErrors: 0,
  };
}
