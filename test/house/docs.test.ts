/** Docs cannot fall behind: what exists is documented, what is documented exists, and links lead somewhere. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ERRORS } from '../../src/base/errors.ts';
import { SETTINGS } from '../../src/base/settings.ts';
import { isNoun, VERBS } from '../../src/cli/verbs.ts';
import { conflictsOf } from '../../src/serving/gateway/route-table.ts';
import { methodsOf } from '../../src/serving/protocols/protocol.ts';
import { PROTOCOLS } from '../../src/serving/protocols/protocols.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const tracked = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], { cwd: root, encoding: 'utf8' })
  .stdout.split('\n')
  .filter(Boolean);

test('the generated reference is the one that the tables give now', () => {
  const run = spawnSync(process.execPath, ['scripts/generate-reference.ts', '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(run.status, `${run.stdout}${run.stderr}`).toBe(0);
}, 60_000);

test('examples of the API are of the kind that their field is', () => {
  const seen = new Map<string, Set<string>>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { properties } = value as { properties?: Record<string, { examples?: string[] }> };
    for (const [name, schema] of Object.entries(properties ?? {})) {
      for (const example of schema.examples ?? []) seen.set(name, (seen.get(name) ?? new Set()).add(String(example)));
    }
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(JSON.parse(read('docs/reference/openapi.json')));
  expect([...(seen.get('environment') ?? [])]).toEqual(['production']);
  expect([...(seen.get('project') ?? [])]).toEqual(['fraud']);
  expect([...(seen.get('model') ?? [])]).toEqual(['churn']);
  expect([...(seen.get('alias') ?? [])]).toEqual(['champion']);
});

test('every setting is documented, and no setting that does not exist', () => {
  const page = read('docs/reference/settings.md');
  const known = Object.values(SETTINGS).map((row) => row.env);
  for (const env of known) expect(page).toContain(`\`${env}\``);
  const named = tracked.flatMap((path) => [...read(path).matchAll(/\bSLIPWAY_[A-Z_]+\b/g)].map((match) => match[0]));
  const clients = ['SLIPWAY_URL', 'SLIPWAY_API_KEY', 'SLIPWAY_KEY_FILE', 'SLIPWAY_PROJECT', 'SLIPWAY_INFERENCE_URL'];
  const ofTests = /^SLIPWAY_(TEST_[A-Z_]+|KILLS|RUNNER_KILLS|SEED|SWAPS)$/;
  const unknown = [...new Set(named)].filter((name) => ![...known, ...clients].includes(name) && !ofTests.test(name));
  expect(unknown).toEqual([]);
});

test('every error code is documented, used, and no other is documented', () => {
  const documented = [...read('docs/reference/errors.md').matchAll(/^### `(\w+)`/gm)].map((match) => match[1]);
  expect(documented.sort()).toEqual(Object.keys(ERRORS).sort());
  const sources = spawnSync('git', ['grep', '-ohE', "'[a-z_]+'", '--', 'src', ':!*.test.ts'], {
    cwd: root,
    encoding: 'utf8',
  });
  const used = new Set(sources.stdout.split('\n').map((word) => word.slice(1, -1)));
  expect(Object.keys(ERRORS).filter((code) => !used.has(code))).toEqual([]);
});

test('every inference route is documented, and no other', () => {
  const rows = read('docs/reference/protocols.md')
    .split('\n')
    .filter((line) => /^\| \[/.test(line));
  const documented = rows.flatMap((row) =>
    [...row.matchAll(/`((?:GET|POST|PUT|PATCH|DELETE|OPTIONS) [^`]+)`/g)].map((match) => match[1]),
  );
  const routes = PROTOCOLS.flatMap(({ routes }) =>
    routes.flatMap((route) => methodsOf(route).map((method) => `${method} ${route.path}`)),
  );
  expect(routes.length).toBeGreaterThan(10);
  expect(documented.sort()).toEqual(routes.sort());
});

test('every path that two protocols claim is documented, with the one who has it', () => {
  const page = read('docs/reference/protocols.md');
  const table = page.slice(page.indexOf('| method and path |'), page.indexOf('## What holds for all of them'));
  const documented = [...table.matchAll(/^\| `(\w+ \S+)` \| ([\w-]+) \| ([\w-]+) \|$/gm)].map((row) => row.slice(1));
  const conflicts = conflictsOf(PROTOCOLS).map(({ method, path, winner, loser }) => [
    `${method} ${path}`,
    winner,
    loser,
  ]);
  expect(documented.sort()).toEqual(conflicts.sort());
});

test('every CLI verb is documented', async () => {
  const page = read('docs/reference/cli.md');
  for (const row of VERBS.filter((one) => !one.hidden)) {
    const spec = await row.load();
    const names = isNoun(spec) ? spec.verbs.map((verb) => `slipway ${row.name} ${verb.name}`) : [`slipway ${row.name}`];
    for (const name of names) expect(page).toContain(name);
  }
  const words = new Set([...page.matchAll(/^#+ `slipway ([a-z_]+)/gm)].map((match) => match[1] ?? ''));
  expect([...words].filter((word) => !VERBS.some((row) => row.name === word))).toEqual([]);
});

test('every link between pages leads to a file', () => {
  expect(tracked.length).toBeGreaterThan(10);
  const broken = tracked.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
      .map((match) => match[1] ?? '')
      .filter((link) => !existsSync(join(root, dirname(page), link)))
      .map((link) => `${page} -> ${link}`),
  );
  expect(broken).toEqual([]);
});

test('files that pages name exist', () => {
  const missing = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'].flatMap((page) =>
    [...read(page).matchAll(/`((?:src|test|docs|sdk|bin|bench|examples|scripts)\/[\w./-]+)`/g)]
      .map((match) => match[1] ?? '')
      .filter((path) => !/[*<]/.test(path) && !existsSync(join(root, path)))
      .map((path) => `${page}: ${path}`),
  );
  expect(missing).toEqual([]);
});
