import { describe, expect, test } from 'vitest';
import { decodeCursor, encodeCursor, etag, pageOf, parseIfMatch } from './paging.ts';

describe('a cursor', () => {
  test.each(['a', 'zürich 🚢', '2026-01-01T00:00:00.000Z abc', 'x'.repeat(300)])('gives %s back', (key) => {
    expect(decodeCursor({ cursor: encodeCursor(key), limit: 3 })).toEqual({ limit: 3, after: key });
  });

  test('is left out for the first page', () => {
    expect(decodeCursor({})).toEqual({ limit: 50, after: null });
    expect(decodeCursor({ cursor: '' }).after).toBeNull();
  });

  test.each(['abc', 'MQ==', '!!', Buffer.from('2x').toString('base64url'), `${encodeCursor('a')}=`])(
    '%s is refused',
    (cursor) => {
      expect(() => decodeCursor({ cursor })).toThrow(expect.objectContaining({ code: 'invalid_cursor' }));
    },
  );
});

test('a page has a next one only when there is more', () => {
  const of = (items: string[], limit: number) => pageOf(items, limit, (item) => item);
  expect(of(['a', 'b', 'c'], 2)).toEqual({ items: ['a', 'b'], nextCursor: encodeCursor('b') });
  expect(of(['a', 'b'], 2)).toEqual({ items: ['a', 'b'], nextCursor: null });
  expect(of([], 2)).toEqual({ items: [], nextCursor: null });
});

test('If-Match takes what ETag gave, strong or weak, and nothing else', () => {
  expect(parseIfMatch(etag(12))).toBe(12);
  expect(parseIfMatch('W/"3"')).toBe(3);
  expect(parseIfMatch('*')).toBeNull();
  expect(parseIfMatch(undefined)).toBeNull();
  for (const odd of ['3', '"a"', '"1", "2"', '""', '"-1"']) expect(() => parseIfMatch(odd), odd).toThrow('If-Match');
});
