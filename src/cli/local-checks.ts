import { statSync } from 'node:fs';
import { access, constants, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism, freemem, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Check } from '../../sdk/src/client.ts';
import { ADMIN_KEY_FILE } from '../base/data-folder.ts';
import { RELEASE } from '../base/release.ts';
import { toCliError } from './cli-error.ts';
import { type Connection, connect, readServerFile } from './connection.ts';
import { formatBytes } from './terminal.ts';

const pass = (name: string, detail: string): Check => ({ name, outcome: 'pass', detail, fix: null });
const warn = (name: string, detail: string, fix: string): Check => ({ name, outcome: 'warn', detail, fix });
const fail = (name: string, detail: string, fix: string): Check => ({ name, outcome: 'fail', detail, fix });

const GIB = 1024 ** 3;

/** What can be seen without a server. */
export async function localChecks(connection: Connection): Promise<Check[]> {
  return [
    checkNode(),
    checkPlatform(),
    checkCores(),
    await checkMemory(),
    await checkTemporary(),
    await checkSettings(),
    ...(await checkDataFolder(connection.dataDir)),
    checkKeyFile(connection.dataDir),
    checkServerFile(connection.dataDir),
    await checkPorts(connection.dataDir),
  ];
}

function checkNode(): Check {
  const major = Number(process.versions.node.split('.')[0]);
  return major >= 24
    ? pass('node', `Node ${process.versions.node}`)
    : fail('node', `Node ${process.versions.node}`, 'Start through bin/slipway, or install Node 24.');
}

function checkPlatform(): Check {
  const here = `${platform()} ${process.arch}`;
  return platform() === 'linux'
    ? pass('platform', here)
    : warn('platform', here, 'Memory limits of models are enforced by the kernel on Linux only.');
}

function checkCores(): Check {
  const cores = availableParallelism();
  return cores >= 2
    ? pass('cores', `${cores}`)
    : warn('cores', '1', 'Gateway and models share one core; two or more are faster.');
}

async function checkMemory(): Promise<Check> {
  const { readSettings, SETTINGS } = await import('../base/settings.ts');
  let wanted = SETTINGS.runnerMemoryBytes.default;
  try {
    wanted = readSettings(process.env).settings.runnerMemoryBytes;
  } catch {
    // the check of the settings says what is wrong with them
  }
  const free = `${formatBytes(freemem())} free`;
  return freemem() >= wanted
    ? pass('memory', free)
    : warn(
        'memory',
        `${free}, one runner may take ${formatBytes(wanted)}`,
        'Stop other programs, or lower SLIPWAY_RUNNER_MEMORY.',
      );
}

async function checkTemporary(): Promise<Check> {
  const writable = await access(tmpdir(), constants.W_OK).then(
    () => true,
    () => false,
  );
  return writable
    ? pass('temporary folder', tmpdir())
    : fail('temporary folder', `${tmpdir()} cannot be written`, 'Mend its mode, or set TMPDIR.');
}

async function checkSettings(): Promise<Check> {
  const { readSettings, assertSafeBind } = await import('../base/settings.ts');
  try {
    const { settings, origins } = readSettings(process.env);
    assertSafeBind(settings);
    const changed = Object.values(origins).filter((origin) => origin !== 'default').length;
    return pass('settings', `All valid, ${changed} not at their defaults`);
  } catch (error) {
    const { message, hint } = toCliError(error);
    return fail('settings', message, hint ?? 'slipway config');
  }
}

async function checkDataFolder(dataDir: string): Promise<Check[]> {
  const found = statSync(dataDir, { throwIfNoEntry: false });
  if (found === undefined) {
    const parent = await access(dirname(dataDir), constants.W_OK).then(
      () => true,
      () => false,
    );
    return [
      parent
        ? pass('data folder', `${dataDir} will be made by the first start`)
        : fail('data folder', `${dataDir} cannot be made`, 'Name another with --data or SLIPWAY_DATA.'),
    ];
  }
  const checks: Check[] = [
    (found.mode & 0o077) === 0
      ? pass('data folder', `${dataDir}, readable by its owner only`)
      : warn('data folder', `Other users may read ${dataDir}`, `chmod 700 ${dataDir}`),
  ];
  const disk = await statfs(dataDir);
  const freeBytes = disk.bavail * disk.bsize;
  const free = `${formatBytes(freeBytes)} free`;
  checks.push(
    freeBytes >= 2 * GIB
      ? pass('disk', free)
      : warn('disk', free, 'Free some space, or move the data folder to a larger disk.'),
  );
  // WAL needs shared memory, which network file systems do not give.
  const network = new Map([
    [0x6969, 'NFS'],
    [0xff534d42, 'CIFS'],
    [0xfe534d42, 'SMB'],
    [0x65735546, 'FUSE'],
  ]).get(disk.type >>> 0);
  checks.push(
    network === undefined
      ? pass('file system', 'Local')
      : warn(
          'file system',
          `The data folder is on ${network}`,
          'Keep it on a local disk: a database on a network file system can lose data.',
        ),
  );
  return checks;
}

function checkKeyFile(dataDir: string): Check {
  const path = join(dataDir, ADMIN_KEY_FILE);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return pass('key file', 'None here');
  return (found.mode & 0o077) === 0
    ? pass('key file', 'Readable by its owner only')
    : fail('key file', 'Other users may read the admin key', `chmod 600 ${path}`);
}

function checkServerFile(dataDir: string): Check {
  const server = readServerFile(dataDir);
  if (server === null) return pass('running server', 'None in this data folder');
  try {
    process.kill(server.pid, 0);
    return pass('running server', `${server.url}, since ${server.startedAt}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPERM')
      return pass('running server', `${server.url}, of another user`);
    return warn(
      'running server',
      'The last one ended without stopping cleanly',
      'Start it again with `slipway serve`; nothing acknowledged is lost.',
    );
  }
}

async function checkPorts(dataDir: string): Promise<Check> {
  if (readServerFile(dataDir) !== null) return pass('ports', 'Used by the server of this data folder');
  const { readSettings } = await import('../base/settings.ts');
  try {
    const { settings } = readSettings(process.env);
    const taken: number[] = [];
    const own = settings.protocolPorts.map(({ port }) => port);
    const ports = [settings.httpPort, settings.grpcPort, ...own, settings.controlPort].filter((port) => port !== 'off');
    for (const port of ports) {
      if (port !== 0 && !(await isFree(settings.host, port))) taken.push(port);
    }
    return taken.length === 0
      ? pass('ports', `${ports.slice(0, -1).join(', ')} and ${ports.at(-1)} are free`)
      : warn(
          'ports',
          `Taken by another program: ${taken.join(', ')}`,
          `Stop it, or set SLIPWAY_HTTP_PORT, SLIPWAY_GRPC_PORT${own.length > 0 ? ', SLIPWAY_PROTOCOL_PORTS' : ''} and SLIPWAY_CONTROL_PORT.`,
        );
  } catch {
    return warn('ports', 'Not checked, because the settings are not valid', 'slipway config');
  }
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** What the server says, and what its answers show. */
export async function serverChecks(connection: Connection, signal: AbortSignal): Promise<Check[]> {
  const asked = performance.now();
  const answer = await fetch(`${connection.url}/healthz`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(5000)]),
  }).catch((error: unknown) => error as Error);
  if (answer instanceof Error) {
    return [
      fail(
        'connection',
        `${connection.url} does not answer`,
        'Start a server with `slipway serve`, or set SLIPWAY_URL.',
      ),
    ];
  }
  await answer.text().catch(() => '');
  const tookMs = performance.now() - asked;
  const checks = [
    pass('connection', `${connection.url} answered in ${Math.round(tookMs)} ms`),
    checkClock(answer.headers.get('date')),
  ];
  try {
    const client = await connect(connection);
    const me = await client.me({ signal });
    checks.push(
      me.scopes.includes('admin')
        ? warnIfShared(connection, me.actor)
        : pass('key', `${me.actor}: ${me.scopes.join(' ')}`),
    );
    const { release } = await client.status({ signal });
    checks.push(
      release === RELEASE
        ? pass('release', `${release} on both sides`)
        : warn('release', `The server is ${release}, this command ${RELEASE}`, 'Use the same release on both sides.'),
    );
    checks.push(...(await client.doctor({ signal, timeoutMs: 120_000 })));
  } catch (error) {
    const failure = toCliError(error);
    checks.push(fail('key', failure.message, failure.hint ?? 'Set SLIPWAY_API_KEY.'));
  }
  return checks;
}

function warnIfShared(connection: Connection, actor: string): Check {
  // Fine beside one's own server; an admin key in an environment variable is read by every program started from there.
  return connection.apiKeyFrom === 'env'
    ? warn(
        'key',
        `${actor} may do everything and is in the environment`,
        'Make one with less: slipway keys create ci --scope deploy',
      )
    : pass('key', `${actor}: admin`);
}

function checkClock(date: string | null): Check {
  if (date === null) return warn('clock', 'The server did not say its time', 'Is a proxy in between?');
  const skewS = Math.round((Date.now() - Date.parse(date)) / 1000);
  return Math.abs(skewS) <= 5
    ? pass('clock', 'The same here and on the server')
    : warn(
        'clock',
        `${Math.abs(skewS)} s ${skewS > 0 ? 'ahead of' : 'behind'} the server`,
        'Set both clocks by NTP: keys expire by them.',
      );
}
