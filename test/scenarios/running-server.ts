/** Starts the whole product as a user does, and looks at it from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Client, createClient } from '../../sdk/src/client.ts';

export const ROOT = resolve(import.meta.dirname, '../..');
export const MODELS = join(ROOT, 'test/fixtures/models');

export type Role = 'serve' | 'control' | 'gateway' | 'runner';

export type RunningServer = {
  readonly dataDir: string;
  /** Base URL of the management API and of inference; they may change when the server is started again. */
  readonly url: string;
  readonly inferenceUrl: string;
  /** `host:port` */
  readonly grpcAddress: string;
  /** Where one protocol is spoken alone, by its name. */
  readonly protocolUrls: Readonly<Record<string, string>>;
  readonly adminKey: string;
  readonly client: Client;
  /** Process ids by role, as the operating system sees them now. */
  pids(role: Role): number[];
  /** Everything it wrote to its terminal so far. */
  output(): string;
  /** SIGTERM and wait; gives the exit code. Keeps the data folder. */
  stop(): Promise<number | null>;
  /** SIGKILL to the whole tree at once. */
  killTree(): Promise<void>;
  /** Stops it if it still runs, and removes the data folder. */
  dispose(): Promise<void>;
};

export type StartOptions = {
  readonly dataDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Whether it deploys the sample model, as `npm start` does. */
  readonly sample?: boolean;
  /** Whether it is started with the one word `serve`, as a platform starts containers, and with the ports that it then takes. */
  readonly contained?: boolean;
};

const START_TIMEOUT_MS = 30_000;

export async function startServer(options: StartOptions = {}): Promise<RunningServer> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'slipway-scenario-'));
  const serverFile = join(dataDir, 'run/server.json');
  rmSync(serverFile, { force: true });
  let output = '';
  const child: ChildProcess = spawn(
    join(ROOT, 'bin/slipway'),
    ['serve', ...(options.sample || options.contained ? [] : ['--no-sample']), ...(options.args ?? [])],
    {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        SLIPWAY_DATA: dataDir,
        ...(options.contained ? {} : { SLIPWAY_HTTP_PORT: '0', SLIPWAY_GRPC_PORT: '0' }),
        SLIPWAY_CONTROL_PORT: '0',
        SLIPWAY_DRAIN: '300ms',
        SLIPWAY_GATEWAYS: process.env['SLIPWAY_TEST_GATEWAYS'] ?? '1',
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  const exited = new Promise<number | null>((done) => child.once('close', (code) => done(code)));
  const running = (): boolean => child.exitCode === null && child.signalCode === null;

  const until = Date.now() + START_TIMEOUT_MS;
  while (!existsSync(serverFile)) {
    if (!running()) throw new Error(`the server ended with ${child.exitCode ?? child.signalCode}:\n${output}`);
    if (Date.now() > until) throw new Error(`the server did not start in time:\n${output}`);
    await pause(20);
  }
  const file = JSON.parse(readFileSync(serverFile, 'utf8')) as {
    url: string;
    inferenceUrl: string;
    grpcAddress: string;
    protocolUrls: Record<string, string>;
  };
  if (options.sample) await eventually('the announcement', () => /curl /.test(output));
  const adminKey = readFileSync(join(dataDir, 'admin.key'), 'utf8').trim();
  const server: RunningServer = {
    dataDir,
    url: file.url,
    inferenceUrl: file.inferenceUrl,
    grpcAddress: file.grpcAddress,
    protocolUrls: file.protocolUrls,
    adminKey,
    client: createClient({ url: file.url, apiKey: adminKey, inferenceUrl: file.inferenceUrl }),
    pids: (role) => processesOf(child.pid ?? -1, role),
    output: () => output,
    async stop() {
      if (running()) child.kill('SIGTERM');
      return exited;
    },
    async killTree() {
      const all = (['runner', 'gateway', 'control', 'serve'] as const).flatMap((role) => server.pids(role));
      for (const pid of all) kill(pid);
      await exited;
    },
    async dispose() {
      if (running()) await server.killTree();
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
  return server;
}

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it ended by itself meanwhile
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** Waits until `probe` gives something other than false, null or undefined; errors count as not yet. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = 15_000,
): Promise<T> {
  const until = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await probe();
      if (seen !== false && seen !== null && seen !== undefined) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() > until) throw new Error(`${what}: not within ${timeoutMs} ms; last seen: ${String(last)}`);
    await pause(20);
  }
}

/** Asks the endpoint's status until it is ready. */
export async function untilReady(
  server: Pick<RunningServer, 'client'>,
  endpoint: string,
  version?: number,
): Promise<void> {
  await eventually(`endpoint ${endpoint} ready`, async () => {
    const { status } = await server.client.endpoints.show(endpoint);
    return status.state === 'ready' && (version === undefined || status.servingVersion === version);
  });
}

function processesOf(rootPid: number, role: Role): number[] {
  const parents = new Map<number, number>();
  const commands = new Map<number, string>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (state === 'Z') continue;
      parents.set(Number(name), Number(parent));
      commands.set(Number(name), readFileSync(`/proc/${name}/cmdline`, 'utf8'));
    } catch {
      // it ended while we looked
    }
  }
  const isBelow = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at))
      if (at === rootPid) return true;
    return false;
  };
  const file = role === 'serve' ? 'cli.ts' : `${role}.ts`;
  return [...commands].filter(([pid, command]) => command.includes(`src/${file}`) && isBelow(pid)).map(([pid]) => pid);
}
