/** What holds for conversions whatever packages are here; real converters are tried in test/frameworks. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NO_PYTHON, pythonSpecOf } from '../../../test/fixtures/python-models.ts';
import { modelBytes, type RegistryUnderTest, startRegistry } from '../../../test/fixtures/registry.ts';
import { RUNNER_LIMITS, silent } from '../../../test/fixtures/runner-specs.ts';
import { systemClock as clock } from '../../base/clock.ts';
import { readSettings } from '../../base/settings.ts';
import { limitsOfSettings } from '../../registry/limits.ts';
import { planConversion } from './conversion.ts';
import { beginConversion, findConversion, insertConversion, listOpenConversions } from './conversion-store.ts';
import { type Conversions, createConversions } from './conversions.ts';
import { runTool } from './tool-run.ts';

let under: RegistryUnderTest;
let conversions: Conversions;

const create = (): Conversions =>
  createConversions({
    database: under.database,
    clock,
    log: silent,
    artifacts: under.artifacts,
    registry: under.registry,
    scratchDir: join(under.folder, 'run'),
    limits: limitsOfSettings(readSettings({}).settings),
    timeoutMs: 60_000,
  });

beforeEach(async () => {
  under = await startRegistry();
  conversions = create();
  await under.push('churn', { 'model.onnx': modelBytes('add.onnx') });
  await under.registry.versions.get(under.call, 'churn', '1', { waitMs: 5000 });
});
afterEach(async () => {
  conversions.stop();
  await under.close();
});

const optimize = { kind: 'optimize', quantize: 'none' } as const;

describe('asking for a conversion', () => {
  test('where Python is switched off it fails, with what to do', async () => {
    const asked = await conversions.service.create(under.call, 'churn', '1', optimize);
    expect(asked).toMatchObject({ status: 'waiting', from: 1, model: 'churn' });
    const ended = await conversions.service.get(under.call, 'churn', asked.id, { waitMs: 5000 });
    expect(ended).toMatchObject({ status: 'failed', version: null, report: null });
    expect(ended.reason).toMatch(/switched off/);
    expect(ended.hint).toMatch(/SLIPWAY_PYTHON=on/);
    expect(await conversions.service.list(under.call, 'churn', { after: null, limit: 10 })).toEqual([ended]);
  });

  test('a dry run checks and asks for nothing', async () => {
    await conversions.service.create({ ...under.call, dryRun: true }, 'churn', '1', optimize);
    expect(await conversions.service.list(under.call, 'churn', { after: null, limit: 10 })).toEqual([]);
  });

  test('needs the scope deploy; to read needs read', async () => {
    const reader = under.callWith({ scopes: ['read'] });
    await expect(conversions.service.create(reader, 'churn', '1', optimize)).rejects.toMatchObject({
      code: 'not_permitted',
    });
    const stranger = under.callWith({ scopes: ['predict'] });
    await expect(conversions.service.list(stranger, 'churn', { after: null, limit: 1 })).rejects.toMatchObject({
      code: 'not_permitted',
    });
  });

  test('what cannot be converted is refused at once', async () => {
    await expect(
      conversions.service.create(under.call, 'churn', '1', { kind: 'convert', to: 'onnx' }),
    ).rejects.toMatchObject({
      code: 'model_unsupported',
      message: expect.stringMatching(/ONNX already/),
    });
    await expect(conversions.service.create(under.call, 'churn', '9', optimize)).rejects.toMatchObject({
      code: 'version_not_found',
    });
    await expect(conversions.service.get(under.call, 'churn', 'nothing')).rejects.toMatchObject({
      code: 'conversion_not_found',
    });
  });
});

describe('after the server ended in the middle', () => {
  const left = async (attempts: number, from = 1): Promise<string> => {
    const id = `019aaaaa-0000-7000-8000-00000000000${attempts}`;
    const version = await under.database.db.selectFrom('versions').selectAll().executeTakeFirstOrThrow();
    await insertConversion(under.database.db, {
      id,
      projectId: version.project_id,
      modelId: version.model_id,
      from,
      spec: optimize,
      status: 'waiting',
      reason: null,
      hint: null,
      report: null,
      version: null,
      attempts: 0,
      createdAt: clock.now().toISOString(),
      createdBy: 'key:test',
      finishedAt: null,
    });
    await beginConversion(under.database.db, id, attempts);
    return id;
  };

  test('it is begun again, and what it had laid is removed', async () => {
    const id = await left(1);
    mkdirSync(join(under.folder, 'run', 'convert', 'conversion-old'), { recursive: true });
    expect(await listOpenConversions(under.database.db)).toEqual([id]);
    await conversions.start();
    await conversions.service.get(under.call, 'churn', id, { waitMs: 5000 });
    expect(await findConversion(under.database.db, id)).toMatchObject({ attempts: 2, status: 'failed' });
    expect(readdirSync(join(under.folder, 'run'))).toEqual([]);
  });

  test('one that took its server with it three times is given up', async () => {
    const id = await left(3);
    await conversions.start();
    const ended = await conversions.service.get(under.call, 'churn', id, { waitMs: 5000 });
    expect(ended).toMatchObject({ status: 'failed', reason: expect.stringMatching(/begun 3 times/) });
  });

  test('a version that was made just before is found, and none is made beside it', async () => {
    const id = await left(1);
    const made = await under.push(
      'churn',
      { 'model.onnx': modelBytes('add.onnx') },
      { idempotencyKey: `conversion-${id}` },
    );
    await conversions.start();
    const ended = await conversions.service.get(under.call, 'churn', id, { waitMs: 5000 });
    expect(ended).toMatchObject({ status: 'made', version: made.version });
  });

  test('a stop stores nothing: it stays open for the next start', async () => {
    const id = await left(1);
    conversions.stop();
    await conversions.start();
    expect(await findConversion(under.database.db, id)).toMatchObject({ status: 'working', attempts: 1 });
    conversions = create();
  });
});

test('a caller cannot write a report of its own into the lineage', async () => {
  const { CreateVersionBody } = await import('../../registry/version-schema.ts');
  const { closeSchema, createSchemaValidator } = await import('../../base/schema-validation.ts');
  const check = createSchemaValidator().compile(closeSchema(CreateVersionBody), 'body');
  const files = [{ path: 'model.onnx', digest: `sha256:${'0'.repeat(64)}` }];
  expect('error' in (check({ files, lineage: { data: 'x' } }) as object)).toBe(false);
  expect('error' in (check({ files, lineage: { conversion: {} } }) as object)).toBe(true);
});

test('each format has its converter, with the packages of the version and those of the tool', () => {
  const signature = { inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 4] }], outputs: [] } as const;
  const runtime = {
    loader: 'estimator',
    options: { file: 'model.pkl' },
    python: '3.11',
    requirements: ['scikit-learn==1.9.1', 'xgboost==3.2.0', 'onnx==1.20.0'],
    network: false,
  } as const;
  const plan = planConversion(
    { kind: 'convert', to: 'onnx' },
    { format: 'estimator', entry: 'model.pkl', runtime, signature },
  );
  expect(plan).toMatchObject({
    tool: 'converter',
    needs: { python: '3.11' },
    floats: ['FP64', 'FP64 as written', 'FP32'],
  });
  expect(plan.needs.requirements).toEqual([...runtime.requirements, 'skl2onnx', 'onnxmltools', 'packaging']);
  const booster = planConversion(
    { kind: 'convert', to: 'onnx' },
    { format: 'xgboost', entry: 'b.json', runtime: null, signature },
  );
  expect(booster.options).toMatchObject({
    source: { loader: 'estimator', options: { reader: 'xgboost', file: 'b.json' } },
  });
  expect(() =>
    planConversion({ kind: 'convert', to: 'onnx' }, { format: 'python', entry: 'predict.py', runtime, signature }),
  ).toThrow(/no converter to ONNX for a version of the format python/);
});

if (NO_PYTHON !== null) test.skip(`the tool program (${NO_PYTHON})`, () => {});
else {
  test('the tool runs in the cage of runners, and refuses in words what it has no converter for', async () => {
    const scratchDir = mkdtempSync(join(under.folder, 'tool-'));
    const spec = await pythonSpecOf('add', scratchDir);
    const started: (() => void)[] = [];
    const answer = runTool(
      {
        tool: 'converter',
        options: { source: { loader: 'function', options: {} }, signature: spec.signature },
        needs: { python: null, requirements: [] },
        floats: ['FP32'],
      },
      {
        name: spec.name,
        entry: spec.entry,
        files: spec.files,
        options: { floats: 'FP32' },
        interpreter: spec.python!.interpreter,
        limits: RUNNER_LIMITS,
        scratchDir,
        folder: scratchDir,
        calibration: null,
        onStart: (end) => started.push(end),
      },
      silent,
    );
    await expect(answer).rejects.toMatchObject({
      code: 'model_unsupported',
      message: expect.stringMatching(/no converter to ONNX for what function loads/),
    });
    expect(started).toHaveLength(1);
    expect(readdirSync(scratchDir)).toEqual([]);
    rmSync(scratchDir, { recursive: true });
  });
}
