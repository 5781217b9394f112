import { gunzipSync, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type Coding, codingFor, compress, preferredCoding } from './response-compression.ts';

describe('the coding of an answer', () => {
  it.each<[string, Coding | null]>([
    ['gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['x-gzip', 'gzip'],
    ['deflate', 'deflate'],
    ['deflate, gzip', 'gzip'],
    ['gzip;q=0.5, deflate;q=0.8', 'deflate'],
    ['gzip ; q=0.5 , deflate ; q=0.5', 'gzip'],
    ['gzip;q=0, deflate', 'deflate'],
    ['gzip;q=0', null],
    ['br, zstd', null],
    ['*', 'gzip'],
    ['*;q=0', null],
    ['gzip;q=0, *', 'deflate'],
    ['identity, gzip;q=0.5', null],
    ['identity;q=0.5, gzip', 'gzip'],
    ['identity;q=0', null],
    ['gzip;q=2', null],
    ['gzip;q=nothing', null],
    ['', null],
  ])('%j asks for %j', (accept, coding) => {
    expect(preferredCoding(accept)).toBe(coding);
  });

  it('is none for small answers, for callers who ask for none, and for events', () => {
    const large = 'x'.repeat(10_000);
    expect(codingFor('gzip', large)).toBe('gzip');
    expect(codingFor('gzip', 'x'.repeat(100))).toBe(null);
    expect(codingFor(undefined, large)).toBe(null);
    expect(codingFor('gzip', { contentType: 'text/event-stream; charset=utf-8', body: large })).toBe(null);
    const chunks = [new Uint8Array(3000), new Uint8Array(3000)];
    expect(codingFor('deflate', { contentType: 'application/octet-stream', body: chunks })).toBe('deflate');
  });

  it.each([
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
  ] as const)('%s gives back what was written, and keeps other headers', async (coding, decode) => {
    const text = await compress('ünï'.repeat(3000), coding);
    expect(decode(text.body as Uint8Array).toString()).toBe('ünï'.repeat(3000));
    expect(text).toMatchObject({ contentType: 'application/json' });
    const body = [new Uint8Array(3000).fill(1), new Uint8Array(3000).fill(2)];
    const made = await compress({ contentType: 'application/octet-stream', headers: ['A', 'b'], body }, coding);
    expect(decode(made.body as Uint8Array)).toEqual(Buffer.concat(body));
    expect(made.headers).toEqual(['A', 'b', 'Content-Encoding', coding, 'Vary', 'Accept-Encoding']);
  });
});
