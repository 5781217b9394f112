import { expect, test } from 'vitest';
import { checkName, suggestName } from './name-check.ts';

test('a name that the server refuses is refused with the flag, the rule and a better one', () => {
  expect(checkName('--name', 'my-model')).toBe('my-model');
  try {
    checkName('--name', 'My Model');
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({ reason: 'usage', code: 'invalid_name', hint: 'For example my-model.' });
    expect((error as Error).message).toMatch(/^--name is "My Model"/);
  }
});

test.each([
  ['My Model (v2).final', 'my-model-v2-.final'],
  ['Ünïcode', 'n-code'],
  ['***', ''],
])('%s suggests %j', (text, name) => {
  expect(suggestName(text)).toBe(name);
});
