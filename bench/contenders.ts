import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Client, createClient } from '../sdk/src/client.ts';
import type { BodyForm } from './bodies.ts';
import { type ProcessTree, startTree } from './process-tree.ts';

export type Contender = {
  readonly name: string;
  /** Where a form of body is posted to; null when this one does not speak it. */
  url(form: BodyForm): string | null;
  readonly tree: ProcessTree;
  stop(): Promise<void>;
};

export type Slipway = Contender & {
  readonly client: Client;
  readonly dataFolder: string;
  /** host:port */
  readonly grpcAddress: string | null;
};

export const MODEL = fileURLToPath(new URL('models/tab.onnx', import.meta.url));
const BASELINE = fileURLToPath(new URL('baseline.mjs', import.meta.url));
const SOCKET_COPY = fileURLToPath(new URL('socket-copy.mjs', import.meta.url));
const SLIPWAY = fileURLToPath(new URL('../bin/slipway', import.meta.url));

/** Bare node:http, with or without the model in the same process. */
export async function startBaseline(mode: 'fixed' | 'model', cores: string): Promise<Contender> {
  const { tree, port } = await startScript(BASELINE, cores, { MODE: mode, MODEL });
  return {
    name: mode === 'fixed' ? 'node:http, fixed answer' : 'node:http + onnxruntime-node',
    url: (form) => (form === 'open-inference' ? `http://127.0.0.1:${port}/v2/models/tab/infer` : null),
    tree,
    stop: () => tree.stop(),
  };
}

/** Writes back what it is sent. */
export async function startSocketCopy(cores: string): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const { tree, port } = await startScript(SOCKET_COPY, cores, {});
  return { url: `http://127.0.0.1:${port}/`, stop: () => tree.stop() };
}

/** A script that says its port in its first line. */
async function startScript(
  script: string,
  cores: string,
  env: Record<string, string>,
): Promise<{ tree: ProcessTree; port: number }> {
  const tree = startTree([process.execPath, script], { cores, env: { ...process.env, ...env } });
  const port = await new Promise<number>((resolve, reject) => {
    tree.child.stdout!.once('data', (line: Buffer) => resolve((JSON.parse(line.toString()) as { port: number }).port));
    tree.child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)));
  });
  return { tree, port };
}

export type SlipwayOptions = {
  readonly cores: string | null;
  /** A data folder to go on with; a new one is made, and removed on stop, when absent. */
  readonly dataFolder?: string;
  readonly env?: NodeJS.ProcessEnv;
};

/** The whole server as a person starts it, empty, on free ports; every process of it on the given cores. */
export async function startSlipway(options: SlipwayOptions): Promise<Slipway> {
  const dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  const serverFile = join(dataFolder, 'run/server.json');
  rmSync(serverFile, { force: true });
  const flags = ['--data', dataFolder, '--http-port', '0', '--grpc-port', '0', '--control-port', '0', '--no-sample'];
  const tree = startTree([SLIPWAY, 'serve', ...flags], {
    cores: options.cores,
    env: { ...process.env, ...options.env },
    quiet: true,
  });
  while (!existsSync(serverFile)) {
    if (tree.child.exitCode !== null)
      throw new Error(`slipway serve ended with ${tree.child.exitCode}:\n${tree.said()}`);
    await sleep(2);
  }
  const server = JSON.parse(readFileSync(serverFile, 'utf8')) as {
    url: string;
    inferenceUrl: string;
    grpcAddress: string | null;
  };
  const apiKey = readFileSync(join(dataFolder, 'admin.key'), 'utf8').trim();
  const path = { 'open-inference': '/v2/models/tab/infer', plain: '/endpoints/tab/predict' };
  return {
    name: 'slipway',
    url: (form) => `${server.inferenceUrl}${path[form]}`,
    tree,
    client: createClient({ url: server.url, apiKey }),
    grpcAddress: server.grpcAddress,
    dataFolder,
    async stop() {
      await tree.stop();
      if (options.dataFolder === undefined) rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}

/**
 * Deploys the model as a new version and waits until the endpoint answers with it. Versions differ in one field that ONNX Runtime
 * does not read, so that any number of them can be made from one file.
 */
export async function deployTab(slipway: Slipway, variant = 0): Promise<number> {
  const stamp = Buffer.from(`bench ${variant}`);
  // Field 6 (doc_string) of ModelProto; a later occurrence of a field replaces an earlier one.
  const bytes = Buffer.concat([readFileSync(MODEL), Buffer.from([0x32, stamp.length]), stamp]);
  return deployBytes(slipway, { model: 'tab', bytes });
}

/** @param input.engine chosen by Slipway unless given */
export async function deployBytes(
  slipway: Slipway,
  input: { model: string; bytes: Uint8Array<ArrayBuffer>; engine?: string },
): Promise<number> {
  const { model, bytes, engine } = input;
  const files = [{ path: `${model}.onnx`, blob: new Blob([bytes]) }];
  const deployed = await slipway.client.deploy({ model, files, ...(engine === undefined ? {} : { engine }) });
  if (deployed.outcome !== 'served') {
    throw new Error(`deploying gave ${deployed.outcome}: ${deployed.version?.validation?.reason ?? 'no reason'}`);
  }
  return deployed.version!.version;
}
