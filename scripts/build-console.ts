/**
 * Builds the console's bundle, `console/dist/`, if it is not that of the sources as they are: `npm start`, `npm test` and `npm run console`
 * come by here. It takes a few seconds, once for each change of the sources, and needs no network.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = join(root, 'console');
const bundle = join(folder, 'dist');
/** Says of which sources the bundle is. */
const STAMP = 'sources.sha256';

function digestOfSources(): string {
  const hash = createHash('sha256');
  for (const part of ['console', 'sdk/src']) {
    const files = readdirSync(join(root, part), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/\/dist(-\w+)?(\/|$)|node_modules/.test(entry.parentPath))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const path of files) hash.update(path.slice(root.length)).update(readFileSync(path));
  }
  return hash.update(readFileSync(join(root, 'package-lock.json'))).digest('hex');
}

/** @throws Error with what the builder said */
export function buildConsole(): 'built' | 'was there' {
  const digest = digestOfSources();
  const stamp = join(bundle, STAMP);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return 'was there';
  // Into a folder of its own first: a build that is stopped, or a second one at the same time, leaves no half bundle.
  const made = mkdtempSync(join(folder, 'dist-'));
  try {
    const args = [
      join(root, 'node_modules/vite/bin/vite.js'),
      'build',
      folder,
      '--config',
      join(folder, 'vite.config.ts'),
    ];
    const run = spawnSync(process.execPath, [...args, '--outDir', made], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], NODE_ENV: 'production' },
    });
    if (run.status !== 0) throw new Error(`The console could not be built:\n${run.stdout}${run.stderr}`);
    writeFileSync(join(made, STAMP), digest);
    rmSync(bundle, { recursive: true, force: true });
    renameSync(made, bundle);
  } catch (error) {
    if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== digest) throw error;
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return 'built';
}

if (import.meta.main) {
  try {
    const startedMs = performance.now();
    if (buildConsole() === 'built') {
      console.error(`The console is built (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
    }
  } catch (error) {
    // A server without its pages is better than no server.
    console.error((error as Error).message);
    process.exitCode = process.argv.includes('--must') ? 1 : 0;
  }
}
