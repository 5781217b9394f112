/** Frames by hand, right ones and wrong ones (RFC 9113). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  dial,
  type Frame,
  frame,
  listen,
  PREFACE,
  type RawClient,
  REQUEST,
  SETTINGS,
  TEST_LIMITS,
} from '../../../../test/fixtures/http2-frames.ts';
import { headerBlock } from './header-writer.ts';

type Server = Awaited<ReturnType<typeof listen>>;

const [DATA, HEADERS, RESET, PING, GOAWAY, WINDOW] = [0, 1, 3, 6, 7, 8] as const;
const [PROTOCOL, FLOW, CLOSED, SIZE, REFUSED, COMPRESSION, CALM] = [1, 3, 5, 6, 7, 9, 11] as const;
const OPEN = frame(HEADERS, 4, 1, REQUEST);
const WHOLE = frame(HEADERS, 5, 1, REQUEST);

describe('A connection', () => {
  let server: Server;
  let client: RawClient;
  beforeAll(async () => {
    server = await listen();
  });
  afterAll(async () => {
    await server.close();
  });
  const start = async (...bytes: Uint8Array[]): Promise<RawClient> => {
    client = await dial(server.port);
    client.send(...bytes);
    return client;
  };
  const bodyOf = (frames: readonly Frame[]) =>
    Buffer.concat(frames.filter((one) => one.type === DATA).map((one) => one.payload));

  test('answers headers, body and trailers, in that order', async () => {
    await start(OPEN, frame(DATA, 0, 1, '6162'), frame(DATA, 1, 1, '63'));
    await client.next(HEADERS, (one) => (one.flags & 1) !== 0);
    const mine = client.frames.filter((one) => one.id === 1);
    expect(mine.map((one) => one.type)).toEqual([HEADERS, DATA, HEADERS]);
    expect(bodyOf(mine).toString()).toBe('abc');
    client.socket.destroy();
  });

  test('reads frames however they are cut', async () => {
    const bytes = Buffer.concat([
      PREFACE,
      SETTINGS,
      OPEN,
      frame(DATA, 0, 1, Buffer.alloc(1000, 7)),
      frame(DATA, 1, 1, '08'),
    ]);
    const slow = await dial(server.port, []);
    for (let at = 0; at < bytes.length; at += 7) {
      slow.socket.write(bytes.subarray(at, at + 7));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await slow.next(HEADERS, (one) => (one.flags & 1) !== 0);
    expect(bodyOf(slow.frames)).toHaveLength(1001);
    slow.socket.destroy();
  });

  test('takes padding, priorities, continuations and frames it does not know', async () => {
    const padded = frame(
      HEADERS,
      4 | 8 | 32,
      1,
      Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 9]), REQUEST, Buffer.alloc(3)]),
    );
    await start(padded, frame(0x55, 0, 1, '0102'), frame(2, 0, 3, '00000000 10'), frame(DATA, 1 | 8, 1, '02 61 0000'));
    await client.next(HEADERS, (one) => one.id === 1 && (one.flags & 1) !== 0);
    expect(bodyOf(client.frames).toString()).toBe('a');
    client.send(
      frame(HEADERS, 1, 3, REQUEST.subarray(0, 4)),
      frame(9, 0, 3, REQUEST.subarray(4, 6)),
      frame(9, 4, 3, REQUEST.subarray(6)),
    );
    await client.next(HEADERS, (one) => one.id === 3 && (one.flags & 1) !== 0);
    client.socket.destroy();
  });

  test('answers pings and settings', async () => {
    await start(frame(PING, 0, 0, '0102030405060708'));
    expect((await client.next(PING)).payload.toString('hex')).toBe('0102030405060708');
    expect(await client.next(4, (one) => one.flags === 1)).toMatchObject({ id: 0 });
    client.socket.destroy();
  });

  test('sends no more than the windows of stream and connection allow', async () => {
    const many = Buffer.alloc(100_000, 5);
    await start(frame(4, 0, 0, '0004 00000400'), OPEN);
    for (let at = 0; at < many.length; at += 16_384)
      client.send(frame(DATA, at + 16_384 >= many.length ? 1 : 0, 1, many.subarray(at, at + 16_384)));
    await client.next(DATA);
    client.send(frame(PING, 0, 0, Buffer.alloc(8)));
    await client.next(PING);
    expect(bodyOf(client.frames)).toHaveLength(1024);
    client.send(frame(WINDOW, 0, 1, '000f4240'));
    client.send(frame(PING, 0, 0, Buffer.alloc(8, 1)));
    await client.next(PING, (one) => one.payload[0] === 1);
    expect(bodyOf(client.frames)).toHaveLength(65_535);
    expect(client.frames.every((one) => one.payload.length <= 16_384)).toBe(true);
    client.send(frame(WINDOW, 0, 0, '000f4240'));
    await client.next(HEADERS, (one) => one.id === 1 && (one.flags & 1) !== 0);
    expect(bodyOf(client.frames)).toHaveLength(100_000);
    client.socket.destroy();
  });

  test.each<[string, Uint8Array[], number]>([
    ['a first frame that is no SETTINGS', [PREFACE, frame(PING, 0, 0, Buffer.alloc(8))], PROTOCOL],
    ['a frame that is too large', [PREFACE, SETTINGS, frame(DATA, 0, 1, Buffer.alloc(16_385))], SIZE],
    ['DATA without a stream', [PREFACE, SETTINGS, frame(DATA, 0, 0, '61')], PROTOCOL],
    ['DATA for a stream that was not opened', [PREFACE, SETTINGS, frame(DATA, 0, 5, '61')], PROTOCOL],
    ['HEADERS without a stream', [PREFACE, SETTINGS, frame(HEADERS, 5, 0, REQUEST)], PROTOCOL],
    ['an even stream', [PREFACE, SETTINGS, frame(HEADERS, 5, 2, REQUEST)], PROTOCOL],
    ['padding longer than its frame', [PREFACE, SETTINGS, OPEN, frame(DATA, 8, 1, '05 61')], PROTOCOL],
    [
      'a stream that depends on itself',
      [PREFACE, SETTINGS, frame(HEADERS, 5 | 32, 1, Buffer.concat([Buffer.from([0, 0, 0, 1, 9]), REQUEST]))],
      PROTOCOL,
    ],
    [
      'a header block that is interrupted',
      [PREFACE, SETTINGS, frame(HEADERS, 1, 1, REQUEST), frame(PING, 0, 0, Buffer.alloc(8))],
      PROTOCOL,
    ],
    ['a continuation of nothing', [PREFACE, SETTINGS, frame(9, 4, 1, REQUEST)], PROTOCOL],
    [
      'a continuation of another stream',
      [PREFACE, SETTINGS, frame(HEADERS, 1, 1, REQUEST), frame(9, 4, 3, '')],
      PROTOCOL,
    ],
    ['a block that is no HPACK', [PREFACE, SETTINGS, frame(HEADERS, 5, 1, 'ff ff ff')], COMPRESSION],
    ['HEADERS for a stream that was closed', [PREFACE, SETTINGS, WHOLE, WHOLE], CLOSED],
    ['a reset of nothing', [PREFACE, SETTINGS, frame(RESET, 0, 1, '00000008')], PROTOCOL],
    ['a reset of the wrong size', [PREFACE, SETTINGS, OPEN, frame(RESET, 0, 1, '08')], SIZE],
    ['settings of the wrong size', [PREFACE, SETTINGS, frame(4, 0, 0, '0102')], SIZE],
    ['settings of a stream', [PREFACE, SETTINGS, frame(4, 0, 1)], PROTOCOL],
    ['an acknowledgement with a payload', [PREFACE, SETTINGS, frame(4, 1, 0, '0001 00000000')], SIZE],
    ['a window out of range in settings', [PREFACE, SETTINGS, frame(4, 0, 0, '0004 80000000')], FLOW],
    ['a frame size out of range', [PREFACE, SETTINGS, frame(4, 0, 0, '0005 00000001')], PROTOCOL],
    ['a ping of the wrong size', [PREFACE, SETTINGS, frame(PING, 0, 0, '01')], SIZE],
    ['a window update of nothing', [PREFACE, SETTINGS, frame(WINDOW, 0, 0, '00000000')], PROTOCOL],
    ['a window update of the wrong size', [PREFACE, SETTINGS, frame(WINDOW, 0, 0, '00')], SIZE],
    ['a window that passes 2^31', [PREFACE, SETTINGS, frame(WINDOW, 0, 0, '7fffffff')], FLOW],
    ['a push', [PREFACE, SETTINGS, frame(5, 4, 1, REQUEST)], PROTOCOL],
    ['a GOAWAY of a stream', [PREFACE, SETTINGS, frame(GOAWAY, 0, 1, Buffer.alloc(8))], PROTOCOL],
    [
      'more than the window of the connection',
      [
        PREFACE,
        SETTINGS,
        OPEN,
        frame(HEADERS, 4, 3, REQUEST),
        frame(HEADERS, 4, 5, REQUEST),
        ...Array.from({ length: 24 }, (_, i) => frame(DATA, 0, 1 + 2 * (i % 3), Buffer.alloc(16_384))),
      ],
      -1,
    ],
  ])('is ended by %s', async (_what, bytes, code) => {
    const bad = await dial(server.port, bytes);
    if (code === -1) {
      // The server tells the client of new room as it reads, so a client that reads that is never out of it.
      expect((await bad.next(WINDOW, (one) => one.id === 0)).payload.readUInt32BE(0)).toBeGreaterThan(0);
      bad.socket.destroy();
      return;
    }
    expect(await bad.goneWith()).toBe(code);
  });

  test.each<[string, Uint8Array[], number]>([
    ['DATA after its end', [WHOLE.subarray(), frame(DATA, 1, 1, '61')], -1],
    ['trailers that do not end it', [OPEN, frame(HEADERS, 4, 1, REQUEST)], PROTOCOL],
    ['a window update of nothing', [OPEN, frame(WINDOW, 0, 1, '00000000')], PROTOCOL],
    ['a window that passes 2^31', [OPEN, frame(WINDOW, 0, 1, '7fffffff')], FLOW],
    ['headers that are no request', [frame(HEADERS, 4, 1, headerBlock(null, [[':method', 'POST']]))], PROTOCOL],
    [
      'a body that is longer than it said',
      [
        frame(HEADERS, 4, 1, Buffer.concat([REQUEST, headerBlock(null, [['content-length', '1']])])),
        frame(DATA, 1, 1, '6162'),
      ],
      PROTOCOL,
    ],
    [
      'a body that is shorter than it said',
      [
        frame(HEADERS, 4, 1, Buffer.concat([REQUEST, headerBlock(null, [['content-length', '3']])])),
        frame(DATA, 1, 1, '6162'),
      ],
      PROTOCOL,
    ],
    [
      'a content-length that is none',
      [frame(HEADERS, 4, 1, Buffer.concat([REQUEST, headerBlock(null, [['content-length', 'x']])]))],
      PROTOCOL,
    ],
  ])('ends one stream for %s, and goes on', async (_what, bytes, code) => {
    await start(...bytes);
    if (code !== -1) expect((await client.next(RESET)).payload.readUInt32BE(0)).toBe(code);
    client.send(frame(HEADERS, 5, 9, REQUEST));
    await client.next(HEADERS, (one) => one.id === 9 && (one.flags & 1) !== 0);
    client.socket.destroy();
  });
});

describe('A connection is hard to abuse:', () => {
  let server: Server;
  beforeAll(async () => {
    server = await listen(() => {}); // answers nothing
  });
  afterAll(() => server.close());

  test('100,000 streams opened and reset at once end it, and nothing is left of them', async () => {
    const client = await dial(server.port);
    for (let i = 0; i < 100_000 && !client.socket.destroyed; i++) {
      const id = 2 * i + 1;
      client.send(Buffer.concat([frame(HEADERS, 4, id, REQUEST), frame(RESET, 0, id, '00000008')]));
      if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.goneWith()).toBe(CALM);
    expect([...server.connections].flatMap((one) => one.streams)).toEqual([]);
  });

  test.each<[string, () => Uint8Array]>([
    [
      'empty continuations',
      () => Buffer.concat([frame(HEADERS, 0, 1, REQUEST), ...new Array<Buffer>(5000).fill(frame(9, 0, 1))]),
    ],
    [
      'continuations without an end',
      () =>
        Buffer.concat([
          frame(HEADERS, 0, 1, REQUEST),
          ...new Array<Buffer>(20).fill(frame(9, 0, 1, Buffer.alloc(16_000, 0x82))),
        ]),
    ],
    ['settings', () => Buffer.concat(new Array<Buffer>(5000).fill(SETTINGS))],
    ['priorities', () => Buffer.concat(new Array<Buffer>(5000).fill(frame(2, 0, 3, '00000000 10')))],
    ['empty bodies without an end', () => Buffer.concat([OPEN, ...new Array<Buffer>(5000).fill(frame(DATA, 0, 1))])],
    ['unknown frames', () => Buffer.concat(new Array<Buffer>(5000).fill(frame(0x99, 0, 0, '00')))],
    [
      'requests beyond the allowed streams',
      () => Buffer.concat(Array.from({ length: 5000 }, (_, i) => frame(HEADERS, 4, 2 * i + 1, REQUEST))),
    ],
    [
      'requests that are none',
      () => Buffer.concat(Array.from({ length: 5000 }, (_, i) => frame(HEADERS, 4, 2 * i + 1, '82'))),
    ],
  ])('a flood of %s ends it', async (_what, bytes) => {
    const client = await dial(server.port);
    client.send(bytes());
    expect(await client.goneWith()).toBe(CALM);
  });

  test('further streams than it allows are refused, without harm to the others', async () => {
    const client = await dial(server.port);
    for (let i = 0; i <= TEST_LIMITS.maxStreams; i++) client.send(frame(HEADERS, 4, 2 * i + 1, REQUEST));
    const refused = await client.next(RESET);
    expect(refused.id).toBe(2 * TEST_LIMITS.maxStreams + 1);
    expect(refused.payload.readUInt32BE(0)).toBe(REFUSED);
    client.socket.destroy();
  });

  test('a header block that says far more than it is long is read without its copies', async () => {
    const client = await dial(server.port);
    const big = headerBlock(null, [['x-big', 'b'.repeat(3000)]]);
    const insert = Buffer.concat([Buffer.from([0x40]), big.subarray(1)]);
    client.send(frame(HEADERS, 4, 1, Buffer.concat([REQUEST, insert])));
    client.send(frame(HEADERS, 4, 3, Buffer.concat([REQUEST, Buffer.alloc(16_000, 0xbe)])));
    client.send(frame(PING, 0, 0, Buffer.alloc(8)));
    await client.next(PING);
    const [connection] = [...server.connections].slice(-1);
    expect(connection!.streams).toHaveLength(2); // whoever takes it sees how large it says it is
    client.socket.destroy();
  });

  test('a client that does not read its answers is not read either', async () => {
    const echo = await listen((stream, body) => stream.answer(headerBlock(200, []), body, headerBlock(null, [])));
    const client = await dial(echo.port);
    await client.next(4);
    client.socket.pause();
    const ping = Buffer.concat(new Array<Buffer>(1000).fill(frame(PING, 0, 0, Buffer.alloc(8))));
    let written = 0;
    for (let i = 0; i < 4000 && client.socket.writableLength < 1024 * 1024; i++) {
      client.send(ping);
      written += ping.length;
      if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(client.socket.writableLength, `after ${written} bytes`).toBeGreaterThanOrEqual(1024 * 1024);
    client.socket.destroy();
    await echo.close();
  });
});
