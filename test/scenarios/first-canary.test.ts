/** Every command of the guide "Your first canary", as it stands, in its order, with its traffic. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
let traffic: ChildProcess | null = null;
beforeAll(async () => {
  server = await startServer();
}, 60_000);
afterAll(async () => {
  traffic?.kill();
  await server?.dispose();
});

test('the guide can be typed', async () => {
  const { port } = new URL(server.inferenceUrl);
  const commands = readFileSync(join(ROOT, 'docs/guides/first-canary.md'), 'utf8')
    .split('\n')
    .filter((line) => /^(bin\/slipway|curl) /.test(line))
    .map((line) => line.replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`));
  expect(commands.length).toBeGreaterThan(15);
  const said = new Map<string, string>();
  for (const command of commands) {
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_DATA: server.dataDir };
    if (command.startsWith('curl')) {
      traffic = spawn('sh', ['-c', `exec ${command}`], { cwd: ROOT, env, stdio: 'ignore' });
      continue;
    }
    const run = spawnSync('sh', ['-c', command], { cwd: ROOT, env, encoding: 'utf8', timeout: 180_000 });
    expect(run.status, `${command}\n${run.stdout}${run.stderr}`).toBe(0);
    said.set(command.replace(/^bin\/slipway /, ''), run.stdout + run.stderr);
  }
  const of = (start: string): string => [...said].find(([command]) => command.startsWith(start))?.[1] ?? '';
  expect(of('rollouts start loans --to 2 --strategy canary')).toContain('Nothing was changed');
  expect(of('rollouts watch')).toMatch(/version 2 serves all traffic; version 1 is kept warm/);
  expect(of('rollback')).toContain('goes back to version 1');
  expect(of('history loans')).toMatch(/just trying/);
  expect(of('history loans')).toMatch(/version 2 50 % \(canary\), version 1 50 % \(control\)/);
  expect(of('history loans --at')).toMatch(/version 1 .*sha256:/);
  expect(of('rollouts list')).toMatch(/rolled-back|rolling-back/);
}, 300_000);
