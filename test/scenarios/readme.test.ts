/** What the README and the quick start tell people to type, typed: each command in the order it stands, against a server that `npm start` would start. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MODELS, ROOT, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
let folder: string;

beforeAll(async () => {
  server = await startServer({ sample: true });
  // A folder that looks like the checkout with a person's model in it.
  folder = mkdtempSync(join(tmpdir(), 'slipway-readme-'));
  mkdirSync(join(folder, 'bin'));
  for (const name of ['bin/slipway', 'examples']) symlinkSync(join(ROOT, name), join(folder, name));
  copyFileSync(join(MODELS, 'mixed.onnx'), join(folder, 'model.onnx'));
  writeFileSync(join(folder, 'rows.csv'), 'age,plan\n41,pro\n20,free\n');
});
afterAll(async () => {
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Lines of the page's code that call the CLI or curl. */
function commandsOf(page: string): string[] {
  return readFileSync(join(ROOT, page), 'utf8')
    .split('\n')
    .filter((line) => /^( {4})?(bin\/slipway|curl) /.test(line))
    .map((line) => line.trim())
    .filter((line) => !/ logs -f/.test(line)); // goes on until it is interrupted
}

function type(command: string): { code: number | null; said: string } {
  const { port } = new URL(server.inferenceUrl);
  const run = spawnSync('sh', ['-c', command.replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_DATA: server.dataDir },
    timeout: 60_000,
  });
  return { code: run.status, said: `${run.stdout}${run.stderr}` };
}

test('the first start deploys the sample, predicts with it, and prints URL, key and a line to paste', () => {
  expect(server.output()).toContain(server.adminKey);
  expect(server.output()).toContain(server.inferenceUrl);
  const line = /curl (?:.*\\\n)*.*/.exec(server.output())?.[0] ?? '';
  const { code, said } = type(line);
  expect(code, said).toBe(0);
  expect(said).toContain('"endpoint":"credit-risk"');
});

test('every command of the README works as it stands', () => {
  const commands = commandsOf('README.md');
  expect(commands.length).toBeGreaterThan(8);
  for (const command of commands) {
    const { code, said } = type(command);
    expect(code, `${command}\n${said}`).toBe(0);
    if (/ deploy /.test(command)) expect(type(command).code).toBe(0); // "again: version 2"
  }
}, 120_000);

test('every command of the quick start works as it stands', () => {
  type('bin/slipway endpoints delete churn --confirm=churn');
  const commands = commandsOf('docs/guides/quickstart.md');
  expect(commands.length).toBeGreaterThan(6);
  for (const command of commands) {
    // The README's churn is another model by this name: here it is the sample's.
    const { code, said } = type(command.replaceAll('churn', 'loans'));
    expect(code, `${command}\n${said}`).toBe(0);
  }
}, 120_000);
