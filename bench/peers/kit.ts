/** The kit of rival servers: where it is, what it has, how one of them is started, and with which bodies it is loaded. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startTree } from '../process-tree.ts';
import type { Served } from './served.ts';

/** One rival as the kit's table has it. */
type KitRow = {
  readonly path: string;
  /** Its form of JSON body: `v2`, `rows` or `mlflow`. */
  readonly fmt: string;
  /** Whether it takes binary tensors. */
  readonly bin?: boolean;
  /** Its form of gRPC message, when it speaks gRPC. */
  readonly grpc?: string;
  readonly note?: string;
  /** The models it is measured with; all when absent. */
  readonly models?: readonly string[];
  /** The kit's names of the cases it is measured in; all when absent. */
  readonly only?: readonly string[];
};

export type Kit = {
  /** Its sources, read-only. */
  readonly folder: string;
  /** Environments, models and bodies that its setup made. */
  readonly made: string;
  readonly rivals: ReadonlyMap<string, KitRow>;
};

/** The model that forms are measured with: 100 boosted trees over 30 floats. */
export const MODEL_NAME = 'tab';

const LAUNCH = fileURLToPath(new URL('launch.py', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
/** A rival gets this port for HTTP, the next one for gRPC, and may use some after these. */
const PORTS_OF_ONE = 8;
const START_LIMIT_MS = 60_000;

/** @throws Error that says what to install, when the kit or what its setup makes is not there */
export function openKit(): Kit {
  const folder = resolve(process.env['PEERS_DIR'] ?? join(REPOSITORY, '../shared/peers'));
  if (!existsSync(join(folder, 'peers.py'))) {
    throw new Error(`no kit of rivals in ${folder}: set PEERS_DIR to the folder that holds peers.py and setup.sh`);
  }
  const made = resolve(process.env['BENCH_DIR'] ?? join(homedir(), 'peers-scratch'));
  if (!existsSync(join(made, 'bodies/tab.1.v2.json')) || !existsSync(join(made, 'models/tab.onnx'))) {
    throw new Error(
      `no rivals are installed in ${made}: run BENCH_DIR=${made} ${folder}/setup.sh, or set BENCH_DIR to where they are`,
    );
  }
  const listed = spawnSync('python3', [LAUNCH, 'list'], {
    env: { ...process.env, PEERS_DIR: folder },
    encoding: 'utf8',
  });
  if (listed.status !== 0) throw new Error(`the kit's table cannot be read: ${listed.stderr || listed.error?.message}`);
  return { folder, made, rivals: new Map(Object.entries(JSON.parse(listed.stdout) as Record<string, KitRow>)) };
}

/** Starts one rival with one model, all its processes on the given cores, and waits for its first 200. */
export async function startRival(kit: Kit, name: string, model: string, cores: string): Promise<Served> {
  const row = kit.rivals.get(name);
  if (row === undefined) throw new Error(`the kit has no ${name}; it has ${[...kit.rivals.keys()].join(', ')}`);
  const port = await freePorts(PORTS_OF_ONE);
  const began = performance.now();
  const tree = startTree(['python3', LAUNCH, name, model, String(port), String(port + 1)], {
    cores,
    env: { ...process.env, PEERS_DIR: kit.folder, BENCH_DIR: kit.made },
    quiet: true,
  });
  const url = `http://127.0.0.1:${port}${row.path.replace('{model}', model)}`;
  const body = readFileSync(join(kit.made, 'bodies', `${rowsOf(model)}.1.${row.fmt}.json`));
  let last = 'no answer';
  while (performance.now() - began < START_LIMIT_MS) {
    if (tree.child.exitCode !== null) {
      throw new Error(`${name} ended with ${tree.child.exitCode} before it answered:\n${tree.said()}`);
    }
    try {
      const response = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
      const text = await response.text();
      if (response.ok) {
        return {
          name,
          kind: /^b\d/.test(name) ? 'mark' : 'rival',
          note: row.note ?? '',
          tree,
          startMs: performance.now() - began,
          url,
          jsonForm: row.fmt,
          takesBinary: row.bin === true,
          grpc: row.grpc === undefined ? null : { address: `127.0.0.1:${port + 1}`, form: row.grpc },
          stop: () => tree.stop(),
        };
      }
      last = `${response.status} ${text.slice(0, 300)}`;
    } catch (error) {
      last = String((error as Error).cause ?? error);
    }
    await sleep(10);
  }
  await tree.stop();
  throw new Error(`${name} gave no 200 within ${START_LIMIT_MS / 1000} s: ${last}\n${tree.said()}`);
}

/** Whether the kit measures this rival with this model and in this case, by the kit's name of the case. */
export function isMeasured(row: KitRow, model: string, kitCase: string): boolean {
  return (row.models?.includes(model) ?? true) && (row.only?.includes(kitCase) ?? true);
}

/** `mlp` has the inputs of `tab`. */
const rowsOf = (model: string): string => (model === 'mlp' ? 'tab' : model);

export type Bodies = {
  /** One body, or a file of many, each behind its length. */
  readonly path: string;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
};

/** @param form as the kit names forms: `v2`, `rows`, `mlflow`, `bin`, `grpc`, `grpct` */
export function bodiesOf(kit: Kit, model: string, rows: number, form: string): Bodies {
  const plain = form === 'bin' || form === 'grpc' || form === 'grpct';
  const one = join(kit.made, 'bodies', `${rowsOf(model)}.${rows}.${form}${plain ? '' : '.json'}`);
  // gRPC messages name their model, and ghz takes one.
  const path = existsSync(`${one}.pack`) && !form.startsWith('grpc') ? `${one}.pack` : one;
  if (form !== 'bin') return { path, contentType: 'application/json', headers: {} };
  const headerBytes = readFileSync(`${one}.hlen`, 'utf8').trim();
  return {
    path,
    contentType: 'application/octet-stream',
    headers: { 'Inference-Header-Content-Length': headerBytes },
  };
}

/** Versions of what the kit's setup installed, from the environments themselves. */
export function rivalVersions(kit: Kit): Record<string, string> {
  const packages: Readonly<Record<string, readonly string[]>> = {
    pytriton: ['nvidia_pytriton', 'onnxruntime'],
    fastapi: ['fastapi', 'uvicorn', 'orjson'],
    mlserver: ['mlserver'],
    kserve: ['kserve'],
    litserve: ['litserve'],
    mlflow: ['mlflow'],
    bentoml: ['bentoml'],
    torchserve: ['torchserve', 'torch'],
    ray: ['ray'],
  };
  const versions: Record<string, string> = {};
  for (const [environment, names] of Object.entries(packages)) {
    const lib = join(kit.made, 'venv', environment, 'lib');
    if (!existsSync(lib)) continue;
    for (const python of readdirSync(lib)) {
      const site = join(lib, python, 'site-packages');
      if (!existsSync(site) || !statSync(site).isDirectory()) continue;
      for (const entry of readdirSync(site)) {
        const [, name, version] = /^([\w.]+)-([\w.+]+)\.dist-info$/.exec(entry) ?? [];
        if (name !== undefined && names.includes(name.toLowerCase())) versions[name.toLowerCase()] = version!;
      }
    }
  }
  return versions;
}

/** A port with so many free ones behind it. */
async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)));
    if (free.every(Boolean)) return first;
  }
  throw new Error('no range of free ports was found');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}
