import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerFile } from '../client-settings.ts';
import { packageRoot, programPath } from '../processes.ts';

export const SAMPLE = 'credit-risk';

export type SampleOutcome =
  | {
      readonly kind: 'served';
      readonly endpoint: string;
      readonly version: number;
      readonly request: unknown;
      readonly prediction: unknown;
      readonly predictionMs: number;
    }
  | { readonly kind: 'failed'; readonly reason: string };

/**
 * Deploys the sample by the same command a person would type, in a process of its own: what the client needs is given back to the
 * system when it ends, and the supervisor stays small.
 */
export async function deploySample(deps: {
  server: ServerFile;
  adminKey: string;
  stop: AbortSignal;
}): Promise<SampleOutcome | null> {
  const folder = join(packageRoot(), 'examples', SAMPLE);
  if (!existsSync(join(folder, 'slipway.yaml')))
    return { kind: 'failed', reason: 'this installation has no examples folder' };
  const child = spawn(
    process.execPath,
    [programPath('cli'), 'deploy', folder, '--name', SAMPLE, '--json', '--reason', 'the sample'],
    {
      env: {
        ...(process.env['NODE_COMPILE_CACHE'] ? { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] } : {}),
        SLIPWAY_URL: deps.server.url,
        SLIPWAY_API_KEY: deps.adminKey,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: deps.stop,
      detached: true,
    },
  );
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (text: string) => {
      output[name] += text;
    });
  }
  await new Promise<void>((resolve) => {
    child.on('error', () => resolve());
    child.on('close', () => resolve());
  });
  if (deps.stop.aborted) return null;
  return outcomeOf(output.stdout, output.stderr);
}

type DeployDocument = {
  data?: {
    outcome?: string;
    version?: { version: number; sampleRequest: unknown; statusReason?: string | null } | null;
    endpoint?: { name: string; status?: { reason?: string | null } } | null;
    prediction?: { predictions?: unknown[] } | null;
    predictionMs?: number | null;
  };
};

function outcomeOf(stdout: string, stderr: string): SampleOutcome {
  try {
    const { data } = JSON.parse(stdout) as DeployDocument;
    if (data?.outcome === 'served' && data.version && data.endpoint) {
      return {
        kind: 'served',
        endpoint: data.endpoint.name,
        version: data.version.version,
        request: data.version.sampleRequest,
        prediction: data.prediction?.predictions?.[0],
        predictionMs: data.predictionMs ?? 0,
      };
    }
    const reason = data?.version?.statusReason ?? data?.endpoint?.status?.reason;
    if (reason) return { kind: 'failed', reason };
  } catch {
    // no document: the error is on the other stream
  }
  try {
    const line = stderr.trim().split('\n').at(-1) ?? '';
    return { kind: 'failed', reason: (JSON.parse(line) as { error: { message: string } }).error.message };
  } catch {
    return { kind: 'failed', reason: 'the deploy command ended without an answer' };
  }
}
