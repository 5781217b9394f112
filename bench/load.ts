import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type LoadResult = {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Answers that were not 2xx. */
  readonly refused: number;
  /** Connections that failed, broke or timed out. */
  readonly socketErrors: number;
};

export type LoadSpec = {
  readonly url: string;
  /** A file of bodies, as writeBodies makes it; one whose name does not end in .bodies or .pack is one body. */
  readonly bodies: string;
  /** application/json unless given. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly seconds: number;
  /** Cores of the load generator, as taskset takes them. */
  readonly cores: string;
};

const SCRIPT = fileURLToPath(new URL('post.lua', import.meta.url));

/** Keeps `connections` requests under way for `seconds`. wrk's percentiles make up for requests that a stall kept from being sent. */
export async function applyLoad(spec: LoadSpec): Promise<LoadResult> {
  const { url, bodies, connections, seconds, cores } = spec;
  const args = ['-c', cores, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', SCRIPT, url];
  const headers = { 'Content-Type': spec.contentType ?? 'application/json', ...spec.headers };
  const wrk = spawn('taskset', args, {
    env: { ...process.env, BODIES: bodies, HEADERS: Object.entries(headers).flat().join('\n') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  wrk.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await new Promise<void>((resolve, reject) => {
    wrk.on('close', () => resolve());
    wrk.on('error', () => reject(new Error('wrk or taskset is missing: apt-get install wrk util-linux')));
  });
  const found = text.match(/RESULT (.*)/);
  if (!found) throw new Error(`wrk gave no result for ${url}:\n${text}`);
  const raw = JSON.parse(found[1]!) as {
    requests: number;
    durationUs: number;
    maxUs: number;
    refused: number;
    socketErrors: number;
    quantilesUs: Record<'p50' | 'p99' | 'p99.9', number>;
  };
  return {
    requestsPerSecond: ((raw.requests - raw.refused) / raw.durationUs) * 1e6,
    p50Ms: raw.quantilesUs.p50 / 1000,
    p99Ms: raw.quantilesUs.p99 / 1000,
    p999Ms: raw.quantilesUs['p99.9'] / 1000,
    maxMs: raw.maxUs / 1000,
    refused: raw.refused,
    socketErrors: raw.socketErrors,
  };
}
