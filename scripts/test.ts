/**
 * Runs every test, or those that the arguments name, and ends with the line `N passed, N failed`. A file that cannot even be loaded counts
 * as one failed; a run without any test fails.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'slipway-test-'));
const reportPath = join(folder, 'report.json');

type Report = {
  numPassedTests: number;
  numFailedTests: number;
  testResults: { name: string; status: string; assertionResults: unknown[] }[];
};

const vitest = [
  join(root, 'node_modules/vitest/vitest.mjs'),
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${reportPath}`,
  ...process.argv.slice(2),
];
const child = spawn(process.execPath, vitest, {
  cwd: root,
  stdio: 'inherit',
  // Tests that start `node` get this one.
  env: { ...process.env, PATH: [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter) },
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
const code = await new Promise<number>((resolve) => {
  child.on('error', () => resolve(1));
  child.on('exit', (exitCode) => resolve(exitCode ?? 1));
});

let passed = 0;
let failed = 0;
try {
  const report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  const unloadable = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  passed = report.numPassedTests;
  failed = report.numFailedTests + unloadable.length;
} catch {
  console.error('The run left no report.');
}
rmSync(folder, { recursive: true, force: true });
if (code !== 0 && failed === 0) failed = 1; // an error outside every test
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exit(failed > 0 || passed === 0 ? 1 : code);
