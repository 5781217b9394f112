/**
 * `slipway convert` and `slipway optimize` on models of real libraries: what is made answers like what it was made of, is a version like any other, and where it does not answer alike it is not made.
 * Optional: `npm run test:frameworks`.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Conversion, Version } from '../../sdk/src/client.ts';
import { eventually, kill, ROOT, type RunningServer, startServer } from '../scenarios/running-server.ts';
import { pythonOf, whyNot } from './python-group.ts';

const run = promisify(execFile);
const reason = whyNot('core');
let server: RunningServer;
let folder: string;

type Result = {
  readonly code: number;
  readonly conversion: Conversion;
  readonly version: Version | null;
  readonly text: string;
};

/** Runs a command of the CLI with --json. */
async function slipway(...words: string[]): Promise<{ code: number; data: never; text: string }> {
  const answer = await run(join(ROOT, 'bin/slipway'), [...words, '--json'], {
    env: { PATH: process.env['PATH'], SLIPWAY_DATA: server.dataDir },
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error: { code: number; stdout: string; stderr: string }) => error);
  const text = `${answer.stdout}${answer.stderr}`;
  const document = answer.stdout === '' ? { data: null } : (JSON.parse(answer.stdout) as { data: unknown });
  return { code: 'code' in answer ? answer.code : 0, data: document.data as never, text };
}

async function deployed(name: string, path = join(folder, name)): Promise<void> {
  const { code, text } = await slipway('deploy', path, '--name', name, '--allow-code');
  expect(code, text).toBe(0);
}

async function conversionOf(verb: 'convert' | 'optimize', version: string, ...words: string[]): Promise<Result> {
  const { code, data, text } = await slipway(verb, version, ...words);
  expect(data, text).not.toBeNull();
  return { code, text, ...(data as { conversion: Conversion; version: Version | null }) };
}

function told(name: string, { conversion: { report } }: Result): void {
  if (report === null) return;
  const { before, after, outputs } = report;
  const differences = outputs
    .map((one) => `${one.name} ${one.largestDifference?.toExponential(1) ?? `${one.unequal} unequal`}`)
    .join(', ');
  console.log(
    `${name}: ${report.by}; ${differences}; one row ${before.rowMs} -> ${after.rowMs} ms, ${before.batchRows} rows ${before.batchMs} -> ${after.batchMs} ms, ` +
      `${before.sizeBytes} -> ${after.sizeBytes} bytes`,
  );
}

if (reason !== null) test.skip(`conversions (${reason})`, () => {});
else {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'slipway-conversions-'));
    const wheels = process.env['SLIPWAY_WHEELS'];
    const python = await pythonOf('core');
    await run(python, [join(import.meta.dirname, 'train_conversions.py'), folder], { maxBuffer: 64 * 1024 * 1024 });
    server = await startServer({ env: wheels === undefined ? {} : { SLIPWAY_WHEELS: wheels } });
  });
  afterAll(async () => {
    await server?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  describe('convert', () => {
    test.each([
      ['logistic', 'logistic'],
      ['forest', 'forest'],
      ['boosting', 'boosting'],
      ['histogram', 'histogram'],
      ['xgboost-pipeline', 'xgboost-pipeline'],
      ['lightgbm', 'lightgbm'],
      ['columns', 'columns'],
      ['xgb', 'booster.json'],
      ['lgb', 'booster.txt'],
    ])('%s becomes ONNX that answers alike', async (name, file) => {
      await deployed(name, join(folder, file));
      const made = await conversionOf('convert', `${name}@1`, '--to', 'onnx');
      told(name, made);
      expect(made.code, made.text).toBe(0);
      expect(made.conversion).toMatchObject({ status: 'made', from: 1, version: 2 });
      expect(made.version).toMatchObject({ status: 'ready', format: 'onnx', lineage: { parentVersion: 1 } });
      // Callers of the version before see no difference.
      const diff = await server.client.versions.diff(name, 2, 1);
      expect(diff.breaking, JSON.stringify(diff)).toBe(false);
      // The report is part of the version, and of its digest.
      expect(made.version!.lineage.conversion).toEqual(made.conversion.report);
      expect(made.version!.files.map((one) => one.path)).toContain('golden.json');
      expect(made.version!.validation!.steps.find((step) => step.name === 'golden')!.outcome).toBe('passed');
      for (const output of made.conversion.report!.outputs) expect(output.unequal).toBe(0);
      expect((await server.client.versions.show(name, 1)).status).toBe('ready');
    });

    test('rows of the golden set and of the reference set are compared too', async () => {
      const { report } = (await server.client.conversions.list('columns').all())[0]!;
      expect(report!.rows).toMatchObject({ golden: 3, example: 1, reference: 400 });
    });

    test('a version that answers differently is not made, and the one before stays', async () => {
      const refused = await conversionOf('convert', 'logistic@1', '--tolerance', '0');
      expect(refused.code).toBe(8);
      expect(refused.conversion).toMatchObject({ status: 'refused', version: null });
      expect(refused.conversion.reason).toMatch(
        /The answers are not the same: .*differs in \d+ of \d+ values, by up to/,
      );
      expect(refused.conversion.report!.outputs.some((one) => one.unequal > 0)).toBe(true);
      expect(await server.client.versions.list('logistic').all()).toHaveLength(2);
    });

    test('what has no converter says so', async () => {
      const { code, text } = await slipway('convert', 'logistic@2');
      expect(code).toBe(6);
      expect(text).toMatch(/ONNX already/);
    });

    test('kill -9 in the middle: it is begun again, and made once', async () => {
      await slipway('convert', 'boosting@1', '--no-wait');
      await eventually(
        'it works',
        async () => (await server.client.conversions.list('boosting').all())[0]?.status === 'working',
      );
      for (const pid of server.pids('control')) kill(pid);
      await eventually(
        'it is made',
        async () =>
          (
            await server.client.conversions
              .list('boosting')
              .all()
              .catch(() => [])
          )[0]?.status === 'made',
        300_000,
      );
      expect((await server.client.versions.list('boosting').all()).map((one) => one.version)).toEqual([3, 2, 1]);
    });
  });

  describe('optimize', () => {
    test.each([
      ['none', []],
      ['int8', ['--quantize', 'int8']],
      ['int8-static', ['--quantize', 'int8-static']],
      ['fp16', ['--quantize', 'fp16']],
    ])('a network, %s', async (way, words) => {
      if (way === 'none') await deployed('network');
      const made = await conversionOf('optimize', 'network@1', ...words, '--truth', 'malignant');
      told(way, made);
      expect(made.code, made.text).toBe(0);
      const { report } = made.conversion;
      expect(made.version).toMatchObject({
        status: 'ready',
        lineage: { parentVersion: 1, conversion: { quantize: way } },
      });
      expect(report!.rows.reference).toBe(569);
      expect(report!.accuracy!.before).toBeGreaterThan(0.95);
      expect(report!.accuracy!.before - report!.accuracy!.after).toBeLessThanOrEqual(0.01);
      if (way !== 'none') expect(report!.after.sizeBytes).toBeLessThan(report!.before.sizeBytes * 0.7);
    });

    test('one that loses too much is not made', async () => {
      await deployed('fragile');
      const refused = await conversionOf('optimize', 'fragile@1', '--quantize', 'int8');
      expect(refused.code, refused.text).toBe(8);
      expect(refused.conversion).toMatchObject({ status: 'refused', version: null });
      expect(refused.conversion.reason).toMatch(
        /Too many answers change: scores keeps [\d.]+ %, and 99 % was asked for/,
      );
    });

    test('trees have nothing to quantise', async () => {
      const failed = await conversionOf('optimize', 'forest@2', '--quantize', 'int8');
      expect(failed.code).toBe(6);
      expect(failed.conversion.reason).toMatch(
        /Nothing in this graph can be quantised: it has .*TreeEnsembleClassifier/,
      );
    });
  });
}
