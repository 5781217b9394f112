import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { environmentsFor, NO_PYTHON } from '../../../test/fixtures/python-models.ts';
import { zipOf } from '../../../test/fixtures/zip.ts';
import type { SlipwayError } from '../../base/errors.ts';
import type { Runtime } from '../../registry/runtime.ts';
import { ENVIRONMENTS_FOLDER } from './environment.ts';
import { createUvFinder, type InstallerName } from './installers.ts';
import { pickInterpreter } from './interpreters.ts';

const folder = mkdtempSync(join(tmpdir(), 'slipway-environments-'));
const wheels = join(folder, 'wheels');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A package of one module, as a wheel. */
function wheel(name: string, version: string, requires: readonly string[] = []): void {
  const info = `${name}-${version}.dist-info`;
  const metadata = [
    'Metadata-Version: 2.1',
    `Name: ${name}`,
    `Version: ${version}`,
    ...requires.map((one) => `Requires-Dist: ${one}`),
  ];
  const files = [
    { path: `${name}/__init__.py`, content: `version = "${version}"\n` },
    { path: `${info}/METADATA`, content: `${metadata.join('\n')}\n` },
    {
      path: `${info}/WHEEL`,
      content: 'Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    },
  ];
  const record = [...files.map(({ path }) => `${path},,`), `${info}/RECORD,,`].join('\n');
  writeFileSync(
    join(wheels, `${name}-${version}-py3-none-any.whl`),
    zipOf([...files, { path: `${info}/RECORD`, content: `${record}\n` }]),
  );
}

const needs = (...requirements: string[]): Runtime => ({
  loader: 'function',
  options: {},
  python: null,
  requirements,
  network: false,
});
const madeIn = (dataDir: string): string[] =>
  readdirSync(join(dataDir, ENVIRONMENTS_FOLDER)).filter((one) => /^[0-9a-f]{40}$/.test(one));

const leftIn = (dataDir: string): string[] =>
  readdirSync(join(dataDir, ENVIRONMENTS_FOLDER)).filter((one) => one.endsWith('.partial'));

const hasUv = await createUvFinder()();
const whyNot = (installer: InstallerName): string | null =>
  NO_PYTHON ?? (installer === 'uv' && !hasUv ? 'there is no uv here' : null);

beforeAll(() => {
  mkdirSync(wheels);
  wheel('slipway_bolt', '1.0');
  wheel('slipway_bolt', '2.0');
  wheel('slipway_door', '1.0', ['slipway_bolt==1.0']);
});

describe.each(['pip', 'uv'] as const)('environments by %s', (installer) => {
  const reason = whyNot(installer);
  describe.skipIf(reason !== null)(reason === null ? 'as they are made' : `(${reason})`, { timeout: 180_000 }, () => {
    const data = (name: string): string => join(folder, installer, name);
    const environmentsIn = (dataDir: string) => environmentsFor(dataDir, wheels, installer);

    const fault = async (...requirements: string[]): Promise<SlipwayError> =>
      environmentsIn(data('faults'))
        .ensure(needs(...requirements), () => {})
        .then(
          () => expect.unreachable('it was made'),
          (error: unknown) => error as SlipwayError,
        );

    test('one is made of a folder of wheels, once, and shared by those that need the same', async () => {
      const environments = environmentsIn(data('shared'));
      const lines: string[] = [];
      const [one, two] = await Promise.all([
        environments.ensure(needs('slipway_door==1.0'), (line) => lines.push(line)),
        environments.ensure(needs('slipway_door==1.0'), () => {}),
      ]);
      expect(two.interpreter).toBe(one.interpreter);
      expect(one.detail).toMatch(/2 packages, made in/);
      expect(lines.join('\n')).toMatch(/slipway.door/i);
      const again = await environments.ensure(needs(' slipway_door==1.0'), () => {});
      expect([again.name, again.detail]).toEqual([one.name, expect.stringMatching(/was there already/)]);
      expect(madeIn(data('shared'))).toEqual([one.name]);
    });

    test('two requirements that exclude each other: the words of the resolver, then what to do', async () => {
      const error = await fault('slipway_door==1.0', 'slipway_bolt==2.0');
      expect(error.code).toBe('environment_failed');
      expect(error.message).toMatch(/slipway.door .*depends? on slipway.bolt==1\.0/i);
      expect(error.hint).toMatch(/exclude each other/);
    });

    test('a package or a version that is not there: which one, and where it was looked for', async () => {
      const error = await fault('slipway_door==9.9');
      expect(error.code).toBe('environment_failed');
      expect(error.message).toMatch(/slipway.door==9\.9/i);
      expect(error.hint).toMatch(/No wheel of that version is in the folder of SLIPWAY_WHEELS/);
      expect((await fault('slipway_no_such_thing')).message).toMatch(/slipway.no.such.thing/i);
      expect(madeIn(data('faults'))).toEqual([]);
      expect(leftIn(data('faults'))).toEqual([]);
    });

    test('a making that was killed half-way leaves nothing that is used, and the next one is whole', async () => {
      const dataDir = data('faults'); // pip is there already
      const victim = spawn(
        process.execPath,
        [
          join(import.meta.dirname, '../../../test/fixtures/environment-victim.ts'),
          dataDir,
          wheels,
          installer,
          'slipway_door==1.0',
        ],
        { stdio: ['ignore', 'pipe', 'inherit'], detached: true },
      );
      // The first words of the installer: the folder is half full.
      await new Promise((resolve) => victim.stdout.once('data', resolve));
      const ended = new Promise((resolve) => victim.once('exit', resolve));
      process.kill(-victim.pid!, 'SIGKILL');
      await ended;
      expect(madeIn(dataDir)).toEqual([]);
      expect(leftIn(dataDir)).toHaveLength(1);
      const made = await environmentsIn(dataDir).ensure(needs('slipway_door==1.0'), () => {});
      expect(made.detail).toMatch(/2 packages, made in/);
      expect(leftIn(dataDir)).toEqual([]);
    });

    test('one that lost its record is made again', async () => {
      const environments = environmentsIn(data('shared'));
      const made = await environments.ensure(needs('slipway_bolt==2.0'), () => {});
      const record = join(data('shared'), ENVIRONMENTS_FOLDER, made.name, 'environment.json');
      const whole = readFileSync(record);
      writeFileSync(record, whole.subarray(0, whole.length / 2));
      expect((await environments.ensure(needs('slipway_bolt==2.0'), () => {})).detail).toMatch(/made in/);
    });
  });
});

describe('the interpreter', () => {
  const found = [
    { path: '/usr/bin/python3', version: '3.12.1', platform: 'linux-x86_64' },
    { path: '/opt/python3.11', version: '3.11.7', platform: 'linux-x86_64' },
  ];

  test('is the one that the model was made with, else the first', () => {
    expect(pickInterpreter(found, '3.11').version).toBe('3.11.7');
    expect(pickInterpreter(found, null).version).toBe('3.12.1');
  });

  test('of another version is told with those that are there, and how to go on', () => {
    expect(() => pickInterpreter(found, '3.1')).toThrow(/made with Python 3\.1, and here are 3\.12\.1, 3\.11\.7/);
    expect(() => pickInterpreter([], null)).toThrow(/no Python on this machine/);
  });
});
