import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { eventually, kill, pause, type RunningServer } from './running-server.ts';

/**
 * Another process takes the database: a backup that hangs, a shell that somebody forgot. Control is killed so that it loses its lock.
 * @returns gives it back
 */
export async function takeDatabase(of: RunningServer): Promise<() => void> {
  const [control] = of.pids('control');
  const code = `const { DatabaseSync } = require('node:sqlite');
    let db; for (;;) try { try { db?.close(); } catch {} db = new DatabaseSync(${JSON.stringify(join(of.dataDir, 'slipway.db'))}); db.exec('pragma locking_mode = exclusive; begin exclusive'); break; } catch {}
    console.log('taken'); setInterval(() => db.isOpen, 1000);`;
  const locker = spawn(process.execPath, ['--no-warnings', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const giveBack = (): void => void locker.kill('SIGKILL');
  try {
    const taken = new Promise((done) => locker.stdout.once('data', done));
    await pause(500); // it is trying
    kill(control!);
    await taken;
    const asked = { headers: { authorization: `Bearer ${of.adminKey}` } };
    await eventually(
      'control stands in',
      async () => (await fetch(`${of.url}/api/v1/endpoints`, asked)).status === 503,
      60_000,
    );
  } catch (error) {
    giveBack();
    throw error;
  }
  return giveBack;
}
