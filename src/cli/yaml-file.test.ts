import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readYamlFile } from './yaml-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'slipway-yaml-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (text: string): unknown => {
  const path = join(folder, 'policy.yaml');
  writeFileSync(path, text);
  return readYamlFile(path).value;
};

test('what people write is read', () => {
  expect(read('sample: 0.5\nfields: { input.age: drop }\n')).toEqual({ sample: 0.5, fields: { 'input.age': 'drop' } });
});

test.each([
  ['sample: .nan\n', 'line 1 is infinite or not a number'],
  ['profile: true\nsample: -.inf\n', 'line 2 is infinite or not a number'],
  ['a: [1\n', 'is no YAML'],
])('%j is refused with its line', (text, said) => {
  expect(() => read(text)).toThrow(said);
});
