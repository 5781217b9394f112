import type { Call } from '../../base/access/call.ts';
import { assertCan, can, notPermitted, type Verb } from '../../base/access/permission.ts';
import { readPermittedPage } from '../../base/access/permitted-page.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database, Db, Tx } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { uuidv7 } from '../../base/ids.ts';
import { assertName, assertRevision } from '../../registry/model.ts';
import type { DesiredStatePublisher } from './desired-state-publisher.ts';
import {
  assessEndpoint,
  DEFAULT_ENVIRONMENT,
  type EndpointSpec,
  type EndpointStatus,
  isSharedOut,
  type Target,
} from './endpoint.ts';
import * as store from './endpoint-store.ts';
import { assertNotBreaking, checkPins, inRollout, resolveTarget } from './endpoint-targets.ts';
import { noteLive } from './live-history-store.ts';

export type Endpoint = Omit<EndpointSpec, 'id' | 'modelId' | 'traffic'> & {
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
  readonly loaded?: boolean;
  readonly allowBreaking?: boolean;
  readonly reason?: string;
};

export type EndpointService = ReturnType<typeof createEndpointService>;

/** The verbs on endpoints. Changes are committed with their audit record, then published to the gateways. */
export function createEndpointService(deps: { database: Database; publisher: DesiredStatePublisher; clock: Clock }) {
  const { database, publisher, clock } = deps;

  const show = (spec: EndpointSpec): Endpoint => {
    const { id: _id, modelId: _modelId, traffic: _traffic, ...rest } = spec;
    const gateways = publisher.gateways();
    const base = gateways[0]?.httpUrl;
    const prefix = spec.project === 'default' ? '' : `/p/${spec.project}`;
    return {
      ...rest,
      url: base === undefined ? null : `${base}${prefix}/endpoints/${spec.name}/predict`,
      status: assessEndpoint(spec, publisher.generation(), publisher.observed(), clock.now()),
    };
  };

  /** What is live is kept with who changed it, in the same transaction. */
  const noteChange = (tx: Tx, call: Call, endpoint: string, reason: string | null): Promise<void> =>
    noteLive(tx, {
      projectId: call.project.id,
      endpoint,
      actor: call.principal.actor,
      reason,
      requestId: call.requestId,
      at: clock.now().toISOString(),
    });

  /** A key for some models is told nothing of the others' endpoints, not even whether there is one by this name. */
  const find = async (db: Db, call: Call, name: string, verb: Verb): Promise<EndpointSpec> => {
    const { principal, project } = call;
    const spec = await store.findEndpoint(db, project.id, name);
    if (!can(principal, verb, project.name, spec?.model)) throw notPermitted(principal, verb);
    if (spec) return spec;
    // A first version that did not pass its validation leaves a model without an endpoint.
    const isModel = (await store.findModelId(db, project.id, name)) !== null;
    throw new SlipwayError('endpoint_not_found', `There is no endpoint ${name}`, {
      hint: isModel
        ? `There is a model ${name}: \`slipway versions show ${name}@latest\` says what became of its youngest version.`
        : '`slipway endpoints list` shows them; `slipway deploy` makes one.',
    });
  };

  return {
    /** One page by name; a key for some models sees their endpoints only. */
    async list(call: Call, page: { after: string | null; limit: number }): Promise<Endpoint[]> {
      const { principal, project } = call;
      const specs = await readPermittedPage(
        page,
        (next) => store.listEndpoints(database.db, project.id, next),
        (spec) => can(principal, 'read', project.name, spec.model),
      );
      return specs.map(show);
    },

    async get(call: Call, name: string): Promise<Endpoint> {
      const spec = await find(database.db, call, name, 'read');
      return show(spec);
    },

    async create(call: Call, input: CreateEndpoint): Promise<Endpoint> {
      assertCan(call.principal, 'deploy', call.project.name, input.model);
      assertName(input.name, '/name', 'an endpoint');
      const environment = input.environment ?? DEFAULT_ENVIRONMENT;
      assertName(environment, '/environment', 'an environment');
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
          loaded: true,
          traffic: null,
          revision: 1,
          createdAt: at,
          createdBy: by,
          updatedAt: at,
        };
        if (call.dryRun) return planned;
        await store.insertEndpoint(tx, { ...row, projectId: call.project.id, at, by });
        await noteChange(tx, call, input.name, null);
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

    /** Moves an endpoint to another version, loads or unloads it, or changes its pins or environment. Callers of the old version are not cut off. */
    async update(call: Call, name: string, change: ChangeEndpoint): Promise<Endpoint> {
      const after = await database.transaction(async (tx) => {
        const before = await find(tx, call, name, 'deploy');
        assertRevision(name, before.revision, call.ifMatch);
        if (change.target !== undefined && isSharedOut(before.traffic)) throw inRollout(name);
        if (change.environment !== undefined) assertName(change.environment, '/environment', 'an environment');
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
          loaded: change.loaded ?? before.loaded,
          revision: before.revision + 1,
          updatedAt: clock.now().toISOString(),
        };
        if (call.dryRun) return { ...planned, revision: before.revision };
        await store.updateEndpoint(tx, planned, planned.updatedAt);
        await noteChange(tx, call, name, change.reason ?? null);
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
        const spec = await find(tx, call, name, 'deploy');
        assertRevision(name, spec.revision, call.ifMatch);
        if (isSharedOut(spec.traffic)) throw inRollout(name);
        if (call.dryRun) return;
        await store.deleteEndpoint(tx, spec.id);
        await noteChange(tx, call, name, null);
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
  return {
    target: spec.target,
    version: spec.targetVersion,
    environment: spec.environment,
    pins: spec.pins,
    loaded: spec.loaded,
  };
}

async function findModel(db: Db, call: Call, model: string): Promise<string> {
  const id = await store.findModelId(db, call.project.id, model);
  if (id) return id;
  throw new SlipwayError('model_not_found', `There is no model ${model}`, {
    hint: '`slipway models list` shows them.',
  });
}
