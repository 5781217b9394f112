/** What is in the tree, and so in the package: no secrets, no default passwords, nothing of the machine it was written on. */
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseKey } from '../../src/base/access/key.ts';

const root = resolve(import.meta.dirname, '../..');
const files = spawnSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .stdout.split('\n')
  .filter((path) => path !== '' && statSync(join(root, path), { throwIfNoEntry: false })?.isFile());
const texts = files
  .filter((path) => !/\.(onnx|bin|pkl|joblib|pt|png)$/.test(path))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

function found(pattern: RegExp, except: RegExp = /^$/): string[] {
  return texts
    .filter(({ path }) => path !== 'test/house/package.test.ts' && !except.test(path))
    .flatMap(({ path, text }) => [...text.matchAll(pattern)].map((match) => `${path}: ${match[0]}`));
}

describe('the tree', () => {
  test('is there to be looked at', () => {
    expect(texts.length).toBeGreaterThan(200);
  });

  test('holds no API key that could be one', () => {
    const keys = found(/slipway_live_[A-Za-z0-9]+_[A-Za-z0-9_-]+_[0-9a-f]{8}/g).filter(
      (line) => parseKey(line.slice(line.indexOf('slipway_live_'))) !== null,
    );
    expect(keys).toEqual([]);
  });

  test('holds no private keys and no passwords', () => {
    expect(found(/-----BEGIN [A-Z ]*PRIVATE KEY-----/g)).toEqual([]);
    expect(found(/\b(password|passwd|secret|token)\s*[:=]\s*['"][^'"\s]{6,}['"]/gi, /\.test\.ts$/)).toEqual([]);
  });

  test('names no folder of a machine and no registry host', () => {
    expect(found(/(?<![\w.])\/(?:work|farm|root)\/[\w./-]+/g)).toEqual([]);
    expect(found(/https?:\/\/(?:registry|proxy|files|static|repo1?|deb|index)\.[a-z0-9-]+\.[a-z]+/g)).toEqual([]);
  });

  test('every dependency has a licence that may be shipped', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const name of Object.keys(dependencies)) {
      const { license } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as {
        license: string;
      };
      expect(license, name).toMatch(/^(MIT|Apache-2\.0|BSD-[23]-Clause|ISC)$/);
    }
  });
});
