/** A data folder with much in it: 1,000 models of 10 versions, 1,000 endpoints, and a log of a million predictions. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProject } from '../src/base/access/project-store.ts';
import { systemClock as clock } from '../src/base/clock.ts';
import { DATABASE_FILE } from '../src/base/data-folder.ts';
import { openSqlite } from '../src/base/db/database.ts';
import { uuidv7 } from '../src/base/ids.ts';
import { findModel, insertModel, setNextVersion } from '../src/registry/model-store.ts';
import { findVersion, insertVersion, storeValidation } from '../src/registry/version-store.ts';
import { findEndpoint, insertEndpoint, updateEndpoint } from '../src/serving/endpoints/endpoint-store.ts';
import { ROOT, startServer, untilReady } from '../test/scenarios/running-server.ts';

export const MODELS = 1_000;
export const VERSIONS_EACH = 10;
export const PREDICTIONS = 1_000_000;
/** Says that the folder is complete. */
const DONE = 'bench-console.json';

/** Makes it, if it is not there yet; some minutes. */
export async function makeData(folder: string): Promise<void> {
  if (existsSync(join(folder, DONE))) return;
  await logPredictions(folder);
  await fillRegistry(folder);
  writeFileSync(join(folder, DONE), JSON.stringify({ MODELS, VERSIONS_EACH, PREDICTIONS }));
}

/** Through the gateway, as they come from callers. */
async function logPredictions(folder: string): Promise<void> {
  const server = await startServer({ dataDir: folder, sample: true });
  const { client } = server;
  await untilReady(server, 'credit-risk');
  await client.policy.set('credit-risk', { sample: 1, fields: { 'input.*': 'keep', 'output.*': 'keep' } });
  await new Promise((resolve) => setTimeout(resolve, 2_000)); // gateways hear of it
  const [header, ...rows] = readFileSync(join(ROOT, 'examples/credit-risk/rows.csv'), 'utf8').trim().split('\n');
  const many = Array.from({ length: 1_000 }, (_, i) => rows[i % rows.length]).join('\n');
  const csv = { type: 'text/csv', body: `${header}\n${many}` };
  let logged = 0;
  while (logged < PREDICTIONS) {
    for (let call = 0; call < Math.ceil((PREDICTIONS - logged) / 1_000); call++)
      await client.predictFile('credit-risk', csv);
    await new Promise((resolve) => setTimeout(resolve, 3_000)); // what is recorded is read a second later
    const file = await client.predictions.export('credit-risk', { format: 'parquet' });
    await file!.body.cancel();
    logged = file!.rows;
    console.error(`${logged} predictions are logged`);
  }
  await server.stop();
}

/** Through the stores: each version is that of the sample again. */
async function fillRegistry(folder: string): Promise<void> {
  const database = await openSqlite({ path: join(folder, DATABASE_FILE), clock });
  const { id: projectId } = (await findProject(database.db, 'default'))!;
  const sample = (await findModel(database.db, projectId, 'credit-risk'))!;
  const version = (await findVersion(database.db, sample.id, 1))!;
  const at = clock.now().toISOString();
  const by = { createdAt: at, createdBy: 'key:admin' };
  for (let from = 0; from < MODELS; from += 100) {
    await database.transaction(async (tx) => {
      for (let i = from; i < from + 100; i++) {
        const name = `model-${String(i).padStart(4, '0')}`;
        const modelId = uuidv7();
        const words = { description: `The ${i}th of many models`, card: '# A card', tags: { team: `team-${i % 20}` } };
        await insertModel(tx, { id: modelId, projectId, name, ...words, ...by });
        for (let number = 1; number <= VERSIONS_EACH; number++) {
          const id = uuidv7();
          await insertVersion(tx, {
            ...version,
            ...by,
            id,
            modelId,
            model: name,
            version: number,
            idempotencyKey: null,
          });
          await storeValidation(tx, id, { ...version, status: 'ready', reason: null, validation: version.validation! });
        }
        await setNextVersion(tx, modelId, VERSIONS_EACH + 1);
        const target = { version: VERSIONS_EACH };
        const endpointId = uuidv7();
        await insertEndpoint(tx, {
          id: endpointId,
          name,
          environment: i % 2 === 0 ? 'production' : 'staging',
          modelId,
          target,
          pins: [],
          projectId,
          at,
          by: 'key:admin',
        });
        // No machine runs a thousand models at once: these wait to be loaded.
        const spec = (await findEndpoint(tx, projectId, name))!;
        await updateEndpoint(tx, { ...spec, loaded: false, revision: spec.revision + 1 }, at);
      }
    });
  }
  await database.close();
}
