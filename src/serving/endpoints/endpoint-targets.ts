import type { Db } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { assertCompatible } from '../../registry/signature.ts';
import { assessServable, type EndpointSpec, type ServableVersion, type Target } from './endpoint.ts';
import * as store from './endpoint-store.ts';

export async function resolveTarget(
  db: Db,
  modelId: string,
  model: string,
  target: Target,
): Promise<{ target: Target; version: ServableVersion }> {
  if ('version' in target) return { target, version: await findServable(db, modelId, model, target.version) };
  const number = await store.findAliasVersion(db, modelId, target.alias);
  if (number === null) {
    throw new SlipwayError('alias_not_found', `${model} has no alias ${target.alias}`, {
      hint: `Set it first: slipway aliases set ${model} ${target.alias} <version>`,
    });
  }
  return { target, version: await findServable(db, modelId, model, number) };
}

export async function findServable(db: Db, modelId: string, model: string, number: number): Promise<ServableVersion> {
  const version = await store.findServableVersion(db, modelId, number);
  if (!version) {
    throw new SlipwayError('version_not_found', `There is no ${model}@${number}`, {
      hint: `\`slipway versions list ${model}\` shows them.`,
    });
  }
  const obstacle = assessServable(model, version);
  if (obstacle) throw new SlipwayError('version_not_servable', obstacle.reason, { hint: obstacle.fix });
  return version;
}

export async function checkPins(db: Db, modelId: string, model: string, pins: readonly number[]): Promise<number[]> {
  const unique = [...new Set(pins)].sort((a, b) => a - b);
  for (const pin of unique) await findServable(db, modelId, model, pin);
  return unique;
}

/** Callers that pin no version move with the target; a change that would break them needs a word of consent. */
export async function assertNotBreaking(db: Db, before: EndpointSpec, to: ServableVersion): Promise<void> {
  if (before.targetVersion === null || before.targetVersion === to.version) return;
  const from = await store.findServableVersion(db, before.modelId, before.targetVersion);
  if (!from) return;
  assertCompatible(from.signature, to.signature, { version: `${before.model}@${to.version}`, endpoint: before.name });
}

/** While its calls are shared out, what answers an endpoint is the rollout's to change. */
export function inRollout(endpoint: string): SlipwayError {
  return new SlipwayError('in_use', `A rollout shares out the calls of ${endpoint}`, {
    hint: `See it: slipway rollouts show ${endpoint}. To end it: slipway rollouts abort ${endpoint}`,
  });
}
