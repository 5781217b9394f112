/** Bodies that take long: which are parsed in threads, and that nobody waits for those that nobody wants. */
import pino from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { SlipwayError } from '../../base/errors.ts';
import type { InferRequest } from '../protocols/protocol.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { createLargeBodies, isCostly, type LargeBodies } from './large-bodies.ts';

const X = { name: 'X', datatype: 'FP32', shape: [-1, 3], symbols: ['N', null] } as const;
const target = { name: 'add', signature: { inputs: [X], outputs: [X] }, canBatch: true } as unknown as InputTarget;
const records = (count: number): Buffer => Buffer.from(`{"records":[${new Array(count).fill('[1,2,3]').join(',')}]}`);

describe('what is parsed in a thread', () => {
  const filled = (item: string, bytes: number): Buffer =>
    Buffer.from(`{"records":[${new Array(Math.ceil(bytes / (item.length + 1))).fill(item).join(',')}]}`);
  it.each<[string, Buffer, boolean]>([
    ['a small body of whatever', filled('{}', 60_000), false],
    ['800 kB of numbers', filled('0.1234', 800_000), false],
    ['800 kB of rows of thirty numbers', filled(`[${new Array(30).fill('0.12').join(',')}]`, 800_000), false],
    ['a body beyond 1 MiB', filled('0.1234', 1_100_000), true],
    ['300 kB of empty objects', filled('{}', 300_000), true],
    ['300 kB of empty lists', filled('[]', 300_000), true],
    ['300 kB of short strings', filled('""', 300_000), true],
    ['300 kB of lines', Buffer.from('{}\n'.repeat(100_000)), true],
  ])('%s: %#', (_title, body, costly) => {
    expect(isCostly(body)).toBe(costly);
  });
});

const PREDICT = { protocol: 'plain', path: '/endpoints/{endpoint}/predict' };

describe('threads for large bodies', () => {
  let bodies: LargeBodies | null = null;
  afterEach(() => bodies?.close());

  const start = (maxWaitingBytes = 1e9): LargeBodies => {
    bodies = createLargeBodies({ log: pino({ level: 'silent' }), maxWaitingBytes });
    return bodies;
  };
  type Outcome = { error: SlipwayError | null; request: InferRequest | null; ms: number };
  const parse = (body: Buffer, isWanted: () => boolean = () => true): Promise<Outcome> =>
    new Promise((resolve) => {
      const startedMs = performance.now();
      bodies!.parse(PREDICT, { body, headers: {} }, target, isWanted, (error, request) =>
        resolve({ error, request, ms: performance.now() - startedMs }),
      );
    });

  it('have one left for bodies that are not very large, however many very large ones wait', async () => {
    start();
    const ends: string[] = [];
    const veryLarge = Array.from({ length: 3 }, () => parse(records(2_000_000)).then(() => ends.push('very large')));
    await parse(records(200_000)).then(() => ends.push('large'));
    await Promise.all(veryLarge);
    expect(ends.indexOf('large')).toBeLessThan(2);
  }, 60_000);

  it('give up a body whose deadline passed, in a thread and before it; the next one is parsed', async () => {
    start();
    await parse(records(10)); // a thread runs
    const alone = await parse(records(4_000_000));
    expect(alone.request?.rows).toBe(4_000_000);
    const deadline = performance.now() + alone.ms / 8;
    const late = Array.from({ length: 6 }, () => parse(records(4_000_000), () => performance.now() < deadline));
    const behind = parse(records(5));
    for (const { error, request } of await Promise.all(late)) {
      expect([error?.code, request]).toEqual(['deadline_exceeded', null]);
    }
    const { request } = await behind;
    expect(request?.rows).toBe(5);
    expect((await parse(records(7))).request?.rows).toBe(7);
  }, 60_000);

  it('refuse what would wait in more memory than there is for it', () => {
    start(1000);
    expect(() =>
      bodies!.parse(
        PREDICT,
        { body: records(1000), headers: {} },
        target,
        () => true,
        () => {},
      ),
    ).toThrow('no memory');
  });
});
