/**
 * Packs the package, installs it in an empty folder as a user would, and uses it there: release, start, deploy, predict, stop. On demand
 * (`npm run test:package`), because it takes a minute.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'slipway-package-'));
// The CUDA libraries that onnxruntime-node would fetch lie outside the npm registry and are not needed.
const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };

function run(command: string, args: readonly string[], cwd: string): string {
  const done = spawnSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${done.status}:\n${done.stdout}`);
  return done.stdout;
}

/** The versions of the lock file: what is tried is the package, not whether something newer came out today. */
function testedVersions(): Record<string, string> {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version?: string; dev?: boolean; link?: boolean }>;
  };
  const versions: Record<string, string> = {};
  for (const [path, { version, dev, link }] of Object.entries(lock.packages)) {
    const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1];
    if (name !== undefined && version !== undefined && !dev && !link) versions[name] = version;
  }
  return versions;
}

function assert(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not so: ${what}`);
  console.log(`ok  ${what}`);
}

try {
  run('npm', ['pack', '--silent', '--pack-destination', folder], root);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, overrides: testedVersions() }));
  run('npm', ['install', '--no-audit', '--no-fund', `./${tarball}`, 'node@24'], folder);
  const slipway = join(folder, 'node_modules/.bin/slipway');
  assert(/^\d+\.\d+\.\d+\n$/.test(run(slipway, ['--version'], folder)), 'slipway --version');

  const server = spawn(slipway, ['serve', '--http-port', '0', '--grpc-port', '0', '--control-port', '0', '--json'], {
    cwd: folder,
    env,
  });
  server.stderr.pipe(process.stderr);
  const ready = JSON.parse(
    await new Promise<string>((resolve, reject) => {
      server.stdout.setEncoding('utf8').once('data', resolve);
      server.once('exit', (code) => reject(new Error(`serve ended with ${code}`)));
    }),
  ) as { data: { sample: { kind: string } } };
  try {
    assert(ready.data.sample.kind === 'served', 'the first start deploys the sample and tries it');
    const rows = join(folder, 'node_modules/slipway/examples/credit-risk/rows.csv');
    const answers = run(slipway, ['predict', 'credit-risk', '--file', rows], folder).trim().split('\n');
    assert(answers.length > 1 && answers.every((line) => 'id' in JSON.parse(line)), 'slipway predict --file');
    const { url } = JSON.parse(readFileSync(join(folder, '.slipway/run/server.json'), 'utf8')) as { url: string };
    const page = await (await fetch(`${url}/console/`)).text();
    const script = await fetch(new URL(/src="([^"]+\.js)"/.exec(page)?.[1] ?? 'absent', `${url}/console/`));
    assert(script.ok && (await script.text()).length > 100_000, 'the console is in the package and served');
  } finally {
    const ended = new Promise<number | null>((resolve) => server.once('exit', resolve));
    server.kill('SIGINT');
    assert((await ended) === 0, 'it stops cleanly');
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
