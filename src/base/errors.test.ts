import { describe, expect, test } from 'vitest';
import { ERROR_HELP } from './error-help.ts';
import { ERRORS, type ErrorCode, SlipwayError, toSlipwayError } from './errors.ts';

const KINDS = [
  'invalid',
  'unauthorized',
  'forbidden',
  'not_found',
  'conflict',
  'too_large',
  'overloaded',
  'unavailable',
  'internal',
];

describe('the table of errors', () => {
  test.each(Object.entries(ERRORS))('%s has a kind and a title that is a sentence', (code, { kind, title }) => {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(KINDS).toContain(kind);
    expect(title).toMatch(/^[A-Z]/);
    expect(title).not.toMatch(/[.!]$/);
  });

  test.each(Object.entries(ERROR_HELP))('%s has a help that says more than its title', (code, help) => {
    expect(help).toMatch(/^[A-Z`].*[.]$/s);
    expect(help.length).toBeGreaterThan(20);
    expect(help).not.toContain(ERRORS[code as ErrorCode].title);
  });

  test('has no title twice', () => {
    const titles = Object.values(ERRORS).map((row) => row.title);
    expect(new Set(titles).size).toBe(titles.length);
  });
});

describe('whatever is thrown', () => {
  test('is passed on when it is ours', () => {
    const error = new SlipwayError('in_use', 'no', {
      hint: 'h',
      fields: [{ pointer: '/a', message: 'm' }],
      retryAfterS: 2,
    });
    expect(toSlipwayError(error)).toBe(error);
    expect(error).toMatchObject({ kind: 'conflict', hint: 'h', retryAfterS: 2, name: 'SlipwayError' });
  });

  test.each(['ENOSPC', 'EDQUOT'])('with %s says that the disk is full', (code) => {
    expect(toSlipwayError(Object.assign(new Error('write /data/x'), { code }))).toMatchObject({
      code: 'disk_full',
      message: expect.not.stringContaining('/data'),
      hint: expect.stringContaining('space'),
    });
  });

  test.each([new Error('secret /etc/path'), 'text', null, undefined, 42, { message: 'secret /etc/path' }])(
    'as %s becomes internal, and its message stays inside',
    (thrown) => {
      const error = toSlipwayError(thrown);
      expect(error.code).toBe('internal');
      expect(`${error.message} ${error.hint}`).not.toContain('secret');
      expect(error.cause).toBe(thrown);
    },
  );
});
