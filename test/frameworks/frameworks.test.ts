/**
 * Models that real libraries trained and saved, deployed by the command of the guide and compared with what the library itself answers: through records, the Open Inference
 * Protocol, and the protocol of its own system. Optional: `npm run test:frameworks`; which groups run says SLIPWAY_TEST_FRAMEWORKS.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, type RunningServer, startServer } from '../scenarios/running-server.ts';
import { GROUPS, type Group, pythonOf, whyNot } from './python-group.ts';

const HERE = import.meta.dirname;
const run = promisify(execFile);
type Values = Readonly<Record<string, readonly unknown[]>>;
type Case = {
  readonly name: string;
  readonly path: string;
  readonly command: 'deploy' | 'import' | 'none';
  readonly allowCode: boolean;
  readonly endpoint: string;
  readonly inputs: Values;
  /** numpy's words for the inputs' types. */
  readonly types: Readonly<Record<string, string>>;
  readonly outputs: Values;
  readonly own: 'kserve' | 'mlflow' | 'tensorflow' | 'torchserve' | null;
  readonly tolerance: number;
};

let server: RunningServer;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-frameworks-'));
  const wheels = process.env['SLIPWAY_WHEELS'];
  server = await startServer({ env: wheels === undefined ? {} : { SLIPWAY_WHEELS: wheels } });
});
afterAll(async () => {
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const slipway = (...words: string[]) =>
  run(join(ROOT, 'bin/slipway'), [...words, '--json'], {
    env: { PATH: process.env['PATH'], SLIPWAY_DATA: server.dataDir },
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error: { stdout: string; stderr: string }) => {
    throw new Error(`slipway ${words.join(' ')}: ${error.stdout} ${error.stderr}`);
  });

async function post(path: string, body: unknown): Promise<Record<string, unknown>> {
  const answer = await fetch(server.inferenceUrl + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  expect(answer.status, text).toBe(200);
  return JSON.parse(text) as Record<string, unknown>;
}

const OIP_TYPES: Readonly<Record<string, string>> = { '<f8': 'FP64', '<f4': 'FP32', '<i8': 'INT64' };

/** Numbers within a tolerance relative to 1 + |expected|; anything else equal. */
function near(actual: unknown, expected: unknown, tolerance: number, at: string): void {
  if (Array.isArray(expected)) {
    // One output of one number may come without its list.
    const list = Array.isArray(actual) ? actual : expected.length === 1 ? [actual] : [];
    expect(list.length, at).toBe(expected.length);
    for (const [i, one] of expected.entries()) near(list[i], one, tolerance, `${at}[${i}]`);
  } else if (typeof expected === 'number') {
    const value = Number(actual);
    expect(
      Math.abs(value - expected) / (1 + Math.abs(expected)),
      `${at}: ${value} for ${expected}`,
    ).toBeLessThanOrEqual(tolerance);
  } else expect(actual, at).toEqual(expected);
}

const rowsOf = (values: Values): Record<string, unknown>[] => {
  const count = Object.values(values)[0]!.length;
  return Array.from({ length: count }, (_, row) =>
    Object.fromEntries(Object.entries(values).map(([name, column]) => [name, column[row]])),
  );
};

async function throughRecords({ endpoint, inputs, outputs, tolerance }: Case): Promise<void> {
  const { predictions } = (await post(`/endpoints/${endpoint}/predict`, { records: rowsOf(inputs) })) as {
    predictions: Record<string, unknown>[];
  };
  for (const [name, expected] of Object.entries(outputs)) {
    for (const [row, want] of expected.entries()) {
      const got = predictions[row]![name];
      // Outputs with names of classes come as an object by class.
      const value = typeof got === 'object' && got !== null && !Array.isArray(got) ? Object.values(got) : got;
      near(value, want, tolerance, `${name}[${row}]`);
    }
  }
}

async function throughOpenInference({ endpoint, inputs, types, outputs, tolerance }: Case): Promise<void> {
  const given = Object.entries(inputs).map(([name, data]) => {
    const isText = typeof data.flat(9)[0] === 'string';
    const width = Array.isArray(data[0]) ? [data[0].length] : [];
    return {
      name,
      datatype: isText ? 'BYTES' : OIP_TYPES[types[name]!],
      shape: [data.length, ...width],
      data: data.flat(9),
    };
  });
  const answer = (await post(`/v2/models/${endpoint}/infer`, { inputs: given })) as {
    outputs: { name: string; data: unknown[] }[];
  };
  for (const [name, expected] of Object.entries(outputs)) {
    near(answer.outputs.find((one) => one.name === name)?.data, expected.flat(9), tolerance, name);
  }
}

/** The main output in the protocol that clients of that system speak. */
async function throughItsOwn({ endpoint, inputs, outputs, own, tolerance }: Case): Promise<void> {
  const expected = Object.values(outputs)[0]!;
  const single = Object.values(inputs)[0]!;
  const several = Object.keys(outputs).length > 1;
  const pick = (row: unknown): unknown => (several ? (row as Record<string, unknown>)[Object.keys(outputs)[0]!] : row);
  if (own === 'mlflow') {
    const columns = Object.keys(inputs);
    const data = rowsOf(inputs).map((row) => Object.values(row));
    const { predictions } = await post(`/m/${endpoint}/invocations`, { dataframe_split: { columns, data } });
    near(predictions, expected, tolerance, 'predictions');
  } else if (own === 'torchserve') {
    for (const [row, want] of expected.entries()) {
      const text = await (
        await fetch(`${server.inferenceUrl}/predictions/${endpoint}`, { method: 'POST', body: String(single[row]) })
      ).text();
      expect(text).toContain(String(want).slice(1, 8));
    }
  } else {
    const { predictions } = (await post(`/v1/models/${endpoint}:predict`, { instances: single })) as {
      predictions: unknown[];
    };
    near(predictions.map(pick), expected, tolerance, 'predictions');
  }
}

for (const group of Object.keys(GROUPS) as Group[]) {
  const reason = whyNot(group);
  if (reason !== null) {
    test.skip(`${group} (${reason})`, () => {});
    continue;
  }
  describe(group, () => {
    let cases: Case[];
    test('trains and saves', async () => {
      const python = await pythonOf(group);
      await run(python, [join(HERE, `train_${group}.py`), join(folder, group)], {
        cwd: folder,
        maxBuffer: 64 * 1024 * 1024,
      });
      cases = JSON.parse(readFileSync(join(folder, group, 'cases.json'), 'utf8')) as Case[];
      expect(cases.length).toBeGreaterThan(0);
    });

    test('each answers as its library, in every protocol', async () => {
      const failures: string[] = [];
      for (const one of cases) {
        const startedMs = performance.now();
        try {
          const code = one.allowCode ? ['--allow-code'] : [];
          const name = one.command === 'deploy' ? ['--name', one.endpoint] : [];
          if (one.command !== 'none') await slipway(one.command, one.path, ...name, ...code);
          await throughRecords(one);
          await throughOpenInference(one);
          if (one.own !== null) await throughItsOwn(one);
          console.log(`${one.name}: equal, ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
        } catch (error) {
          failures.push(`${one.name}: ${(error as Error).message.slice(0, 1500)}`);
        }
      }
      expect(failures).toEqual([]);
    });
  });
}
