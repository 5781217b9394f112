/** The loop on real databases: a controller that dies around any of its writes, one that starts again, harm that does not wait for the second. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { eachDialect } from '../../test/fixtures/databases.ts';
import { type RolloutControl, startRolloutControl } from '../../test/fixtures/rollout-control.ts';
import type { Database } from '../base/db/database.ts';
import { ENDED, type PhaseKind } from './rollout.ts';
import type { Rollouts } from './rollouts.ts';

const CANARY = `
stages:
  - kind: canary
    weights: [20%, 50%]
    minDwell: 2s
    minExposures: 50
    gates: [{ kind: rate-ratio, passMargin: 4, passBelow: 20% }, { kind: ceiling, consecutiveErrors: 20 }]
  - { kind: promote, soak: 2s, keepWarm: 5s }
`;
const WELL = { answered: 200, failed: 0 };
const HARM = { answered: 0, failed: 200 };

let control: RolloutControl | null = null;
afterEach(async () => {
  await control?.close();
  control = null;
});
async function setUp(database: Database): Promise<RolloutControl> {
  control = await startRolloutControl(database);
  control.knobs.calls = () => WELL;
  return control;
}

class Killed extends Error {}

/** The database as a controller sees it that dies at one of its transactions: before that is committed, or right after. */
function dying(database: Database, at: number, moment: 'before' | 'after'): Database & { readonly writes: number } {
  let writes = 0;
  return {
    ...database,
    get writes() {
      return writes;
    },
    async transaction(work) {
      writes += 1;
      if (writes > at) throw new Killed(); // it is dead
      const isLast = writes === at;
      const result = await database.transaction(async (tx) => {
        const done = await work(tx);
        if (isLast && moment === 'before') throw new Killed();
        return done;
      });
      if (isLast) throw new Killed();
      return result;
    },
  };
}

const versionsOf = (from: number): { from: number; to: number } => ({ from, to: 3 - from });

/** Steps a rollout to its end, by this controller until it is dead and by others after it. @returns how many writes the first one made */
async function runWith(of: RolloutControl, killAt: number, moment: 'before' | 'after'): Promise<number> {
  const { service, call, tick, controller, intents, phase, database } = of;
  await service.start(call, 'adder', { to: String(versionsOf((await of.spec()).targetVersion!).to), plan: CANARY });
  const first = dying(database, killAt, moment);
  let by: Rollouts = controller(intents, first);
  let isDead = false;
  for (let second = 0; second < 60 && !ENDED.includes((await phase()) as PhaseKind); second++) {
    await tick(1, by);
    if (isDead || first.writes < killAt) continue;
    isDead = true;
    by = controller(intents);
  }
  return first.writes;
}

eachDialect('the loop', ({ name, open }) => {
  test.each([
    ['a healthy version', 'completed', () => WELL],
    ['one that does harm', 'rolled-back', (version: number, to: number) => (version === to ? HARM : WELL)],
  ] as const)(
    'killed before and after each of its writes, it resumes right: %s',
    async (_title, end, calls) => {
      const of = await setUp(await open());
      const { service, call, phase, spec, knobs } = of;
      const one = async (killAt: number, moment: 'before' | 'after'): Promise<number> => {
        const { from, to } = versionsOf((await spec()).targetVersion!);
        knobs.calls = (version) => calls(version, to);
        const writes = await runWith(of, killAt, moment);
        const told = `killed ${moment} write ${killAt}`;
        expect(await phase(), told).toBe(end);
        expect(await spec(), told).toMatchObject({
          targetVersion: end === 'completed' ? to : from,
          traffic: { split: null, shadows: [] },
        });
        // every revision once and in order: nothing was done twice, and nothing without a record
        const { records } = await service.get(call, 'adder');
        expect(
          records.map((record) => record.revision),
          told,
        ).toEqual(records.map((_, at) => at + 2));
        const [last] = await service.history(call, 'adder', { before: null, limit: 1 });
        expect(last!.live?.target?.version, told).toBe((await spec()).targetVersion);
        return writes;
      };
      const all = await one(Number.POSITIVE_INFINITY, 'after');
      expect(all).toBeGreaterThan(end === 'completed' ? 10 : 5);
      // on the slower database every second one
      for (let at = 1; at <= all; at += name === 'sqlite' ? 1 : 2)
        for (const moment of ['before', 'after'] as const) await one(at, moment);
    },
    120_000,
  );

  test('two controllers that step at the same time: each transition is taken once, and harm ends it', async () => {
    const { service, call, tick, controller, intents, phase, knobs, spec } = await setUp(await open());
    const other = controller(intents);
    await service.start(call, 'adder', { to: '2', plan: CANARY });
    for (let i = 0; i < 4; i++) await Promise.all([tick(), tick(1, other)]);
    knobs.calls = (version) => (version === 2 ? HARM : WELL);
    for (let i = 0; i < 6; i++) await Promise.all([tick(), tick(1, other)]);
    expect(await phase()).toBe('rolled-back');
    expect(await spec()).toMatchObject({ targetVersion: 1, traffic: { split: null } });
    const { records } = await service.get(call, 'adder');
    expect(records.map((one) => one.revision)).toEqual(records.map((_, at) => at + 2));
    expect(records.filter((one) => one.to === 'rolling-back')).toHaveLength(1);
  });

  test('evidence of a gateway that is gone outlives the controller that took it', async () => {
    const { service, call, tick, loop, controller, intents, knobs, phase } = await setUp(await open());
    await service.start(call, 'adder', { to: '2', plan: CANARY.replace('minDwell: 2s', 'minDwell: 1h') });
    await tick(12);
    expect(await phase()).toBe('baking');
    const id = (await service.get(call, 'adder')).rollout.id;
    const before = loop.evidence(id)!.arms['canary']!.answered;
    expect(before).toBeGreaterThan(100);
    knobs.calls = null;
    const next = controller(intents);
    await tick(1, next);
    // what came after the last writing is lost, five seconds at most
    expect(next.loop.evidence(id)!.arms['canary']!.answered).toBeGreaterThanOrEqual(before - 5 * WELL.answered);
    await tick(30, next);
    expect(await phase()).toBe('baking');
    expect(next.loop.latest(id)!.readings.find((one) => one.kind === 'rate-ratio')!.evidence).toBeGreaterThan(100);
  });

  test('failures are judged when they are told of, not when the second is over', async () => {
    const of = await setUp(await open());
    const { service, call, tick, loop, takeEvidence, count, knobs, phase, spec } = of;
    await service.start(call, 'adder', { to: '2', plan: CANARY });
    await tick(4);
    expect(await phase()).toBe('baking');
    loop.start();
    try {
      await pause(100); // the round of the start
      knobs.calls = (version) => (version === 2 ? HARM : WELL);
      takeEvidence({ reports: [await count()] });
      const fromMs = performance.now();
      while ((await spec()).traffic!.split !== null && performance.now() - fromMs < 800) await pause(5);
      expect(performance.now() - fromMs).toBeLessThan(800); // the next round by the clock comes later than that
      expect((await spec()).traffic).toMatchObject({ split: null });
    } finally {
      await loop.stop();
    }
  });

  test('an outside metric that was asked for when control died is asked for again', async () => {
    let asked = 0;
    const outside = createServer((_request, response) => {
      asked += 1;
      if (asked > 1) response.end('{"value": 9}'); // the first is never answered
    });
    await new Promise<void>((done) => outside.listen(0, '127.0.0.1', done));
    const host = `127.0.0.1:${(outside.address() as AddressInfo).port}`;
    try {
      control = await startRolloutControl(await open(), { externalHosts: [host] });
      const { service, call, tick, controller, intents, phase } = control;
      const gate = `{ kind: external, name: revenue, webhook: { url: 'http://${host}/' }, every: 1m, timeout: 30s, failBelow: 5, passAfter: 1 }`;
      await service.start(call, 'adder', {
        to: '2',
        plan: `stages: [{ kind: blue-green, gates: [${gate}] }, { kind: promote, soak: 0s, gates: [] }]`,
      });
      const until = async (holds: () => boolean | Promise<boolean>, by?: Rollouts): Promise<void> => {
        for (let round = 0; round < 20 && !(await holds()); round++) {
          await tick(1, by);
          await pause(20);
        }
        expect(await holds()).toBe(true);
      };
      await until(() => asked === 1);
      await tick(5);
      expect([asked, await phase()]).toEqual([1, 'baking']);
      const next = controller(intents);
      await until(async () => (await phase()) === 'completed', next);
      expect(asked).toBe(2);
      const { records } = await service.get(call, 'adder');
      expect(records.find((one) => one.to === 'promoting')!.reason).toContain('revenue is 9, within its limits');
    } finally {
      outside.closeAllConnections();
      await new Promise((done) => outside.close(done));
    }
  });

  test('a rollout whose endpoint is gone is over, and the others go on', async () => {
    const { service, call, tick, database, loop } = await setUp(await open());
    const { rollout } = await service.start(call, 'adder', { to: '2', plan: CANARY });
    await tick(3);
    await database.db.deleteFrom('endpoints').execute();
    await loop.round();
    expect(loop.latest(rollout!.id)).toBeNull();
    const row = await database.db.selectFrom('rollouts').select(['active', 'ended_at']).executeTakeFirstOrThrow();
    expect(row).toMatchObject({ active: 0, ended_at: expect.any(String) });
  });
});
