import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerFile } from '../client-settings.ts';
import { packageRoot, programPath } from '../processes.ts';

export const SAMPLE = 'credit-risk';

export type FirstModel = {
  /** File or folder. */
  readonly path: string;
  readonly name: string;
  readonly reason: string;
  readonly allowCode: boolean;
};

export type FirstModelDeps = {
  readonly server: ServerFile;
  readonly adminKey: string;
  readonly stop: AbortSignal;
};

export type FirstModelOutcome =
  | {
      readonly kind: 'served';
      readonly endpoint: string;
      readonly version: number;
      readonly request: unknown;
      readonly prediction: unknown;
      readonly predictionMs: number;
    }
  | { readonly kind: 'failed'; readonly reason: string };

export function deploySample(deps: FirstModelDeps): Promise<FirstModelOutcome | null> {
  const path = join(packageRoot(), 'examples', SAMPLE);
  return existsSync(join(path, 'slipway.yaml'))
    ? deployFirst(deps, { path, name: SAMPLE, reason: 'the sample', allowCode: false })
    : Promise.resolve({ kind: 'failed', reason: 'this installation has no examples folder' });
}

/**
 * Deploys a model by the same command a person would type, in a process of its own: what the client needs is given back to the
 * system when it ends, and the supervisor stays small.
 * @returns null when it was stopped
 */
export async function deployFirst(deps: FirstModelDeps, model: FirstModel): Promise<FirstModelOutcome | null> {
  const said = ['--json', '--reason', model.reason, ...(model.allowCode ? ['--allow-code'] : [])];
  const { stdout, stderr } = await runCommand(deps, ['deploy', model.path, '--name', model.name, ...said]);
  return deps.stop.aborted ? null : outcomeOf(stdout, stderr);
}

/** A folder that holds nothing but a folder stands for it, as where a platform puts the name of a model between. */
export function modelWithin(path: string): string {
  const [only, ...others] = existsSync(path) && statSync(path).isDirectory() ? readdirSync(path) : [];
  if (only === undefined || others.length > 0 || !statSync(join(path, only)).isDirectory()) return path;
  return modelWithin(join(path, only));
}

/** Whether an endpoint serves just these files already, so that a start with the same model makes no further version. */
export async function isServed(deps: FirstModelDeps, { path, name, allowCode }: FirstModel): Promise<boolean> {
  const said = ['--dry-run', '--json', ...(allowCode ? ['--allow-code'] : [])];
  const { stdout } = await runCommand(deps, ['deploy', path, '--name', name, ...said]);
  try {
    const { data } = JSON.parse(stdout) as DeployDocument;
    const same = data?.version?.sameBytesAs;
    return same !== undefined && same === data?.previousVersion;
  } catch {
    return false;
  }
}

async function runCommand(
  deps: FirstModelDeps,
  args: readonly string[],
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [programPath('cli'), ...args], {
    env: {
      ...(process.env['NODE_COMPILE_CACHE'] ? { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] } : {}),
      SLIPWAY_URL: deps.server.url,
      SLIPWAY_API_KEY: deps.adminKey,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: deps.stop,
    detached: true,
  });
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
  return output;
}

type DeployDocument = {
  data?: {
    outcome?: string;
    version?: { version: number; sampleRequest: unknown; statusReason?: string | null; sameBytesAs?: number } | null;
    previousVersion?: number | null;
    endpoint?: { name: string; status?: { reason?: string | null } } | null;
    prediction?: { predictions?: unknown[] } | null;
    predictionMs?: number | null;
  };
};

function outcomeOf(stdout: string, stderr: string): FirstModelOutcome {
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
