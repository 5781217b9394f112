/**
 * The prediction log while processes are killed, and while its disk is full: what was synced is there once, and predictions go on. SLIPWAY_KILLS for
 * more kills; the seed is printed and SLIPWAY_SEED replays it.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { randomNumbers } from '../../src/base/random-numbers.ts';
import { eventually, kill, MODELS, pause, type RunningServer, startServer, untilReady } from './running-server.ts';

const KILLS = Math.min(50, Number(process.env['SLIPWAY_KILLS'] ?? 5));
const SEED = Number(process.env['SLIPWAY_SEED'] ?? Date.now() % 1_000_000);
/** Lines are synced each second. */
const SYNCED_MS = 1500;
let server: RunningServer | null = null;
afterEach(() => server?.dispose());

async function freePort(): Promise<string> {
  const listener = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => listener.once('listening', listening));
  const { port } = listener.address() as { port: number };
  await new Promise((closed) => listener.close(closed));
  return String(port);
}

async function deployLogged({ client }: RunningServer): Promise<void> {
  await client.deploy({ model: 'logged', files: [await fileSource(join(MODELS, 'add.onnx'), 'model.onnx')] });
  await client.policy.set('logged', { sample: 1 });
  await pause(1200); // it holds a second later
}

/** @returns the id of its one row */
async function ask({ client }: RunningServer): Promise<string> {
  const { predictions } = await client.predict('logged', { inputs: { X: [[1, 2, 3]] } });
  return String(predictions[0]!.id);
}

test('killed between a line, its Parquet file and the index, a server loses no row that was synced and doubles none', async () => {
  console.log(`seed ${SEED}`);
  const random = randomNumbers(SEED);
  const env = { SLIPWAY_CONTROL_PORT: await freePort(), SLIPWAY_HTTP_PORT: await freePort() };
  server = await startServer({ env });
  await deployLogged(server);
  const { client, dataDir } = server;
  const safe: string[] = [];
  const unsure: string[] = [];
  for (let round = 0; round < KILLS; round++) {
    const current = server;
    const ids: string[] = [];
    for (let at = 0; at < 60; at++) ids.push(await ask(current));
    await pause(SYNCED_MS);
    safe.push(...ids);
    // A gateway that ends closes its segments; one that is killed leaves them open.
    const [gateway] = current.pids('gateway');
    kill(gateway!, round % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await eventually('another gateway', () => current.pids('gateway').some((pid) => pid !== gateway));
    // To look for all of somebody has everything that is closed taken over: in the middle of that control is killed.
    const looking = client.subjects.erase('nobody', { dryRun: true }).catch(() => null);
    await pause(random() * 250);
    for (const pid of current.pids('control')) kill(pid);
    await looking;
    await eventually(
      'control is back',
      async () => (await client.predictions.list('logged', { limit: 1 }).page()) !== null,
    );
    await untilReady(current, 'logged');
  }
  // And all at once, while predictions are made.
  for (let at = 0; at < 40; at++) unsure.push(await ask(server));
  await server.killTree();
  server = await startServer({ dataDir, env });
  await untilReady(server, 'logged');
  const listed = async (): Promise<string[]> =>
    (await server!.client.predictions.list('logged', { limit: 200 }).all()).map((one) => `${one.id}.${one.row}`);
  for (const _ of ['in lines', 'in Parquet']) {
    const rows = await listed();
    expect(rows.length).toBe(new Set(rows).size);
    expect(safe.filter((id) => !rows.includes(id))).toEqual([]);
    expect(rows.filter((id) => !safe.includes(id) && !unsure.includes(id))).toEqual([]);
    await server.client.subjects.erase('nobody', { dryRun: true });
  }
}, 180_000);

const folder = mkdtempSync(join(tmpdir(), 'slipway-small-log-'));
mkdirSync(join(folder, 'predictions'));
const isMounted =
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', join(folder, 'predictions')]).status === 0;
if (!isMounted) rmSync(folder, { recursive: true, force: true });

test.skipIf(!isMounted)(
  'the disk of the log full: predictions go on, what is dropped is counted and told, and with room it goes on',
  async () => {
    try {
      server = await startServer({ dataDir: folder });
      await deployLogged(server);
      const { url, adminKey } = server;
      const dropped = async (): Promise<number> => {
        const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${adminKey}` } });
        return Number(/^slipway_predictions_dropped_total\{.*reason="disk".*\} (\d+)$/m.exec(await answer.text())?.[1]);
      };
      for (let at = 0; at < 50; at++) expect(await ask(server)).toMatch(/\.0$/);
      await eventually('drops are counted', async () => (await dropped()) >= 50);
      expect(server.output()).toContain('predictions cannot be written and are dropped; answers go on');
      expect(await server.client.predictions.list('logged').all()).toEqual([]);
      spawnSync('mount', ['-o', 'remount,size=1g', join(folder, 'predictions')]);
      await eventually('they are logged again', async () => {
        await ask(server!);
        return (await server!.client.predictions.list('logged').all()).length > 0;
      });
      const log = (): string => readFileSync(join(folder, 'logs/slipway.log'), 'utf8');
      await eventually('it is told', () => log().includes('predictions are written again'));
    } finally {
      await server?.stop();
      spawnSync('umount', ['-l', join(folder, 'predictions')]);
    }
  },
  90_000,
);
