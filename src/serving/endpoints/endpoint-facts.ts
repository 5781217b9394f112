import type { EndpointFacts } from '../../registry/endpoint-facts.ts';
import { isSharedOut, trafficVersions } from './endpoint.ts';
import * as store from './endpoint-store.ts';
import { assertNotBreaking, findServable, inRollout } from './endpoint-targets.ts';
import { noteLive } from './live-history-store.ts';

/** What the registry asks about endpoints; control passes it in. */
export const endpointFacts: EndpointFacts = {
  async serving(db, modelId, version) {
    const endpoints = await store.listEndpointsOfModel(db, modelId);
    return endpoints
      .filter(
        (one) => one.targetVersion === version || [...one.pins, ...trafficVersions(one.traffic)].includes(version),
      )
      .map((one) => one.name);
  },

  async ofModel(db, modelId) {
    return (await store.listEndpointsOfModel(db, modelId)).map((one) => one.name);
  },

  async following(db, modelId, alias) {
    const endpoints = await store.listEndpointsOfModel(db, modelId);
    return endpoints.filter((one) => 'alias' in one.target && one.target.alias === alias).map((one) => one.name);
  },

  async signature(db, projectId, endpoint) {
    const spec = await store.findEndpoint(db, projectId, endpoint);
    if (!spec) return null;
    const version = spec.targetVersion;
    const served = version === null ? null : await store.findServableVersion(db, spec.modelId, version);
    return { model: spec.model, version, signature: served?.signature ?? null };
  },

  async assertAliasMovable(db, move) {
    for (const endpoint of await store.listEndpointsOfModel(db, move.modelId)) {
      if (!('alias' in endpoint.target) || endpoint.target.alias !== move.alias) continue;
      if (isSharedOut(endpoint.traffic)) throw inRollout(endpoint.name);
      const version = await findServable(db, move.modelId, endpoint.model, move.version);
      if (!move.allowBreaking) await assertNotBreaking(db, endpoint, version);
    }
  },

  async noteAliasMove(tx, { modelId, alias, ...change }) {
    for (const { target, name: endpoint } of await store.listEndpointsOfModel(tx, modelId))
      if ('alias' in target && target.alias === alias) await noteLive(tx, { endpoint, ...change });
  },
};
