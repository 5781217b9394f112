/** Builds `dist/` (what a published package runs) and `sdk/dist/` (the client with its types). */
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildConsole } from './build-console.ts';

const root = join(import.meta.dirname, '..');

for (const [folder, config] of [
  ['dist', 'tsconfig.build.json'],
  ['sdk/dist', 'sdk/tsconfig.json'],
] as const) {
  rmSync(join(root, folder), { recursive: true, force: true });
  const built = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], {
    cwd: root,
    stdio: 'inherit',
  });
  if (built.status !== 0) process.exit(built.status ?? 1);
}

// The console lies at the same place from its routes as in the checkout.
buildConsole();
cpSync(join(root, 'console/dist'), join(root, 'dist/console/dist'), { recursive: true });

// The runner program in Python is run as it is.
const program = 'src/serving/python/slipway_runner';
cpSync(join(root, program), join(root, 'dist', program), {
  recursive: true,
  filter: (path) => !path.endsWith('__pycache__'),
});
