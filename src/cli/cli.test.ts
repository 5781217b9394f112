import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RELEASE } from '../base/release.ts';
import { SETTINGS } from '../base/settings.ts';
import { DATA_DEFAULT, DATA_ENV } from './client-settings.ts';
import { EXIT_CODES } from './exit-code.ts';
import { optionsOf } from './help.ts';
import type { VerbSpec } from './verb.ts';
import { isNoun, VERBS } from './verbs.ts';

const SLIPWAY = join(import.meta.dirname, '../../bin/slipway');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

type Run = { code: number | null; stdout: string; stderr: string };

/** Runs the real command in an empty folder, with nothing of ours in its environment. */
function slipway(args: readonly string[], env: Record<string, string> = {}, input = '', inside = '.'): Run {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_')));
  const run = spawnSync(SLIPWAY, args, {
    cwd: join(folder, inside),
    env: { ...clean, ...env } as NodeJS.ProcessEnv,
    input,
    encoding: 'utf8',
  });
  return { code: run.status, stdout: run.stdout, stderr: run.stderr };
}

const words: { words: string[]; spec: VerbSpec }[] = [];
for (const row of VERBS) {
  const spec = await row.load();
  if (isNoun(spec)) for (const verb of spec.verbs) words.push({ words: [row.name, verb.name], spec: verb });
  else words.push({ words: [row.name], spec });
}
const named = words.map((entry) => ({ ...entry, line: entry.words.join(' ') }));
const shown = named.filter((entry) => !entry.spec.hidden && !entry.spec.name.startsWith('__'));

test('--version prints the release and nothing else', () => {
  expect(slipway(['--version'])).toEqual({ code: 0, stdout: `${RELEASE}\n`, stderr: '' });
});

test('it runs through a symbolic link and from any folder', () => {
  mkdirSync(join(folder, 'links'));
  symlinkSync(SLIPWAY, join(folder, 'links/one'));
  symlinkSync('one', join(folder, 'links/slipway'));
  const run = spawnSync('./links/slipway', ['--version'], { cwd: folder, encoding: 'utf8' });
  expect([run.status, run.stdout]).toEqual([0, `${RELEASE}\n`]);
});

test.each(shown)('$line -h shows examples before usage and options', ({ words: path, spec, line }) => {
  const { code, stdout, stderr } = slipway([...path, '-h']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const at = (text: string): number => stdout.indexOf(text);
  expect(at('Examples')).toBeGreaterThan(0);
  expect(at('Usage')).toBeGreaterThan(at('Examples'));
  expect(at('Options')).toBeGreaterThan(at('Usage'));
  for (const [command] of spec.examples) expect(stdout).toContain(command);
  expect(stdout).toContain(`docs/reference/cli.md#slipway-${line.replaceAll(' ', '-')}`);
  expect(slipway(['help', ...path]).stdout).toBe(stdout);
});

test.each(shown)('$line knows --json, and --dry-run if it changes something', ({ spec, line }) => {
  const flags = optionsOf(spec).map((option) => option.flags);
  expect(flags.some((flag) => flag.startsWith('--json'))).toBe(true);
  const changing =
    /create|update|delete|erase|set$|hold$|release$|quality$|references first$|push|deploy|rotate|send|import|revoke|collect|load$|convert$|optimize$|rollouts (start|pause|resume|promote|abort|approve)$|rollback$/.test(
      line,
    );
  expect(flags.includes('--dry-run')).toBe(changing);
  expect(spec.severe === true).toBe(/^(models|versions|endpoints|projects) delete$|^subjects erase$/.test(line));
  // Other users of a machine see command lines.
  expect(flags.filter((flag) => /^--(token|api-key|password|secret)/.test(flag))).toEqual([]);
});

test.each(shown)('$line refuses an unknown option with exit code 2 and says where help is', ({ words: path }) => {
  const { code, stdout, stderr } = slipway([...path, '--no-such-option']);
  expect({ code, stdout }).toEqual({ code: EXIT_CODES.usage.code, stdout: '' });
  expect(stderr).toMatch(/-h` shows examples/);
  expect(stderr).not.toMatch(/ at .*\.ts:\d/);
});

test('a typo is suggested and never run', () => {
  for (const [args, guess] of [
    [['modles', 'list'], 'models'],
    [['models', 'lst'], 'list'],
    [['help', 'depoly'], 'deploy'],
    [['help', 'keys', 'rotat'], 'rotate'],
    [['predict', 'x', '--fiel', 'y'], '--file'],
  ] as const) {
    const { code, stdout, stderr } = slipway(args);
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
    expect(stderr).toContain(`Did you mean ${guess}?`);
  }
});

test('without a word it shows what there is, and fails as a wrong command line', () => {
  const { code, stdout, stderr } = slipway([]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('slipway deploy ./model.onnx --name churn');
});

test('where no server is found that is said first, with how to start one', () => {
  const { code, stdout, stderr } = slipway(['status']);
  expect({ code, stdout }).toEqual({ code: EXIT_CODES.unavailable.code, stdout: '' });
  expect(stderr).toMatch(/^Error: No server was found/);
  expect(stderr).toContain('slipway serve');
});

test('the data folder of a folder above is found', () => {
  mkdirSync(join(folder, 'above/.slipway/run'), { recursive: true });
  mkdirSync(join(folder, 'above/deep/down'), { recursive: true });
  writeFileSync(join(folder, 'above/.slipway/admin.key'), 'k\n');
  writeFileSync(join(folder, 'above/.slipway/run/server.json'), JSON.stringify({ url: 'http://127.0.0.1:1' }));
  const run = slipway(['status'], {}, '', 'above/deep/down');
  expect(run.code).toBe(EXIT_CODES.unavailable.code);
  expect(run.stderr).toContain('http://127.0.0.1:1 cannot be reached');
  expect(run.stderr).toContain('npm start');
  rmSync(join(folder, 'above'), { recursive: true });
});

test('--json makes a document of a failure before a verb ran, of the release and of help too', () => {
  const documents: [string[], number][] = [
    [['audit', '--json'], 2],
    [['predict', 'x', '--json'], 2],
    [['predict', 'x', '--nope', '--json'], 2],
    [
      [
        'predict',
        'x',
        '--json',
        '{bad',
        '--json',
        '--url',
        'http://127.0.0.1:1',
        '--inference-url',
        'http://127.0.0.1:1',
      ],
      6,
    ],
    [['nonsense', '--json'], 2],
  ];
  for (const [args, exit] of documents) {
    const { code, stdout, stderr } = slipway(args);
    expect({ args, code, stdout }).toEqual({ args, code: exit, stdout: '' });
    expect(JSON.parse(stderr)).toMatchObject({ kind: 'error', error: { exitCode: exit } });
  }
  expect(JSON.parse(slipway(['--version', '--json']).stdout)).toMatchObject({ data: { release: RELEASE } });
  expect(JSON.parse(slipway(['help', 'deploy', '--json']).stdout)).toMatchObject({ data: { words: 'deploy' } });
});

test('a name that the server would refuse is refused at once, with a better one', () => {
  const env = { SLIPWAY_URL: 'http://127.0.0.1:1', SLIPWAY_API_KEY: 'k' };
  for (const args of [
    ['deploy', 'absent.onnx', '--name', 'My Model'],
    ['models', 'push', 'absent.onnx', '--name', 'My Model'],
    ['deploy', 'absent.onnx', '--endpoint', 'My Model'],
    ['endpoints', 'create', 'My Model'],
    ['aliases', 'set', 'm', 'My Model', '1'],
    ['projects', 'create', 'My Model'],
    ['keys', 'create', 'My Model', '--scope', 'read'],
  ]) {
    const { code, stderr } = slipway(args, env);
    expect({ args, code, stderr }).toMatchObject({ args, code: 2 });
    expect(stderr).toContain('my-model');
  }
});

test('without a key it says how to get one: exit code 5, and with --json one document on standard error', () => {
  const env = { SLIPWAY_URL: 'http://127.0.0.1:1' };
  expect(slipway(['models', 'list'], env)).toMatchObject({ code: 5, stdout: '' });
  const { code, stdout, stderr } = slipway(['models', 'list', '--json'], env);
  expect({ code, stdout }).toEqual({ code: 5, stdout: '' });
  expect(JSON.parse(stderr)).toMatchObject({
    schema: 'slipway.cli/1',
    kind: 'error',
    error: { code: 'key_missing', exitCode: 5 },
  });
});

test('a server that does not answer is exit code 7', () => {
  const env = { SLIPWAY_URL: 'http://127.0.0.1:1', SLIPWAY_API_KEY: 'k' };
  const { code, stderr } = slipway(['status'], env);
  expect(code).toBe(EXIT_CODES.unavailable.code);
  expect(stderr).toContain('http://127.0.0.1:1');
  expect(stderr).toContain('(code unreachable)');
});

test('the key of the server beside us is not sent to another server', () => {
  mkdirSync(join(folder, '.slipway'), { recursive: true });
  writeFileSync(join(folder, '.slipway/admin.key'), 'secret\n');
  expect(slipway(['status', '--url', 'http://127.0.0.1:1'])).toMatchObject({ code: 5 });
  expect(slipway(['status']).code).toBe(7);
  rmSync(join(folder, '.slipway'), { recursive: true });
});

test('a key comes from a file or standard input', () => {
  writeFileSync(join(folder, 'my.key'), 'k\n');
  expect(slipway(['status', '--url', 'http://127.0.0.1:1', '--key-file', 'my.key']).code).toBe(7);
  expect(slipway(['status', '--url', 'http://127.0.0.1:1', '--key-file', '-'], {}, 'k\n').code).toBe(7);
  expect(slipway(['status', '--url', 'http://127.0.0.1:1', '--key-file', 'absent.key'])).toMatchObject({ code: 3 });
});

test('a wrong address, count or name=value is a wrong command line', () => {
  for (const args of [
    ['status', '--url', 'ftp://x'],
    ['status', '--url', 'http://user:pass@host'],
    ['models', 'list', '--limit', 'ten'],
    ['versions', 'diff', 'churn', '1'],
    ['predict', 'churn'],
    ['predict', 'churn', '--json', '{}', '--file', 'x.csv'],
    ['keys', 'create', 'ci'],
    ['completion', 'tcsh'],
  ]) {
    const { code, stderr } = slipway(args, { SLIPWAY_API_KEY: 'k', SLIPWAY_URL: 'http://127.0.0.1:1' });
    expect({ args, code, stderr }).toMatchObject({ args, code: 2 });
  }
});

test('a file that is not there is exit code 3', () => {
  const env = { SLIPWAY_URL: 'http://127.0.0.1:1', SLIPWAY_API_KEY: 'k' };
  expect(slipway(['deploy', './absent.onnx'], env)).toMatchObject({ code: 3, stdout: '' });
});

test('config names every setting with its value and origin, and hides the key', () => {
  const env = { SLIPWAY_HTTP_PORT: '9000', SLIPWAY_API_KEY: 'slipway_live_secret' };
  const { code, stdout } = slipway(['config', '--json', '--drain', '7s'], env);
  expect(code).toBe(0);
  expect(stdout).not.toContain('slipway_live_secret');
  const { data } = JSON.parse(stdout) as { data: { server: { name: string; value: unknown; origin: string }[] } };
  expect(data.server.map((row) => row.name)).toEqual(Object.keys(SETTINGS));
  const of = (name: string) => data.server.find((row) => row.name === name);
  expect(of('httpPort')).toMatchObject({ value: 9000, origin: 'env' });
  expect(of('drainMs')).toMatchObject({ value: 7000, origin: 'flag' });
  expect(of('host')).toMatchObject({ value: '127.0.0.1', origin: 'default' });
});

test('all wrong settings are named at once', () => {
  const { code, stderr } = slipway(['config'], { SLIPWAY_HTTP_PORT: 'x', SLIPWAY_DRAIN: '5' });
  expect(code).toBe(2);
  expect(stderr).toContain('SLIPWAY_HTTP_PORT');
  expect(stderr).toContain('SLIPWAY_DRAIN');
});

test('serve refuses a public address without authentication before it starts anything', () => {
  const { code, stderr } = slipway(['serve', '--host', '0.0.0.0']);
  expect(code).toBe(EXIT_CODES.validation.code);
  expect(stderr).toContain('SLIPWAY_INFERENCE_AUTH=required');
});

test('doctor works without a server: at least ten checks, and it fails by exit code 8', () => {
  const { code, stdout } = slipway(['doctor', '--json']);
  expect(code).toBe(EXIT_CODES.gate.code);
  const { data } = JSON.parse(stdout) as { data: { checks: { outcome: string; fix: string | null }[] } };
  expect(data.checks.length).toBeGreaterThanOrEqual(10);
  for (const check of data.checks) expect(check.outcome === 'pass').toBe(check.fix === null);
});

test('completion offers verbs, then their options, then files', () => {
  const offered = (...typed: string[]): string[] =>
    slipway(['__complete', '--', ...typed])
      .stdout.split('\n')
      .filter(Boolean);
  expect(offered('mod')).toEqual(['models']);
  expect(offered('models', '')).toEqual(['list', 'show', 'push', 'delete']);
  expect(offered('deploy', '')).toEqual([':file']);
  expect(offered('deploy', 'm.onnx', '--al')).toEqual(['--allow-breaking', '--alias', '--allow-code']);
  expect(offered('predict', 'x', '--output', '')).toEqual(['table', 'ndjson', 'json', 'csv']);
  expect(offered('completion', 'b')).toEqual(['bash']);
  for (const shell of ['bash', 'zsh', 'fish'])
    expect(slipway(['completion', shell])).toMatchObject({ code: 0, stderr: '' });
});

test('the completion script for bash is valid and offers verbs', () => {
  const script = slipway(['completion', 'bash']).stdout;
  const run = spawnSync(
    'bash',
    [
      '-c',
      `PATH="$1:$PATH"; ${script}\nCOMP_WORDS=(slipway en); COMP_CWORD=1; _slipway; printf '%s\\n' "\${COMPREPLY[@]}"`,
      '-',
      join(SLIPWAY, '..'),
    ],
    { encoding: 'utf8' },
  );
  expect([run.stderr, run.stdout]).toEqual(['', 'endpoints\n']);
});

test('the data folder is read by the same name and default as the server uses', () => {
  expect([DATA_ENV, DATA_DEFAULT]).toEqual([SETTINGS.dataDir.env, SETTINGS.dataDir.default]);
});
