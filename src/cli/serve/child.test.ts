import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ProgramReady } from '../../base/program.ts';
import { type Child, type ChildEnd, superviseChild } from './child.ts';
import { childEnvironment } from './child-environment.ts';

let folder: string;
let child: Child | undefined;
let events: string[];
let output: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-serve-'));
  events = [];
  output = '';
});
afterEach(() => {
  child?.kill();
  rmSync(folder, { recursive: true });
});

/** Supervises a small program that behaves in one way. */
function supervise(program: string, readyWithinMs = 10_000): Child {
  writeFileSync(join(folder, 'program.mjs'), program);
  let starts = 0;
  child = superviseChild({
    row: { name: 'control', title: 'control', args: [], flags: [], readyWithinMs, stopWithinMs: 1000 },
    path: join(folder, 'program.mjs'),
    cwd: folder,
    env: () => childEnvironment(process.env, { SLIPWAY_HTTP_PORT: String(++starts) }),
    onOutput: (lines) => {
      output += lines;
    },
    onErrorText: () => undefined,
    onEvent: (_level, message) => events.push(message),
  });
  return child;
}

async function until(what: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!what()) {
    if (performance.now() > end) throw new Error('it did not happen within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const READY = "process.send({ type: 'ready', url: 'http://127.0.0.1:1', adminKey: 'k' });";
const STAY = "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000);";

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test('gives what the program reports, and its output as whole lines', async () => {
  const ready = await supervise(
    `${STAY} process.stdout.write('{"a":'); setTimeout(() => { console.log('1}'); ${READY} }, 50);`,
  ).started;
  expect(ready as ProgramReady).toMatchObject({ type: 'ready', url: 'http://127.0.0.1:1', adminKey: 'k' });
  await until(() => output !== '');
  expect(output).toBe('{"a":1}\n');
});

test('starts a killed program again at once, and says so', async () => {
  const one = supervise(`${STAY} ${READY} console.log(process.env.SLIPWAY_HTTP_PORT);`);
  await one.started;
  const first = one.pid()!;
  process.kill(first, 'SIGKILL');
  await until(() => output.includes('2\n'));
  expect(one.pid()).not.toBe(first);
  expect(events).toEqual(['control ended (SIGKILL); starting it again in 0.1 s']);
});

test('waits longer each time for one that was ready once and does not get there any more', async () => {
  const one = supervise(
    `if (process.env.SLIPWAY_HTTP_PORT === '1') { ${READY} setTimeout(() => process.exit(3), 50); } else process.exit(3);`,
  );
  await one.started;
  await until(() => events.length >= 3);
  expect(events.slice(0, 3)).toEqual(
    ['0.1', '0.2', '0.4'].map((s) => `control ended (code 3); starting it again in ${s} s`),
  );
});

test('a program that says why it cannot start is not started again', async () => {
  const end = await supervise(
    "process.send({ type: 'fatal', code: 'port_taken', message: 'Port 8082 is taken', hint: 'Stop the other.' }, () => process.exit(4));",
  ).started;
  expect(end as ChildEnd).toEqual({
    kind: 'fatal',
    fatal: { type: 'fatal', code: 'port_taken', message: 'Port 8082 is taken', hint: 'Stop the other.' },
  });
  expect(events).toEqual([]);
});

test('a program that crashes while starting is given up after three attempts', async () => {
  const end = (await supervise("console.error('no such thing'); process.exit(1);").started) as ChildEnd;
  expect(end).toMatchObject({ kind: 'unstartable', attempts: 3 });
  expect(events).toHaveLength(2);
});

test('a program that is never ready is reported as slow', async () => {
  expect(await supervise(STAY, 300).started).toEqual({ kind: 'slow', waitedMs: 300 });
});

test('stops with SIGTERM, and with SIGKILL after the time given', async () => {
  const good = supervise(
    `process.on('SIGTERM', () => { console.log('bye'); process.exit(0); }); setInterval(() => {}, 1000); ${READY}`,
  );
  await good.started;
  await good.stop(5000);
  expect(output).toBe('bye\n');
  expect(events).toEqual([]);

  const deaf = supervise(`process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); ${READY}`);
  await deaf.started;
  const pid = deaf.pid()!;
  await deaf.stop(200);
  expect(isAlive(pid)).toBe(false);
  expect(events).toEqual(['control did not stop within 0.2 s and was killed']);
});

test('what a killed program has started ends with it', async () => {
  const one = supervise(
    `import { spawn } from 'node:child_process';
     const inner = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
     console.log(inner.pid); ${STAY} ${READY}`,
  );
  await one.started;
  await until(() => output.includes('\n'));
  const inner = Number(output);
  expect(isAlive(inner)).toBe(true);
  one.kill();
  await until(() => !isAlive(inner) || readFileSync(`/proc/${inner}/stat`, 'utf8').includes(') Z '));
});

test('a child gets settings and little else, and never the key of the client', () => {
  const env = {
    PATH: '/bin',
    SLIPWAY_DRAIN: '1s',
    SLIPWAY_API_KEY: 'secret',
    SLIPWAY_URL: 'x',
    AWS_SECRET: 'y',
    NODE_OPTIONS: '-r z',
  };
  expect(childEnvironment(env, { SLIPWAY_DATA: '/d', SLIPWAY_DRAIN: '2s' })).toEqual({
    PATH: '/bin',
    SLIPWAY_DRAIN: '2s',
    SLIPWAY_DATA: '/d',
  });
});
