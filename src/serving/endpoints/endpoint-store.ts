import type { Db } from '../../base/db/database.ts';
import type { EndpointSpec, ServableVersion, Target } from './endpoint.ts';
import type { EndpointTraffic } from './traffic.ts';

const COLUMNS = [
  'endpoints.id as id',
  'projects.name as project',
  'endpoints.name as name',
  'endpoints.environment as environment',
  'models.name as model',
  'models.id as modelId',
  'endpoints.target as target',
  'endpoints.pins as pins',
  'endpoints.loaded as loaded',
  'endpoints.traffic as traffic',
  'endpoints.revision as revision',
  'endpoints.created_at as createdAt',
  'endpoints.created_by as createdBy',
  'endpoints.updated_at as updatedAt',
] as const;

function selectEndpoints(db: Db) {
  return db
    .selectFrom('endpoints')
    .innerJoin('models', 'models.id', 'endpoints.model_id')
    .innerJoin('projects', 'projects.id', 'endpoints.project_id')
    .select(COLUMNS);
}

type EndpointRow = Awaited<ReturnType<ReturnType<typeof selectEndpoints>['executeTakeFirstOrThrow']>>;

async function toSpecs(db: Db, rows: readonly EndpointRow[]): Promise<EndpointSpec[]> {
  if (rows.length === 0) return [];
  const aliases = await db
    .selectFrom('aliases')
    .where('model_id', 'in', [...new Set(rows.map((row) => row.modelId))])
    .select(['model_id', 'name', 'version'])
    .execute();
  const versionOf = new Map(aliases.map((alias) => [`${alias.model_id}/${alias.name}`, alias.version]));
  return rows.map((row) => {
    const target = JSON.parse(row.target) as Target;
    const targetVersion =
      'version' in target ? target.version : (versionOf.get(`${row.modelId}/${target.alias}`) ?? null);
    const traffic = row.traffic === null ? null : (JSON.parse(row.traffic) as EndpointTraffic);
    const pins = JSON.parse(row.pins) as number[];
    return { ...row, target, targetVersion, pins, loaded: row.loaded === 1, traffic };
  });
}

/** One page, by name. `after` is the last name of the page before. */
export async function listEndpoints(
  db: Db,
  projectId: string,
  page: { after: string | null; limit: number },
): Promise<EndpointSpec[]> {
  let query = selectEndpoints(db).where('endpoints.project_id', '=', projectId);
  if (page.after !== null) query = query.where('endpoints.name', '>', page.after);
  return toSpecs(db, await query.orderBy('endpoints.name').limit(page.limit).execute());
}

/** Every endpoint of every project: what the desired state is made of. */
export async function listAllEndpoints(db: Db): Promise<EndpointSpec[]> {
  return toSpecs(db, await selectEndpoints(db).orderBy('projects.name').orderBy('endpoints.name').execute());
}

/** The endpoints of one model. */
export async function listEndpointsOfModel(db: Db, modelId: string): Promise<EndpointSpec[]> {
  return toSpecs(db, await selectEndpoints(db).where('endpoints.model_id', '=', modelId).execute());
}

export async function findEndpoint(db: Db, projectId: string, name: string): Promise<EndpointSpec | null> {
  const rows = await selectEndpoints(db)
    .where('endpoints.project_id', '=', projectId)
    .where('endpoints.name', '=', name)
    .execute();
  return (await toSpecs(db, rows))[0] ?? null;
}

export async function insertEndpoint(
  db: Db,
  row: Pick<EndpointSpec, 'id' | 'name' | 'environment' | 'modelId' | 'target' | 'pins'> & {
    projectId: string;
    at: string;
    by: string;
  },
): Promise<void> {
  await db
    .insertInto('endpoints')
    .values({
      id: row.id,
      project_id: row.projectId,
      name: row.name,
      environment: row.environment,
      model_id: row.modelId,
      target: JSON.stringify(row.target),
      pins: JSON.stringify(row.pins),
      loaded: 1,
      revision: 1,
      created_at: row.at,
      created_by: row.by,
      updated_at: row.at,
    })
    .execute();
}

export async function updateEndpoint(
  db: Db,
  spec: Pick<EndpointSpec, 'id' | 'environment' | 'target' | 'pins' | 'loaded' | 'revision'>,
  at: string,
): Promise<void> {
  await db
    .updateTable('endpoints')
    .set({
      environment: spec.environment,
      target: JSON.stringify(spec.target),
      pins: JSON.stringify(spec.pins),
      loaded: spec.loaded ? 1 : 0,
      revision: spec.revision,
      updated_at: at,
    })
    .where('id', '=', spec.id)
    .execute();
}

/** What a rollout changes of an endpoint; as a whole, so that doing it twice is doing it once. */
export async function setEndpointTraffic(
  db: Db,
  id: string,
  change: {
    readonly target: Target;
    readonly pins: readonly number[];
    readonly traffic: EndpointTraffic;
    readonly revision: number;
  },
  at: string,
): Promise<void> {
  await db
    .updateTable('endpoints')
    .set({
      target: JSON.stringify(change.target),
      pins: JSON.stringify(change.pins),
      traffic: JSON.stringify(change.traffic),
      revision: change.revision,
      updated_at: at,
    })
    .where('id', '=', id)
    .execute();
}

export async function deleteEndpoint(db: Db, id: string): Promise<void> {
  await db.deleteFrom('endpoints').where('id', '=', id).execute();
}

export async function findModelId(db: Db, projectId: string, model: string): Promise<string | null> {
  const row = await db
    .selectFrom('models')
    .select('id')
    .where('project_id', '=', projectId)
    .where('name', '=', model)
    .executeTakeFirst();
  return row?.id ?? null;
}

export async function findAliasVersion(db: Db, modelId: string, alias: string): Promise<number | null> {
  const row = await db
    .selectFrom('aliases')
    .select('version')
    .where('model_id', '=', modelId)
    .where('name', '=', alias)
    .executeTakeFirst();
  return row?.version ?? null;
}

export async function findServableVersion(db: Db, modelId: string, number: number): Promise<ServableVersion | null> {
  const row = await db
    .selectFrom('versions')
    .select(['number', 'status', 'status_reason', 'signature'])
    .where('model_id', '=', modelId)
    .where('number', '=', number)
    .executeTakeFirst();
  if (!row) return null;
  return {
    version: row.number,
    status: row.status,
    statusReason: row.status_reason,
    signature: JSON.parse(row.signature) as ServableVersion['signature'],
  };
}
