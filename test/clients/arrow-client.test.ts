/** pandas, polars and pyarrow, unchanged, against the whole server. Optional: `npm run test:clients`. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { MODELS, type RunningServer, startServer } from '../scenarios/running-server.ts';
import { hasPython, makeEnvironment, runChecks } from './python-environment.ts';

/** Of pro at 41, basic at 2 and team at 7. */
const SCORES = [30.75, 2.25, 103.75];

describe.skipIf(!hasPython)('data frames', () => {
  let server: RunningServer;
  let saw: (check: string) => unknown;

  beforeAll(async () => {
    await makeEnvironment();
    server = await startServer();
    const files = [await fileSource(join(MODELS, 'mixed.onnx'), 'model.onnx')];
    expect((await server.client.deploy({ model: 'mixed', files })).outcome).toBe('served');
    saw = await runChecks('arrow_client.py', new URL(server.inferenceUrl).host);
  });
  afterAll(() => server?.dispose());

  test('of pandas go as Arrow, with numbers as they are and categories as dictionaries', () => {
    expect(saw('pandas')).toEqual(SCORES.map((score) => ({ id: expect.any(String), score })));
    expect(saw('pandas category')).toEqual({ columns: ['id', 'score'], score: SCORES, frame: SCORES });
  });

  test('of polars go as Arrow, with its own form of strings', () => {
    expect(saw('polars')).toEqual(SCORES);
  });

  test('go as CSV and come back as CSV', () => {
    expect(saw('csv')).toEqual({ columns: ['id', 'score'], score: SCORES });
  });
});
