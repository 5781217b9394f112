/** A gateway on its own: it serves from its file, takes new states from whoever plays control, and loses no call on the way. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  add,
  end,
  json,
  makeDataDir,
  makeState,
  playControl,
  type StateChoice,
  serve,
  startGateway,
  tensor,
  waitReady,
  writeState,
} from '../../../test/fixtures/gateway.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanUps.splice(0).reverse()) await one();
});
const later = <T>(value: T, cleanUp: (value: T) => unknown): T => {
  cleanUps.push(() => cleanUp(value));
  return value;
};

const ROW = '{"records":[{"X":[1,2,3]}]}';
const predict = (gateway: { url: string }, path = '/endpoints/add/predict') => fetch(gateway.url + path, json(ROW));
const versionOf = async (gateway: { url: string }, path?: string): Promise<string> => {
  const response = await predict(gateway, path);
  await response.text();
  return response.ok ? response.headers.get('x-slipway-version')! : String(response.status);
};
async function until(check: () => boolean | Promise<boolean>, what: string, ms = 25_000): Promise<void> {
  const endMs = performance.now() + ms;
  while (!(await check())) {
    if (performance.now() > endMs) throw new Error(`it never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ONE: StateChoice = { versions: [add()] };
const TWO: StateChoice = {
  generation: 2,
  versions: [add({ version: 2, file: 'add-two.onnx', model: 'add' })],
  endpoints: [{ name: 'add', version: 2 }],
};

async function withControl(choice: StateChoice) {
  const dataDir = makeDataDir();
  const control = later(await playControl(dataDir), (one) => one.close());
  writeState(dataDir, makeState(dataDir, choice));
  const gateway = later(await startGateway(dataDir), end);
  await control.connected();
  return { dataDir, control, gateway };
}

describe('without any control', () => {
  it('serves from the file that it kept, and again after it was killed', async () => {
    const first = await serve(ONE);
    expect(await versionOf(first)).toBe('1');
    await first.stop('SIGKILL');
    const second = later(await startGateway(first.dataDir), end);
    expect(await versionOf(second)).toBe('1');
    expect(readdirSync(join(second.dataDir, 'run/runners'))).toHaveLength(1); // the folders of the killed one are gone
  });

  it('without a file it listens, says why it is not ready, and that it lives', async () => {
    const gateway = later(await startGateway(makeDataDir(), { ready: false }), end);
    const ready = await fetch(`${gateway.url}/v2/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { error: expect.stringContaining('has not been told what to serve') },
    ]);
    expect(ready.headers.get('retry-after')).toBe('1');
    expect((await fetch(`${gateway.url}/v2/health/live`)).status).toBe(200);
    expect((await predict(gateway)).status).toBe(503); // it cannot say 404 or 401 before it knows
  });

  it.each([
    ['that is cut short', '{"schema":1,"gener', 'it is not JSON'],
    ['of a newer release', JSON.stringify({ schema: 2, generation: 9 }), 'form 2'],
    ['without its parts', JSON.stringify({ schema: 1, generation: 9 }), 'a part of it is missing'],
  ])('a file %s is set aside and said, not overwritten', async (_title, text, said) => {
    const dataDir = makeDataDir();
    writeState(dataDir, text);
    const gateway = later(await startGateway(dataDir, { ready: false }), end);
    expect(gateway.log()).toContain(said);
    const aside = readdirSync(join(dataDir, 'run')).filter((name) => name.endsWith('.unusable'));
    expect(aside.map((name) => readFileSync(join(dataDir, 'run', name), 'utf8'))).toEqual([text]);
    expect(existsSync(join(dataDir, 'run/desired-state.json'))).toBe(false);
  });

  it('a version whose bytes were altered is never served; the others are', async () => {
    const dataDir = makeDataDir();
    const state = makeState(dataDir, { versions: [add(), add({ model: 'other', file: 'add-two.onnx' })] });
    const hex = state.versions[1]!.digest.slice(7);
    const blob = join(dataDir, 'artifacts/p1/sha256', hex.slice(0, 2), hex);
    const bytes = readFileSync(blob);
    bytes[bytes.length - 20]! ^= 1;
    writeFileSync(blob, bytes);
    writeState(dataDir, state);
    const gateway = later(await startGateway(dataDir), end);
    expect(await versionOf(gateway)).toBe('1');
    const response = await predict(gateway, '/endpoints/other/predict');
    expect([response.status, await response.json()]).toEqual([
      503,
      expect.objectContaining({ code: 'not_ready', retryable: true }),
    ]);
    expect(response.headers.get('retry-after')).toBe('1');
    expect((await fetch(`${gateway.url}/v2/models/other/ready`)).status).toBe(503);
  });

  it('a sample request that the version cannot take makes it fail with the reason', async () => {
    const gateway = later(
      await serve({ versions: [add({ sampleRequest: { records: [{ Y: 1 }] } })] }, { ready: false }),
      end,
    );
    await until(async () => (await fetch(`${gateway.url}/v2/health/ready`)).status === 503, 'not ready');
    const response = await predict(gateway);
    expect(await response.text()).toContain('It cannot be started: add@1: /records/0/X is missing');
  });
});

describe('many versions', () => {
  it('R-18: 30 endpoints load a few at a time; one that is broken says so and the rest serve', async () => {
    const models = Array.from({ length: 30 }, (_, i) => `m${i}`);
    const versions = models.map((model, i) => add({ model, file: i === 7 ? 'truncated.onnx' : 'add.onnx' }));
    const gateway = later(await serve({ versions }, { ready: false }), end);
    const waiting = await predict(gateway, '/endpoints/m29/predict');
    expect([waiting.status, await waiting.text()]).toEqual([503, expect.stringContaining('waits for its turn')]);
    await waitReady(gateway, '/v2/health/ready', 120_000);
    for (const model of models)
      expect(await versionOf(gateway, `/endpoints/${model}/predict`)).toBe(model === 'm7' ? '503' : '1');
  }, 150_000);
});

describe('with control', () => {
  it('says hello, what it observes, and what it counts', async () => {
    const { control, gateway } = await withControl(ONE);
    expect(control.heard.hellos).toEqual([expect.objectContaining({ generation: 1, httpUrl: gateway.url })]);
    await until(() => control.heard.observed?.versions[0]?.state === 'ready', 'ready');
    expect(control.heard.observed).toMatchObject({
      httpUrl: gateway.url,
      generation: 1,
      endpoints: [{ project: 'default', name: 'add', servingVersion: 1, ready: true, reason: null }],
      versions: [
        { project: 'default', model: 'add', version: 1, state: 'ready', reason: null, restarts: 0, waiting: 0 },
      ],
    });
    expect(control.heard.observed!.versions[0]!.memoryBytes).toBeGreaterThan(10_000_000);
    await versionOf(gateway);
    await until(
      () =>
        control.heard.metrics.includes(
          'slipway_requests_total{project="default",endpoint="add",version="1",status="200"} 1',
        ),
      'the count',
    );
    expect(control.heard.metrics).toMatch(/slipway_version_ready\{project="default",model="add",version="1"\} 1/);
    for (const line of control.heard.metrics.trim().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{[^{}]*\})? (\+Inf|[\d.e+-]+))$/);
  });

  it('a new state is kept on disk, so that it is served after a restart without control', async () => {
    const { dataDir, control, gateway } = await withControl(ONE);
    control.send(makeState(dataDir, TWO));
    await until(async () => (await versionOf(gateway)) === '2', 'version 2');
    const kept = (): number =>
      (JSON.parse(readFileSync(join(dataDir, 'run/desired-state.json'), 'utf8')) as { generation: number }).generation;
    await until(() => kept() === 2, 'generation 2 on disk');
    await control.close();
    expect(await versionOf(gateway)).toBe('2');
    await gateway.stop('SIGKILL');
    const again = later(await startGateway(dataDir), end);
    expect(await versionOf(again)).toBe('2');
  });

  it('a state that is older, of another form or no state at all changes nothing', async () => {
    const { dataDir, control, gateway } = await withControl({ ...TWO, generation: 7 });
    control.send(makeState(dataDir, { ...ONE, generation: 6 }));
    control.send({ ...makeState(dataDir, { ...ONE, generation: 8 }), schema: 2 });
    control.send('nonsense');
    await until(() => gateway.log().includes('cannot be used'), 'the refusal');
    expect(await versionOf(gateway)).toBe('2');
  });

  it('finds control again when it comes back', async () => {
    const { dataDir, control, gateway } = await withControl(ONE);
    await control.close();
    await until(() => gateway.log().includes('control is gone'), 'the loss');
    const next = later(await playControl(dataDir), (one) => one.close());
    await next.connected();
    next.send(makeState(dataDir, TWO));
    await until(async () => (await versionOf(gateway)) === '2', 'version 2');
  });

  it('an endpoint that is removed is gone, one that is added comes when it is ready', async () => {
    const { dataDir, control, gateway } = await withControl(ONE);
    const other = add({ model: 'other', file: 'add-two.onnx' });
    control.send(makeState(dataDir, { generation: 2, versions: [add(), other], endpoints: [{ name: 'other' }] }));
    await until(async () => (await versionOf(gateway)) === '404', 'the end of add');
    await until(async () => (await versionOf(gateway, '/endpoints/other/predict')) === '1', 'other');
    expect((await fetch(`${gateway.url}/v2/health/ready`)).status).toBe(200);
  });

  it('a version that cannot be loaded leaves the old one serving, and is reported', async () => {
    const { dataDir, control, gateway } = await withControl(ONE);
    control.send(makeState(dataDir, { ...TWO, versions: [add({ version: 2, file: 'truncated.onnx', model: 'add' })] }));
    await until(
      () => control.heard.observed?.versions.some((one) => one.version === 2 && one.state === 'failed') ?? false,
      'the failure',
    );
    expect(control.heard.observed!.endpoints).toEqual([
      expect.objectContaining({ servingVersion: 1, ready: true, reason: expect.stringMatching(/./) }),
    ]);
    expect(await versionOf(gateway)).toBe('1');
    expect(await (await fetch(`${gateway.url}/endpoints/add`)).json()).toMatchObject({
      version: 1,
      ready: true,
      reason: null,
      pending: expect.stringMatching(/^Version 2 is to answer next: .* Version 1 answers until then\.$/),
    });
    expect((await predict(gateway, '/endpoints/add@2/predict')).status).toBe(503);
  });

  it('changed limits take effect with a new runner, without a gap', async () => {
    const { dataDir, control, gateway } = await withControl(ONE);
    let failed = 0;
    let running = true;
    const load = (async () => {
      while (running) if ((await versionOf(gateway)) !== '1') failed++;
    })();
    control.send(makeState(dataDir, { generation: 2, versions: [add({ limits: { queueLimit: 3 } })] }));
    await until(() => gateway.log().split('"state":"draining"').length > 1, 'the old one to end');
    running = false;
    await load;
    expect(failed).toBe(0);
  });
});

describe('hot swap', () => {
  it('R-11: 30 switches under load: no call fails, each is answered by the version that it names', async () => {
    const { dataDir, control, gateway } = await withControl(ONE);
    let running = true;
    const wrong: string[] = [];
    const seen = new Map<string, number>();
    const client = async (): Promise<void> => {
      while (running) {
        const response = await predict(gateway);
        const text = await response.text();
        const version = response.headers.get('x-slipway-version')!;
        seen.set(version, (seen.get(version) ?? 0) + 1);
        const golden = version.endsWith('2') ? '"Y":[3,4,5]' : '"Y":[2,3,4]';
        if (response.status !== 200 || !text.includes(golden) || !text.includes(`"version":${version},`))
          wrong.push(`${response.status} ${version} ${text}`);
      }
    };
    const clients = Array.from({ length: 8 }, client);
    for (let swap = 1; swap <= 30; swap++) {
      // Odd versions add 1, even ones (written as n2) add 2.
      const version = swap * 10 + (swap % 2 === 0 ? 1 : 2);
      const file = swap % 2 === 0 ? 'add.onnx' : 'add-two.onnx';
      control.send(
        makeState(dataDir, {
          generation: swap + 1,
          versions: [add({ version, file, model: 'add' })],
          endpoints: [{ name: 'add', version }],
        }),
      );
      await until(async () => (await versionOf(gateway)) === String(version), `version ${version}`);
    }
    running = false;
    await Promise.all(clients);
    expect(wrong).toEqual([]);
    expect(seen.size).toBeGreaterThan(25);
    await until(() => readdirSync(join(dataDir, 'run/runners')).length === 1, 'the old runners to end');
  }, 120_000);

  it('calls under way are answered by the old version after the switch', async () => {
    const slow = {
      model: 'slow',
      file: 'slow.onnx',
      signature: {
        inputs: [tensor('X', 'FP32', -1, 1), tensor('rounds', 'INT64', -1, 1)],
        outputs: [tensor('Y', 'FP32', -1, 1)],
      },
      sampleRequest: { records: [{ X: 1, rounds: 1 }] },
    };
    const { dataDir, control, gateway } = await withControl({ versions: [slow] });
    const call = fetch(`${gateway.url}/endpoints/slow/predict`, json({ records: [{ X: 1, rounds: 2_000_000 }] }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    control.send(
      makeState(dataDir, {
        generation: 2,
        versions: [{ ...slow, version: 2, digest: `sha256:${'0'.repeat(64)}` }],
        endpoints: [{ name: 'slow', version: 2 }],
      }),
    );
    const removed = makeState(dataDir, { generation: 3, versions: [] });
    control.send(removed);
    await until(async () => (await fetch(`${gateway.url}/endpoints/slow`)).status === 404, 'the removal');
    const response = await call;
    expect([response.status, response.headers.get('x-slipway-version')]).toEqual([200, '1']);
    expect(await response.json()).toMatchObject({ predictions: [{ Y: 2_000_001 }] });
  });
});

function parentOf(pid: string): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[1]);
  } catch {
    return null; // no process, or gone meanwhile
  }
}

describe('a runner that dies', () => {
  it('R-16: the call in it fails with 503 and Retry-After, the others wait and are answered', async () => {
    const { control, gateway } = await withControl(ONE);
    await until(() => control.heard.observed?.versions[0]?.state === 'ready', 'ready');
    const runner = readdirSync('/proc').find((pid) => parentOf(pid) === gateway.child.pid);
    process.kill(Number(runner), 'SIGKILL');
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await predict(gateway)).status));
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(0);
    await until(
      () => control.heard.observed?.versions[0]?.restarts === 1 && control.heard.observed.versions[0].state === 'ready',
      'the restart',
    );
    expect(await versionOf(gateway)).toBe('1');
  });
});

describe('the end', () => {
  it('R-14: SIGTERM: not ready at once, what is under way is answered and connections close, exit 0', async () => {
    const slow = {
      model: 'slow',
      file: 'slow.onnx',
      signature: {
        inputs: [tensor('X', 'FP32', -1, 1), tensor('rounds', 'INT64', -1, 1)],
        outputs: [tensor('Y', 'FP32', -1, 1)],
      },
      sampleRequest: { records: [{ X: 1, rounds: 1 }] },
    };
    const gateway = later(await serve({ versions: [slow, add()] }, { env: { SLIPWAY_DRAIN: '20s' } }), end);
    const call = fetch(`${gateway.url}/endpoints/slow/predict`, json({ records: [{ X: 1, rounds: 1_500_000 }] }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const exit = gateway.stop('SIGTERM');
    // The signal takes its time to arrive; the first answer of an ending gateway is this one.
    let ready = await fetch(`${gateway.url}/v2/health/ready`);
    for (; ready.ok; ready = await fetch(`${gateway.url}/v2/health/ready`)) await ready.text();
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('shutting down')]);
    expect(ready.headers.get('connection')).toBe('close');
    expect(await versionOf(gateway)).toBe('1'); // still accepting while it drains
    const response = await call;
    expect([response.status, response.headers.get('connection')]).toEqual([200, 'close']);
    expect(await exit).toBe(0);
  });

  it('ends by itself when the process that started it is gone; SIGINT alone is the supervisor’s business', async () => {
    const gateway = later(await serve(ONE), end);
    gateway.child.kill('SIGINT');
    expect(await versionOf(gateway)).toBe('1');
    gateway.child.disconnect();
    await until(() => gateway.child.exitCode !== null, 'the exit');
    expect(gateway.child.exitCode).toBe(0);
  });

  it('a port that stays taken ends it with code 4 and says which, one that becomes free is taken', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const port = String((holder.address() as { port: number }).port);
    const dataDir = later(makeDataDir(), (one) => rmSync(one, { recursive: true, force: true }));
    const failed = await startGateway(dataDir, { env: { SLIPWAY_HTTP_PORT: port }, ready: false }).catch(
      (error: unknown) => error,
    );
    expect(failed).toMatchObject({ code: 'port_taken', message: expect.stringContaining(port) });
    expect(await (failed as { exited: Promise<number> }).exited).toBe(4);
    setTimeout(() => holder.close(), 500);
    const gateway = later(await startGateway(makeDataDir(), { env: { SLIPWAY_HTTP_PORT: port }, ready: false }), end);
    expect(gateway.url).toBe(`http://127.0.0.1:${port}`);
    await waitReady(gateway, '/v2/health/live');
  });

  it('a public address without keys never listens', async () => {
    const dataDir = later(makeDataDir(), (one) => rmSync(one, { recursive: true, force: true }));
    const failed = await startGateway(dataDir, { env: { SLIPWAY_HOST: '0.0.0.0' }, ready: false }).catch(
      (error: unknown) => error,
    );
    expect(failed).toMatchObject({ code: 'unsafe_bind' });
  });
});
