import { expect, test } from 'vitest';
import { clean, cleanLine, createPaint, formatAge, formatBytes, formatMs, table, widthOf } from './terminal.ts';
import { uploadText } from './upload-progress.ts';

test('control characters and escape sequences of a server never reach the terminal', () => {
  expect(clean('a\u001b[31mred\u001b[0m\u001b]0;title\u0007b\u0000\u0008\u009b2J')).toBe('aredb2J');
  expect(clean('invoice\u202egpj.exe')).toBe('invoicegpj.exe');
  expect(clean('two\nlines\tand a tab')).toBe('two\nlines\tand a tab');
  expect(cleanLine('two\r\nlines')).toBe('two ⏎ lines');
});

test('colours only on a terminal that wants them', () => {
  expect(createPaint({ isTTY: true }, {}, true)('red', 'x')).toBe('\u001b[31mx\u001b[39m');
  for (const [stream, env, wanted] of [
    [{ isTTY: false }, {}, true],
    [{ isTTY: true }, { NO_COLOR: '1' }, true],
    [{ isTTY: true }, { TERM: 'dumb' }, true],
    [{ isTTY: true }, {}, false],
  ] as const) {
    expect(createPaint(stream, env, wanted)('red', 'x')).toBe('x');
  }
});

test('wide characters take two columns, combining ones none, colours none', () => {
  expect(widthOf('abc')).toBe(3);
  expect(widthOf('模型')).toBe(4);
  expect(widthOf('e\u0301')).toBe(1);
  expect(widthOf('🚢')).toBe(2);
  expect(widthOf('\u001b[1mab\u001b[22m')).toBe(2);
});

test('tables line up, numbers to the right', () => {
  const text = table(
    [{ title: 'name' }, { title: 'n', right: true }],
    [
      ['模型', '1'],
      ['abcdef', '100'],
    ],
    (_s, t) => t,
  );
  expect(text).toBe('NAME      N\n模型      1\nabcdef  100\n');
});

test('sizes, spans and ages in the unit a person would use', () => {
  expect([0, 1023, 1024, 10 * 1024 ** 2, 3 * 1024 ** 3].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '10 MiB',
    '3.0 GiB',
  ]);
  expect([0.123, 15.2, 1500, 200_000].map(formatMs)).toEqual(['0.12 ms', '15 ms', '1.5 s', '3 min']);
  const now = Date.parse('2026-01-02T00:00:00Z');
  expect(formatAge('2026-01-01T23:59:30Z', now)).toBe('30 s ago');
  expect(formatAge('2026-01-01T00:00:00Z', now)).toBe('24 h ago');
  expect(formatAge('nonsense', now)).toBe('unknown');
});

test('an upload says how much, how fast and how long still', () => {
  expect(uploadText(512 * 1024 ** 2, 1024 ** 3, 512 * 1024 ** 2, 4000)).toBe(
    'Uploading 512 MiB of 1.0 GiB  50 %  128 MiB/s  4.0 s left',
  );
  expect(uploadText(0, 1024, 0, 0)).toBe('Uploading 0 B of 1.0 KiB  0 %');
});
