import { assertCan } from '../../base/access/permission.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database, Db } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Call } from '../../base/http/management-server.ts';
import { isName, NAME_RULE, uuidv7 } from '../../base/ids.ts';
import { diffSignatures, type Signature } from '../../registry/signature.ts';
import type { DesiredStatePublisher } from './desired-state-publisher.ts';
import {
  assessEndpoint,
  assessServable,
  DEFAULT_ENVIRONMENT,
  type EndpointSpec,
  type EndpointStatus,
  type ServableVersion,
  type Target,
} from './endpoint.ts';
import * as store from './endpoint-store.ts';

export type Endpoint = Omit<EndpointSpec, 'id' | 'modelId'> & {
  readonly url: string | null;
  readonly status: EndpointStatus;
};

export type CreateEndpoint = {
  readonly name: string;
  readonly model: string;
  readonly target: Target;
  readonly environment?: string;
  readonly pins?: readonly number[];
};

export type ChangeEndpoint = {
  readonly target?: Target;
  readonly environment?: string;
  readonly pins?: readonly number[];
  readonly allowBreaking?: boolean;
  readonly reason?: string;
};

export type EndpointService = ReturnType<typeof createEndpointService>;

/** The verbs on endpoints. Changes are committed with their audit record, then published to the gateways. */
export function createEndpointService(deps: { database: Database; publisher: DesiredStatePublisher; clock: Clock }) {
  const { database, publisher, clock } = deps;

  const show = (spec: EndpointSpec): Endpoint => {
    const { id: _id, modelId: _modelId, ...rest } = spec;
    const gateways = publisher.gateways();
    const base = gateways[0]?.httpUrl;
    const prefix = spec.project === 'default' ? '' : `/p/${spec.project}`;
    return {
      ...rest,
      url: base === undefined ? null : `${base}${prefix}/endpoints/${spec.name}/predict`,
      status: assessEndpoint(spec, publisher.generation(), publisher.observed(), clock.now()),
    };
  };

  const find = async (db: Db, call: Call, name: string): Promise<EndpointSpec> => {
    const spec = await store.findEndpoint(db, call.project.id, name);
    if (spec) return spec;
    throw new SlipwayError('endpoint_not_found', `There is no endpoint ${name}`, {
      hint: '`slipway endpoints list` shows them; `slipway deploy` makes one.',
    });
  };

  return {
    async list(call: Call, page: { after: string | null; limit: number }): Promise<Endpoint[]> {
      const specs = await store.listEndpoints(database.db, call.project.id, page);
      return specs.map(show);
    },

    async get(call: Call, name: string): Promise<Endpoint> {
      const spec = await find(database.db, call, name);
      assertCan(call.principal, 'read', call.project.name, spec.model);
      return show(spec);
    },

    async create(call: Call, input: CreateEndpoint): Promise<Endpoint> {
      assertCan(call.principal, 'deploy', call.project.name, input.model);
      assertName(input.name, '/name');
      const environment = input.environment ?? DEFAULT_ENVIRONMENT;
      assertName(environment, '/environment');
      const spec = await database.transaction(async (tx) => {
        const modelId = await findModel(tx, call, input.model);
        if (await store.findEndpoint(tx, call.project.id, input.name)) {
          throw new SlipwayError('already_exists', `There is an endpoint ${input.name} already`, {
            hint: `To move it to another version: slipway endpoints update ${input.name} --version <version>`,
          });
        }
        const { target, version } = await resolveTarget(tx, modelId, input.model, input.target);
        const pins = await checkPins(tx, modelId, input.model, input.pins ?? []);
        const at = clock.now().toISOString();
        const by = call.principal.actor;
        const row = { id: uuidv7(clock.now().getTime()), name: input.name, environment, modelId, target, pins };
        const planned: EndpointSpec = {
          ...row,
          project: call.project.name,
          model: input.model,
          targetVersion: version.version,
          revision: 1,
          createdAt: at,
          createdBy: by,
          updatedAt: at,
        };
        if (call.dryRun) return planned;
        await store.insertEndpoint(tx, { ...row, projectId: call.project.id, at, by });
        await appendAudit(
          tx,
          {
            project: call.project.name,
            actor: by,
            action: 'endpoint.create',
            resource: `endpoint/${input.name}`,
            detail: { model: input.model, target, environment, pins, version: version.version },
            requestId: call.requestId,
          },
          clock,
        );
        return planned;
      });
      if (!call.dryRun) await publisher.publish();
      return show(spec);
    },

    /** Moves an endpoint to another version, or changes its pins or environment. Callers of the old version are not cut off. */
    async update(call: Call, name: string, change: ChangeEndpoint): Promise<Endpoint> {
      const after = await database.transaction(async (tx) => {
        const before = await find(tx, call, name);
        assertCan(call.principal, 'deploy', call.project.name, before.model);
        if (call.ifMatch !== null && call.ifMatch !== before.revision) {
          throw new SlipwayError(
            'revision_conflict',
            `${name} is at revision ${before.revision}, not ${call.ifMatch}`,
            {
              hint: `Read it again (slipway endpoints show ${name}) and repeat the change if it still makes sense.`,
            },
          );
        }
        if (change.environment !== undefined) assertName(change.environment, '/environment');
        const { target, version } = await resolveTarget(
          tx,
          before.modelId,
          before.model,
          change.target ?? before.target,
        );
        if (change.target !== undefined && change.allowBreaking !== true) await assertNotBreaking(tx, before, version);
        const planned: EndpointSpec = {
          ...before,
          environment: change.environment ?? before.environment,
          target,
          targetVersion: version.version,
          pins: change.pins ? await checkPins(tx, before.modelId, before.model, change.pins) : before.pins,
          revision: before.revision + 1,
          updatedAt: clock.now().toISOString(),
        };
        if (call.dryRun) return { ...planned, revision: before.revision };
        await store.updateEndpoint(tx, planned, planned.updatedAt);
        await appendAudit(
          tx,
          {
            project: call.project.name,
            actor: call.principal.actor,
            action: 'endpoint.update',
            resource: `endpoint/${name}`,
            detail: { from: changeable(before), to: changeable(planned) },
            reason: change.reason ?? null,
            requestId: call.requestId,
          },
          clock,
        );
        return planned;
      });
      if (!call.dryRun) await publisher.publish();
      return show(after);
    },

    async remove(call: Call, name: string): Promise<void> {
      await database.transaction(async (tx) => {
        const spec = await find(tx, call, name);
        assertCan(call.principal, 'deploy', call.project.name, spec.model);
        if (call.dryRun) return;
        await store.deleteEndpoint(tx, spec.id);
        await appendAudit(
          tx,
          {
            project: call.project.name,
            actor: call.principal.actor,
            action: 'endpoint.delete',
            resource: `endpoint/${name}`,
            detail: changeable(spec),
            requestId: call.requestId,
          },
          clock,
        );
      });
      if (!call.dryRun) await publisher.publish();
    },

    async why(call: Call, name: string) {
      const { status, targetVersion, model } = await this.get(call, name);
      const ready = status.state === 'ready';
      return {
        endpoint: name,
        ready,
        reason: ready
          ? `${name} is served by ${model}@${targetVersion}, which answered a real inference`
          : (status.reason ?? ''),
        fix: status.fix,
        observedAt: status.observedAt,
      };
    },
  };
}

function changeable(spec: EndpointSpec) {
  return { target: spec.target, version: spec.targetVersion, environment: spec.environment, pins: spec.pins };
}

function assertName(text: string, pointer: string): void {
  if (isName(text)) return;
  throw new SlipwayError('invalid_name', `${JSON.stringify(text)} is not a name: ${NAME_RULE}`, {
    fields: [{ pointer, message: NAME_RULE }],
  });
}

async function findModel(db: Db, call: Call, model: string): Promise<string> {
  const id = await store.findModelId(db, call.project.id, model);
  if (id) return id;
  throw new SlipwayError('model_not_found', `There is no model ${model}`, {
    hint: '`slipway models list` shows them.',
  });
}

async function resolveTarget(
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

async function findServable(db: Db, modelId: string, model: string, number: number): Promise<ServableVersion> {
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

async function checkPins(db: Db, modelId: string, model: string, pins: readonly number[]): Promise<number[]> {
  const unique = [...new Set(pins)].sort((a, b) => a - b);
  for (const pin of unique) await findServable(db, modelId, model, pin);
  return unique;
}

/** Callers that pin no version move with the target; a change that would break them needs a word of consent. */
async function assertNotBreaking(db: Db, before: EndpointSpec, to: ServableVersion): Promise<void> {
  if (before.targetVersion === null || before.targetVersion === to.version) return;
  const from = await store.findServableVersion(db, before.modelId, before.targetVersion);
  if (!from) return;
  const diff = diffSignatures(from.signature, to.signature);
  if (!diff.breaking) return;
  const reasons = diff.changes.filter((one) => one.breaking).map((one) => `${one.path}: ${one.reason}`);
  throw new SlipwayError(
    'signature_breaking',
    `${before.model}@${to.version} would break callers of ${before.name}: ${reasons.join('; ')}`,
    {
      hint: 'Repeat it with --allow-breaking (allowBreaking: true) if every caller is ready, or serve it under an endpoint of its own.',
      extra: { diff },
    },
  );
}

/**
 * Refuses to move an alias to a version that an endpoint following it could not serve, or whose signature would break that
 * endpoint's callers. The registry calls it inside the transaction that moves the alias.
 */
export async function assertAliasMovable(
  db: Db,
  move: { modelId: string; alias: string; version: number; allowBreaking: boolean },
): Promise<void> {
  for (const endpoint of await store.listEndpointsOfModel(db, move.modelId)) {
    if (!('alias' in endpoint.target) || endpoint.target.alias !== move.alias) continue;
    const version = await findServable(db, move.modelId, endpoint.model, move.version);
    if (!move.allowBreaking) await assertNotBreaking(db, endpoint, version);
  }
}

/** Whether some endpoint serves or keeps this version: it must not be deleted then. Gives the endpoints' names. */
export async function endpointsServing(db: Db, modelId: string, version: number): Promise<string[]> {
  const endpoints = await store.listEndpointsOfModel(db, modelId);
  return endpoints.filter((one) => one.targetVersion === version || one.pins.includes(version)).map((one) => one.name);
}

/** The signature that callers of an endpoint rely on; null when there is no such endpoint or nothing behind it. */
export async function signatureServedAt(db: Db, projectId: string, endpoint: string): Promise<Signature | null> {
  const spec = await store.findEndpoint(db, projectId, endpoint);
  if (!spec || spec.targetVersion === null) return null;
  return (await store.findServableVersion(db, spec.modelId, spec.targetVersion))?.signature ?? null;
}
