import { describe, expect, test } from 'vitest';
import { assertCan, can, canSome, type Principal, parseScope, VERBS, type Verb } from './permission.ts';

const key = (scopes: string[], project: string | null = null): Principal => ({
  actor: 'key:k',
  keyId: 'k',
  project,
  scopes,
});

/** What each scope allows, verb by verb: read, predict, deploy, code, promote, admin. */
const TABLE: Record<string, string> = {
  read: 'x.....',
  predict: '.x....',
  deploy: 'x.x...',
  code: '...x..',
  promote: 'x...x.',
  admin: 'xxxxxx',
};

describe('a scope', () => {
  test.each(Object.entries(TABLE))('%s allows exactly its verbs', (scope, row) => {
    const allowed = VERBS.map((verb) => (can(key([scope]), verb, 'p', 'm') ? 'x' : '.')).join('');
    expect(allowed).toBe(row);
    expect(VERBS.map((verb) => (can(key([scope]), verb, 'p') ? 'x' : '.')).join('')).toBe(row);
  });

  test('limited to a model allows that model, no other, and nothing that is no model', () => {
    const limited = key(['deploy:churn']);
    expect(can(limited, 'deploy', 'p', 'churn')).toBe(true);
    expect(can(limited, 'read', 'p', 'churn')).toBe(true);
    expect(can(limited, 'promote', 'p', 'churn')).toBe(false);
    expect(can(limited, 'deploy', 'p', 'churn2')).toBe(false);
    expect(can(limited, 'deploy', 'p')).toBe(false);
    expect(canSome(limited, 'deploy', 'p')).toBe(true);
    expect(canSome(limited, 'admin', 'p')).toBe(false);
  });

  test('of a bound key ends at its project, whatever the verb', () => {
    const bound = key(['admin', 'read', 'predict:m'], 'mine');
    for (const verb of VERBS) {
      expect(can(bound, verb, 'mine', 'm')).toBe(true);
      expect(can(bound, verb, 'theirs', 'm')).toBe(false);
      expect(canSome(bound, verb, 'theirs')).toBe(false);
    }
  });

  test('that is none allows nothing', () => {
    const odd = ['', 'reads', 'READ', 'read:', 'read:*', 'admin:m', 'read:a/b', '*', ':m', 'read:m:n', 'read: m'];
    for (const scope of odd) {
      expect(parseScope(scope), scope).toBeNull();
      for (const verb of VERBS) expect(canSome(key([scope]), verb, 'p'), `${scope} ${verb}`).toBe(false);
    }
    for (const verb of VERBS) expect(can(key([]), verb, 'p')).toBe(false);
  });
});

test('a refusal names the missing scope and what to do', () => {
  const attempt = (verb: Verb, model?: string) => () => assertCan(key(['read']), verb, 'p', model);
  expect(attempt('read')).not.toThrow();
  expect(attempt('promote', 'churn')).toThrow(
    expect.objectContaining({
      code: 'not_permitted',
      message: 'The API key k has no scope promote:churn',
      hint: expect.stringContaining('promote or promote:churn'),
    }),
  );
});
