import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { availableParallelism, freemem, platform } from 'node:os';
import { join } from 'node:path';
import { verifyAudit } from '../../base/audit.ts';
import { ADMIN_KEY_FILE } from '../../base/data-folder.ts';
import type { Database } from '../../base/db/database.ts';
import type { Settings } from '../../base/settings.ts';
import { isLoopback } from '../../base/settings.ts';
import type { DesiredStatePublisher } from '../endpoints/desired-state-publisher.ts';
import { OBSERVATION_FRESH_MS } from '../endpoints/endpoint.ts';
import { assessAllEndpoints } from './server-status.ts';
import { listFailedVersions, listKeysExpiringBefore } from './status-store.ts';

export type Check = {
  readonly name: string;
  readonly outcome: 'pass' | 'warn' | 'fail';
  readonly detail: string;
  readonly fix: string | null;
};

const GIB = 1024 ** 3;
const WEEK_MS = 7 * 86_400_000;

const pass = (name: string, detail: string): Check => ({ name, outcome: 'pass', detail, fix: null });
const warn = (name: string, detail: string, fix: string): Check => ({ name, outcome: 'warn', detail, fix });
const fail = (name: string, detail: string, fix: string): Check => ({ name, outcome: 'fail', detail, fix });

type DoctorDeps = { database: Database; publisher: DesiredStatePublisher; settings: Settings; now: Date };

/** The server's half of `slipway doctor`: each check observes something now, none repeats what was configured. */
export async function runChecks(deps: DoctorDeps): Promise<Check[]> {
  const groups = await Promise.all([
    checkMachine(deps.settings),
    checkData(deps),
    checkServing(deps),
    checkAccess(deps),
  ]);
  return groups.flat();
}

async function checkMachine(settings: Settings): Promise<Check[]> {
  const major = Number(process.versions.node.split('.')[0]);
  const freeGib = freemem() / GIB;
  const wantedGib = settings.runnerMemoryBytes / GIB;
  return [
    major >= 24
      ? pass('node', `Node ${process.versions.node}`)
      : fail('node', `Node ${process.versions.node}`, 'Start through bin/slipway, which brings Node 24.'),
    freeGib >= wantedGib
      ? pass('memory', `${freeGib.toFixed(1)} GiB free`)
      : warn(
          'memory',
          `${freeGib.toFixed(1)} GiB free, one runner may take ${wantedGib.toFixed(1)}`,
          'Lower SLIPWAY_RUNNER_MEMORY.',
        ),
    settings.runnerThreads <= availableParallelism()
      ? pass('threads', `${settings.runnerThreads} a run on ${availableParallelism()} cores`)
      : warn(
          'threads',
          `${settings.runnerThreads} a run on ${availableParallelism()} cores`,
          'Lower SLIPWAY_RUNNER_THREADS.',
        ),
    platform() === 'linux'
      ? pass('runner limits', 'Memory is limited by the kernel and watched')
      : warn(
          'runner limits',
          `On ${platform()} a model's memory is not limited by the kernel`,
          'Use Linux where models are not trusted.',
        ),
  ];
}

async function checkData({ settings, database }: DoctorDeps): Promise<Check[]> {
  const checks: Check[] = [];
  const disk = await statfs(settings.dataDir);
  const freeGib = (disk.bavail * disk.bsize) / GIB;
  const free = `${freeGib.toFixed(1)} GiB free in the data folder`;
  if (freeGib < 0.2) checks.push(fail('disk', free, 'Free some space; uploads will be refused.'));
  else if (freeGib < 2) checks.push(warn('disk', free, 'Free some space, or run POST /api/v1/artifacts/collect.'));
  else checks.push(pass('disk', free));
  const mode = (await stat(settings.dataDir)).mode & 0o077;
  checks.push(
    mode === 0
      ? pass('data folder', 'Readable by its owner only')
      : warn('data folder', 'Other users of this machine may read the data folder', `chmod 700 ${settings.dataDir}`),
  );
  const writable = await access(settings.dataDir, constants.W_OK).then(
    () => true,
    () => false,
  );
  checks.push(
    writable
      ? pass('writable', 'Yes')
      : fail('writable', 'The data folder cannot be written', 'Mend its owner or mode.'),
  );
  const durability = await database.durability();
  checks.push(
    durability.safe
      ? pass('durability', durability.detail)
      : fail('durability', durability.detail, 'Acknowledged changes may be lost in a power cut.'),
  );
  const audit = await verifyAudit(database.db);
  checks.push(
    audit.intact
      ? pass('audit log', `${audit.records} records, the chain is intact`)
      : fail(
          'audit log',
          `The chain is broken at record ${audit.brokenAt}`,
          'Someone altered the database. Compare it with a backup.',
        ),
  );
  return checks;
}

async function checkServing({ database, publisher, settings, now }: DoctorDeps): Promise<Check[]> {
  const checks: Check[] = [];
  const gateways = publisher.observed();
  if (gateways.length === 0) checks.push(fail('gateway', 'None is connected', 'See `slipway logs`.'));
  if (settings.gateways > 1) {
    const connected = `${gateways.length} of ${settings.gateways} gateways are connected`;
    checks.push(
      gateways.length >= settings.gateways
        ? pass('gateways', connected)
        : warn('gateways', connected, 'One that ended is started again by itself; see `slipway logs`.'),
    );
  }
  for (const gateway of gateways) {
    const ageMs = now.getTime() - Date.parse(gateway.observedAt);
    checks.push(
      ageMs <= OBSERVATION_FRESH_MS
        ? pass('gateway', `${gateway.httpUrl} reported ${(ageMs / 1000).toFixed(1)} s ago`)
        : warn('gateway', `${gateway.httpUrl} is silent for ${Math.round(ageMs / 1000)} s`, 'See `slipway logs`.'),
      gateway.generation === publisher.generation()
        ? pass('desired state', `Generation ${gateway.generation} everywhere`)
        : warn(
            'desired state',
            `The gateway has ${gateway.generation}, control ${publisher.generation()}`,
            'Wait a moment.',
          ),
    );
  }
  const endpoints = await assessAllEndpoints(database.db, publisher, now);
  const notReady = endpoints.filter((one) => one.status.state !== 'ready');
  checks.push(
    notReady.length === 0
      ? pass('endpoints', `${endpoints.length} of ${endpoints.length} ready`)
      : fail(
          'endpoints',
          notReady.map((one) => `${one.name}: ${one.status.reason}`).join('; '),
          `slipway why ${notReady[0]?.name}`,
        ),
  );
  // Several gateways may see one and the same runner.
  const restarts = new Map<string, number>();
  for (const { model, version, restarts: times } of gateways.flatMap((gateway) => gateway.versions)) {
    const name = `${model}@${version}`;
    if (times > 0) restarts.set(name, Math.max(times, restarts.get(name) ?? 0));
  }
  checks.push(
    restarts.size === 0
      ? pass('runners', 'None had to be restarted')
      : warn(
          'runners',
          [...restarts]
            .map(([name, times]) => `${name} restarted ${times} ${times === 1 ? 'time' : 'times'}`)
            .join('; '),
          'See `slipway logs` for how they ended.',
        ),
  );
  const failed = await listFailedVersions(database.db);
  checks.push(
    failed.length === 0
      ? pass('versions', 'All passed validation')
      : warn('versions', `Did not pass validation: ${failed.join(', ')}`, `slipway versions show ${failed[0]}`),
  );
  return checks;
}

async function checkAccess({ database, settings, now }: DoctorDeps): Promise<Check[]> {
  const checks: Check[] = [];
  if (settings.inferenceAuth === 'required') checks.push(pass('inference access', 'Predictions need a key'));
  else if (isLoopback(settings.host)) checks.push(pass('inference access', 'Open, on this machine only'));
  else checks.push(fail('inference access', 'Open to the network', 'Set SLIPWAY_INFERENCE_AUTH=required.'));
  const keyPath = join(settings.dataDir, ADMIN_KEY_FILE);
  const keyFile = await stat(keyPath).catch(() => null);
  if (keyFile === null) checks.push(pass('admin key file', 'Not kept in the data folder'));
  else if ((keyFile.mode & 0o077) === 0) checks.push(pass('admin key file', 'Readable by its owner only'));
  else checks.push(fail('admin key file', 'Other users may read it', `chmod 600 ${keyPath}`));
  const expiring = await listKeysExpiringBefore(database.db, new Date(now.getTime() + WEEK_MS).toISOString());
  checks.push(
    expiring.length === 0
      ? pass('key expiry', 'No key expires within a week')
      : warn(
          'key expiry',
          expiring.map((key) => `${key.name} expires ${key.expiresAt}`).join('; '),
          'slipway keys rotate <id>',
        ),
  );
  return checks;
}
