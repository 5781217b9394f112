import { describe, expect, test } from 'vitest';
import { makeKey } from './access/key.ts';
import { SlipwayError } from './errors.ts';
import { createLogger, redactKeys } from './log.ts';

function capture() {
  const lines: string[] = [];
  const log = createLogger('control', 'debug', { write: (line) => void lines.push(line) });
  return { log, lines };
}

describe('the log', () => {
  test('is one JSON object a line with time, level, process and message', () => {
    const { log, lines } = capture();
    log.info({ requestId: 'r' }, 'line one\nline two\u001b[31m');
    expect(lines).toHaveLength(1);
    expect(lines[0]!.match(/\n/g)).toHaveLength(1);
    expect(lines[0]).not.toContain('\u001b');
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 'info',
      process: 'control',
      requestId: 'r',
      msg: 'line one\nline two\u001b[31m',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
  });

  test('never holds a planted key, wherever it stands', () => {
    const { log, lines } = capture();
    const { text, secret } = makeKey();
    const planted: [Record<string, unknown>, string][] = [
      [{}, `failed with ${text}`],
      [{ key: text }, 'x'],
      [{ detail: { deep: { deeper: [text, { text }] } } }, 'x'],
      [{ headers: { authorization: `Bearer ${text}`, cookie: 'session=1' } }, 'x'],
      [{ req: { headers: { authorization: `Bearer ${text}` } } }, 'x'],
      [{ url: `/x?key=${text}` }, 'x'],
      [{ err: new Error(`cannot use ${text}`) }, 'x'],
      [{ err: new SlipwayError('internal', 'outer', { cause: new Error(`inner ${text}`) }) }, 'x'],
      [{ [text]: 1 }, 'x'],
    ];
    for (const [object, message] of planted) log.error(object, message);
    const all = lines.join('');
    expect(lines).toHaveLength(planted.length);
    expect(all).not.toContain(secret);
    expect(all).toContain('slipway_[redacted]');
  });

  test('hides what stands under the names of secrets, whatever its form', () => {
    const { log, lines } = capture();
    for (const name of ['key', 'secret', 'authorization', 'apiKey', 'token', 'password', 'cookie']) {
      log.info({ [name]: 'planted-canary' }, 'top');
      log.info({ inside: { [name]: 'planted-canary' } }, 'inside');
    }
    expect(lines.join('')).not.toContain('planted-canary');
  });

  test('leaves out lines below its level', () => {
    const lines: string[] = [];
    const log = createLogger('gateway', 'warn', { write: (line) => void lines.push(line) });
    log.info('quiet');
    log.warn('loud');
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['loud']);
  });
});

test('keys are recognised in text by their form, and other text is left alone', () => {
  const { text } = makeKey();
  expect(redactKeys(`a ${text}, b`)).toBe('a slipway_[redacted], b');
  expect(redactKeys('slipway_live_ and SLIPWAY_DATA and slipway deploy')).toBe(
    'slipway_live_ and SLIPWAY_DATA and slipway deploy',
  );
});
