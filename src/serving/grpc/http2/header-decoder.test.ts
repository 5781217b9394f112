import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TEST_LIMITS } from '../../../../test/fixtures/http2-frames.ts';
import { Connection } from './connection.ts';
import { HeaderDecoder, HpackFault } from './header-decoder.ts';
import { headerBlock } from './header-writer.ts';
import { decodeHuffman } from './huffman.ts';
import type { RequestHeaders } from './request-headers.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

describe('The examples of RFC 7541', () => {
  test.each([
    [
      'without',
      [
        '82868441 0f7777772e6578616d706c652e636f6d',
        '828684be 58086e6f2d6361636865',
        '828785bf 400a637573746f6d2d6b6579 0c637573746f6d2d76616c7565',
      ],
    ],
    [
      'with',
      [
        '82868441 8cf1e3c2e5f23a6ba0ab90f4ff',
        '828684be 5886a8eb10649cbf',
        '828785bf 408825a849e95ba97d7f 8925a849e95bb8e8b4bf',
      ],
    ],
  ])('are read %s Huffman codes', (_how, [first, second, third]) => {
    const decoder = new HeaderDecoder();
    const read = (text: string): RequestHeaders => decoder.decode(hex(text), 0, hex(text).length);
    for (const text of [first!, second!]) {
      expect(read(text)).toMatchObject({
        ':method': 'GET',
        ':scheme': 'http',
        ':path': '/',
        ':authority': 'www.example.com',
      });
    }
    expect(read(third!)).toMatchObject({
      ':scheme': 'https',
      ':path': '/index.html',
      ':authority': 'www.example.com',
      fault: '',
    });
  });

  test('of Huffman codes are read, and what is none is not', () => {
    const text = hex('94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007');
    expect(decodeHuffman(text, 0, text.length)).toBe('foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1');
    // Padding of more than seven bits, of zeros, and the code for the end itself.
    for (const bad of ['1fff', '18', '3fffffff', 'ffffffff'])
      expect(decodeHuffman(hex(bad), 0, hex(bad).length), bad).toBeNull();
  });
});

test('What Node’s HTTP/2 client writes is read as it was meant, request after request', async () => {
  const heard: { headers: RequestHeaders }[] = [];
  const server = createServer((socket) => {
    const connection = new Connection(socket, TEST_LIMITS, (stream, headers) => {
      heard.push({ headers });
      stream.sendHeaders(headerBlock(200, []), true);
      return null;
    });
    socket.on('data', (bytes: Buffer) => connection.read(bytes));
    socket.on('error', () => {});
  }).listen(0);
  await once(server, 'listening');
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const printable = fc
    .string({
      unit: fc
        .integer({ min: 0x20, max: 0xff })
        .filter((code) => code < 0x7f || code > 0x9f)
        .map((code) => String.fromCharCode(code)),
      maxLength: 60,
    })
    .map((text) => text.trim());
  const one = fc.record({
    'x-request-id': printable,
    authorization: printable,
    'x-other': printable,
    path: fc.string({ unit: fc.constantFrom('a', 'b', 'c', '/'), maxLength: 8 }),
  });
  const seed = Date.now();
  const sent = fc.sample(one, { seed, numRuns: 400 });
  for (const { path, ...headers } of sent) {
    const stream = session.request({ ':method': 'POST', ':path': `/${path}`, te: 'trailers', ...headers });
    stream.on('error', () => {});
    stream.resume().end();
    await once(stream, 'close');
  }
  session.destroy();
  server.close();
  expect(heard.length, `seed ${seed}`).toBe(sent.length);
  for (const [i, { headers }] of heard.entries()) {
    const { path, 'x-request-id': id, authorization } = sent[i]!;
    expect(headers.fault, `seed ${seed}, request ${i}`).toBe('');
    expect(headers[':path']).toBe(`/${path}`);
    expect(headers['x-request-id']).toBe(id);
    expect(headers.authorization).toBe(authorization);
  }
});

test('A block that only refers to the table is read anew when the table has changed', () => {
  const decoder = new HeaderDecoder();
  const read = (text: string): RequestHeaders => decoder.decode(hex(text), 0, hex(text).length);
  const named = (id: string): string =>
    `83 86 84 40 0c 782d726571756573742d6964 0${id.length} ${Buffer.from(id).toString('hex')}`;
  expect(read(named('one'))['x-request-id']).toBe('one');
  expect(read('83 86 84 be')['x-request-id']).toBe('one');
  expect(read('83 86 84 be')['x-request-id']).toBe('one');
  expect(read(named('two'))['x-request-id']).toBe('two');
  expect(read('83 86 84 be')['x-request-id']).toBe('two');
  expect(read('83 86 84 bf')['x-request-id']).toBe('one');
  read('20 83 86 84'); // the table is emptied
  expect(() => read('83 86 84 be')).toThrow(HpackFault);
});

test.each([
  ['a header that is not in the table', 'be'],
  ['header number 0', '80'],
  ['a number that is cut off', 'ff'],
  ['a number that is too large', 'ff ff ff ff ff 7f'],
  ['a text that is cut off', '40 05 61'],
  ['a text without a length', '40'],
  ['a table larger than allowed', '3f e2 1f'],
  ['a table that changes its size amid headers', '82 20'],
  ['a text that is no Huffman code', '40 81 00 00'],
])('%s ends the connection', (_what, block) => {
  const bytes = hex(block);
  expect(() => new HeaderDecoder().decode(bytes, 0, bytes.length)).toThrow(HpackFault);
});

test.each([
  [
    'a header twice',
    [
      ['authorization', 'a'],
      ['authorization', 'b'],
    ],
  ],
  ['an upper-case name', [['X-Request-Id', 'a']]],
  ['a name with a space', [['x request', 'a']]],
  ['an empty name', [['', 'a']]],
  ['a line break in a value', [['x-a', 'a\r\nb']]],
  ['NUL in a value', [['x-a', 'a\0b']]],
  ['a space before a value', [['x-a', ' a']]],
  ['connection', [['connection', 'close']]],
  ['transfer-encoding', [['transfer-encoding', 'chunked']]],
  ['te other than trailers', [['te', 'gzip']]],
  [
    'a pseudo header after others',
    [
      ['x-a', 'a'],
      [':authority', 'h'],
    ],
  ],
  ['an unknown pseudo header', [[':status', '200']]],
  ['a pseudo header twice', [[':method', 'POST']]],
] as [string, [string, string][]][])('%s makes no valid request', (_what, more) => {
  const start: [string, string][] = [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', '/'],
  ];
  const decode = (headers: [string, string][]) => {
    const block = headerBlock(null, headers);
    return new HeaderDecoder().decode(block, 0, block.length);
  };
  expect(decode(start).fault).toBe('');
  expect(decode([...start, ...more]).fault).not.toBe('');
  expect(decode(start.slice(1)).fault).not.toBe('');
});

test('Random bytes are a block or a fault, never anything else', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 5 }), (blocks) => {
      const decoder = new HeaderDecoder();
      try {
        for (const bytes of blocks) decoder.decode(Buffer.from(bytes), 0, bytes.length);
      } catch (error) {
        expect(error).toBeInstanceOf(HpackFault);
      }
    }),
    { numRuns: 5000 },
  );
});
