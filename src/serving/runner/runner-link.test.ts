/** The parent's end against a hostile runner: the test holds the other end of the line and says what no runner says. */
import { type Duplex, duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { floats, ROWS_OF_3, row } from '../../../test/fixtures/runner-specs.ts';
import { createCallQueue } from './call-queue.ts';
import { createFrameReader } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { FRAME, frameTensors } from './frames.ts';
import type { RunNote } from './run-diary.ts';
import { createRunnerLink } from './runner-link.ts';

function open({ maxBatchRows = 4 } = {}) {
  const [ours, theirs] = duplexPair();
  const seen = { violations: [] as string[], ready: 0, failed: 0, frames: [] as { kind: number; id: number }[] };
  let note: RunNote | null = null;
  const link = createRunnerLink({
    socket: ours as Duplex,
    signature: ROWS_OF_3,
    canBatch: true,
    maxBatchRows,
    maxDelayMs: 0,
    runTimeoutMs: 1000,
    readNote: () => note,
    onStep: () => {},
    onReady: () => seen.ready++,
    onFailed: () => seen.failed++,
    onAnswer: () => {},
    onViolation: (what) => seen.violations.push(what),
  });
  const reader = createFrameReader((kind, source, at) => seen.frames.push({ kind, id: source.u32[(at >>> 2) + 2]! }));
  theirs.on('data', (chunk: Buffer) => reader.push(chunk));
  const queue = createCallQueue({ limit: 100, retryAfterS: 1 });
  link.serve(queue);
  const answers: string[] = [];
  const call = (name: string, timeoutMs = 10_000) =>
    queue.add(row(1), 1, { timeoutMs }, (error, outputs) =>
      answers.push(`${name}: ${error?.code ?? String(outputs![0]!.data[0])}`),
    );
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await turn();
  };
  const say = async (write: (writer: FrameWriter) => void): Promise<void> => {
    const writer = new FrameWriter();
    write(writer);
    theirs.write(writer.written());
    await settle();
  };
  const ids = (kind: number): number[] => seen.frames.filter((frame) => frame.kind === kind).map((frame) => frame.id);
  return { link, queue, seen, answers, call, say, settle, ids, theirs, setNote: (next: RunNote) => (note = next) };
}

const OUT = frameTensors(ROWS_OF_3.outputs);
const answer =
  (id: number, value = 2) =>
  (writer: FrameWriter) =>
    writer.result(id, 1, 0.1, [floats('Y', [1, 3], value, value, value)], OUT);

const both = (a: number, b: number) => (writer: FrameWriter) => {
  answer(a)(writer);
  answer(b)(writer);
};

test('at most two sendings are under way, the rest waits in order', async () => {
  const { link, queue, call, settle, ids, say, answers } = open({ maxBatchRows: 3 });
  for (let i = 1; i <= 10; i++) call(`c${i}`);
  await settle();
  expect(ids(FRAME.infer)).toEqual([1, 2, 3, 4, 5, 6]);
  expect([queue.size, link.outstanding]).toEqual([4, 6]);
  await say(both(1, 2));
  expect(ids(FRAME.infer)).toHaveLength(6); // the first sending is not done
  await say(answer(3));
  expect(ids(FRAME.infer)).toHaveLength(9);
  expect(answers).toEqual(['c1: 2', 'c2: 2', 'c3: 2']);
});

test('an answer to a call that was cancelled, or that expired, is thrown away', async () => {
  const { call, settle, say, answers, ids, seen, link } = open();
  const gone = call('gone');
  call('late', 5);
  await settle();
  gone.cancel();
  link.check(performance.now() + 50);
  await settle();
  expect(ids(FRAME.cancel)).toEqual([1, 2]);
  await say(both(1, 2));
  expect(answers).toEqual(['late: deadline_exceeded']);
  expect([seen.violations, link.outstanding]).toEqual([[], 0]);
});

test.each<[string, (writer: FrameWriter) => void]>([
  ['an answer to a call it does not have', answer(77)],
  ['two answers to one call', both(1, 1)],
  ['a fault for a call it does not have', (writer) => writer.json(FRAME.fault, 77, { message: 'x' })],
  [
    'an answer of another type',
    (writer) =>
      writer.result(
        1,
        1,
        0,
        [{ name: 'Y', datatype: 'FP64', shape: [1], data: new Float64Array(1) }],
        frameTensors([{ name: 'Y', datatype: 'FP64', shape: [1] }]),
      ),
  ],
  ['an answer without outputs', (writer) => writer.result(1, 1, 0, [], [])],
  ['a call of its own', (writer) => writer.infer(1, 1, 0, row(1), frameTensors(ROWS_OF_3.inputs))],
  ['a fault that is null', (writer) => writer.json(FRAME.fault, 1, null)],
  ['a step that is a number', (writer) => writer.json(FRAME.step, 0, 7)],
])('%s is a violation, and the call under way hears of it or stays for its end', async (_, lie) => {
  const { call, settle, say, seen, link, answers } = open();
  call('c');
  await settle();
  await say(lie);
  expect(seen.violations).toHaveLength(1);
  const { running, unstarted } = link.end();
  expect(running.length + unstarted.length + answers.length).toBe(1);
});

test('any noise is a violation or nothing, and never anything else', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 5 }),
      async (chunks) => {
        const { call, settle, theirs, answers, link } = open();
        call('c');
        await settle();
        for (const chunk of chunks) theirs.write(chunk);
        await settle();
        expect(answers.filter((line) => line !== 'c: runner_crashed')).toEqual([]);
        link.end();
      },
    ),
    { numRuns: 200 },
  );
});

test('any damage to a true answer gives that call an answer or an error, and no other call anything', async () => {
  const writer = new FrameWriter();
  answer(1)(writer);
  const good = writer.written();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const { call, settle, theirs, answers, link } = open();
        call('first');
        call('second');
        await settle();
        const damaged = Buffer.from(good);
        for (const [at, value] of changes) damaged[at] = value;
        theirs.write(damaged);
        await settle();
        expect(answers.length).toBeLessThanOrEqual(1);
        link.end();
      },
    ),
    { numRuns: 500 },
  );
});

test('the diary tells the calls of the run that ended from those that never started; what it says beyond that is ignored', async () => {
  const { call, settle, link, setNote } = open();
  for (const name of ['a', 'b', 'c']) call(name);
  await settle();
  setNote({ startedMs: 0, ids: [2, 99, 4_000_000_000] });
  const { running, unstarted } = link.end();
  expect(running.map((of) => of.id)).toEqual([2]);
  expect(unstarted.map((of) => of.id)).toEqual([1, 3]);
});
