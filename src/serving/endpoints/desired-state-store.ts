import { createHash } from 'node:crypto';
import type { KeyLimits } from '../../base/access/key-limits.ts';
import type { Db } from '../../base/db/database.ts';
import { effectiveLimits, type RunnerLimits } from '../../registry/limits.ts';
import type { Runtime } from '../../registry/runtime.ts';
import type { DesiredEndpoint, DesiredKey, DesiredState, DesiredVersion } from './desired-state.ts';
import { trafficVersions } from './endpoint.ts';
import { listAllEndpoints } from './endpoint-store.ts';
import { FOLDER_TAG } from './folder-models.ts';

const META_KEY = 'desired_state';

/**
 * Reads what gateways should serve and numbers it. The number is kept with a hash of the content, so it grows when, and only
 * when, the content changed, also across restarts of control.
 * @param ceiling the operator's limits, which hold where a version sets none or more
 * @param above the number that gateways have seen already: a database that is behind it (restored, say) counts on from there
 */
export async function numberDesiredState(tx: Db, ceiling: RunnerLimits, above = 0): Promise<DesiredState> {
  const content = await readContent(tx, ceiling);
  const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const row = await tx.selectFrom('meta').select('value').where('key', '=', META_KEY).executeTakeFirst();
  const known = row ? (JSON.parse(row.value) as { generation: number; hash: string }) : { generation: 0, hash: '' };
  if (known.hash === hash && known.generation >= above) return { schema: 1, generation: known.generation, ...content };
  const generation = Math.max(known.generation, above) + 1;
  const value = JSON.stringify({ generation, hash });
  if (row) await tx.updateTable('meta').set({ value }).where('key', '=', META_KEY).execute();
  else await tx.insertInto('meta').values({ key: META_KEY, value }).execute();
  return { schema: 1, generation, ...content };
}

type Content = Pick<DesiredState, 'endpoints' | 'versions' | 'keys'>;

async function readContent(db: Db, ceiling: RunnerLimits): Promise<Content> {
  const specs = await listAllEndpoints(db);
  const aliases = await db.selectFrom('aliases').select(['model_id', 'name', 'version']).orderBy('name').execute();
  const endpoints: DesiredEndpoint[] = [];
  const wanted = new Map<string, Set<number>>();
  for (const spec of specs) {
    if (spec.targetVersion === null) continue; // its alias is gone: nothing can answer
    const held = [spec.targetVersion, ...spec.pins];
    const labels = aliases
      .filter((alias) => alias.model_id === spec.modelId && held.includes(alias.version))
      .map((alias) => [alias.name, alias.version]);
    endpoints.push({
      project: spec.project,
      name: spec.name,
      environment: spec.environment,
      model: spec.model,
      version: spec.targetVersion,
      pins: [...spec.pins].sort((a, b) => a - b),
      loaded: spec.loaded,
      ...(labels.length === 0 ? {} : { labels: Object.fromEntries(labels) as Record<string, number> }),
      ...(spec.traffic === null ? {} : { traffic: spec.traffic }),
    });
    if (!spec.loaded) continue;
    const numbers = wanted.get(spec.modelId) ?? new Set<number>();
    for (const number of [spec.targetVersion, ...spec.pins, ...trafficVersions(spec.traffic)]) numbers.add(number);
    wanted.set(spec.modelId, numbers);
  }
  const versions: DesiredVersion[] = [];
  for (const [modelId, numbers] of wanted) {
    versions.push(...(await readVersions(db, modelId, [...numbers], ceiling)));
  }
  return { endpoints, versions, keys: await readKeys(db) };
}

async function readVersions(
  db: Db,
  modelId: string,
  numbers: readonly number[],
  ceiling: RunnerLimits,
): Promise<DesiredVersion[]> {
  const rows = await db
    .selectFrom('versions')
    .innerJoin('models', 'models.id', 'versions.model_id')
    .innerJoin('projects', 'projects.id', 'versions.project_id')
    .select([
      'versions.id as id',
      'versions.project_id as projectId',
      'projects.name as project',
      'models.name as model',
      'versions.number as version',
      'versions.digest as digest',
      'versions.engine as engine',
      'versions.entry as entry',
      'versions.signature as signature',
      'versions.can_batch as canBatch',
      'versions.can_pad as canPad',
      'versions.sample_request as sampleRequest',
      'versions.limits as limits',
      'versions.tags as tags',
      'versions.runtime as runtime',
      'versions.environment as environment',
    ])
    .where('versions.model_id', '=', modelId)
    .where('versions.number', 'in', [...numbers])
    .where('versions.status', '=', 'ready')
    .orderBy('versions.number')
    .execute();
  if (rows.length === 0) return [];
  const files = await db
    .selectFrom('version_files')
    .select(['version_id', 'path', 'digest', 'size_bytes'])
    .where(
      'version_id',
      'in',
      rows.map((row) => row.id),
    )
    .orderBy('path')
    .execute();
  return rows.map(({ id, projectId, runtime, environment, tags, ...row }) => ({
    ...row,
    files: files
      .filter((file) => file.version_id === id)
      .map((file) => ({ path: file.path, digest: file.digest, sizeBytes: file.size_bytes })),
    blobFolder: `artifacts/${projectId}`,
    signature: JSON.parse(row.signature) as DesiredVersion['signature'],
    canBatch: row.canBatch === 1,
    canPad: row.canPad === 1,
    sampleRequest: JSON.parse(row.sampleRequest) as DesiredVersion['sampleRequest'],
    limits: effectiveLimits(ceiling, JSON.parse(row.limits) as Partial<RunnerLimits>),
    ...folderOf(JSON.parse(tags) as Record<string, string>),
    ...(runtime === null || environment === null
      ? {}
      : { python: { runtime: JSON.parse(runtime) as Runtime, environment } }),
  }));
}

function folderOf(tags: Readonly<Record<string, string>>): Pick<DesiredVersion, 'folder'> {
  const folder = tags[FOLDER_TAG];
  return folder === undefined ? {} : { folder };
}

async function readKeys(db: Db): Promise<DesiredKey[]> {
  const rows = await db
    .selectFrom('api_keys')
    .leftJoin('projects', 'projects.id', 'api_keys.project_id')
    .select([
      'api_keys.id as id',
      'projects.name as project',
      'api_keys.secret_sha256 as secretSha256',
      'api_keys.scopes as scopes',
      'api_keys.expires_at as expiresAt',
      'api_keys.limits as limits',
      'api_keys.signing_secret as signingSecret',
    ])
    .where('api_keys.revoked_at', 'is', null)
    .orderBy('api_keys.id')
    .execute();
  return rows.map(({ limits, signingSecret, ...row }) => ({
    ...row,
    scopes: JSON.parse(row.scopes) as string[],
    ...(limits === null ? {} : { limits: JSON.parse(limits) as KeyLimits }),
    ...(signingSecret === null ? {} : { signingSecret }),
  }));
}
