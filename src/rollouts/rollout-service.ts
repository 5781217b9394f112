import { randomBytes } from 'node:crypto';
import type { Call } from '../base/access/call.ts';
import { can, notPermitted, type Verb } from '../base/access/permission.ts';
import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database, Db, Tx } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { uuidv7 } from '../base/ids.ts';
import type { ArmOutcomesReader } from '../monitoring/predictions/arm-outcomes.ts';
import { assertCompatible } from '../registry/signature.ts';
import { findVersion, latestNumber } from '../registry/version-store.ts';
import type { StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import type { DesiredStatePublisher } from '../serving/endpoints/desired-state-publisher.ts';
import type { EndpointSpec } from '../serving/endpoints/endpoint.ts';
import { findAliasVersion, findEndpoint, setEndpointTraffic } from '../serving/endpoints/endpoint-store.ts';
import { findServable } from '../serving/endpoints/endpoint-targets.ts';
import { type LiveChange, lastChange, listChanges } from '../serving/endpoints/live-history-store.ts';
import { refusalOf } from './commands.ts';
import { mergeReports } from './merge-evidence.ts';
import { needsOutcomes } from './outcomes.ts';
import type { Plan } from './plan.ts';
import { planFaults } from './plan-check.ts';
import { estimatePlan, type StageEstimate, type TrafficFacts } from './plan-estimate.ts';
import { parsePlan, parsePlanText, planDigest } from './plan-file.ts';
import { outcomeFaults } from './plan-support.ts';
import { type Command, ENDED, type Observations, type TransitionRecord } from './rollout.ts';
import type { RolloutLoop } from './rollout-loop.ts';
import { observeGateways } from './rollout-observations.ts';
import * as store from './rollout-store.ts';
import { type RolloutView, viewOf } from './rollout-view.ts';
import { type ShadowView, shadowViews } from './shadow-view.ts';
import { startRollout } from './start.ts';
import { taskOf } from './task.ts';

export type StartInput = {
  /** A number, an alias, or `latest`. */
  readonly to: string;
  readonly strategy?: 'canary' | 'blue-green' | 'shadow';
  /** A plan as YAML text, or as an object. */
  readonly plan?: string | object;
  /** Share of calls that a shadow gets, such as `20%`. */
  readonly sample?: string;
  readonly reason?: string;
  readonly allowBreaking?: boolean;
};

export type Started = {
  readonly rollout: RolloutView | null;
  readonly plan: Plan;
  readonly estimates: readonly StageEstimate[];
};

export type CommandInput = { readonly reason?: string; readonly stage?: number };

export type RolloutService = ReturnType<typeof createRolloutService>;

/** How long a command waits until a step has taken it. */
const TAKEN_WITHIN_MS = 3_000;

/** The verbs on rollouts. What people ask is written down and taken by the next step, which comes at once. */
export function createRolloutService(deps: {
  database: Database;
  publisher: DesiredStatePublisher;
  clock: Clock;
  loop: RolloutLoop;
  factsOf: (project: string, endpoint: string) => TrafficFacts;
  outcomes: ArmOutcomesReader;
}) {
  const { database, publisher, clock, loop, factsOf, outcomes } = deps;

  const endpointOf = async (db: Db, call: Call, name: string, verb: Verb): Promise<EndpointSpec> => {
    const spec = await findEndpoint(db, call.project.id, name);
    if (!can(call.principal, verb, call.project.name, spec?.model)) throw notPermitted(call.principal, verb);
    if (spec !== null) return spec;
    throw new SlipwayError('endpoint_not_found', `There is no endpoint ${name}`, {
      hint: '`slipway endpoints list` shows them; a first version is deployed by `slipway deploy`.',
    });
  };

  const latestOf = async (db: Db, call: Call, endpoint: string): Promise<store.StoredRollout> => {
    const stored = await store.findLatest(db, call.project.id, endpoint);
    if (stored !== null) return stored;
    throw new SlipwayError('rollout_not_found', `${endpoint} has had no rollout`, {
      hint: `Start one: slipway rollouts start ${endpoint} --to VERSION --strategy canary`,
    });
  };

  const show = ({ state, isActive }: store.StoredRollout): RolloutView => {
    const newest = (isActive ? loop.latest(state.id) : null) ?? state;
    const rollout = newest.revision >= state.revision ? newest : state;
    return viewOf(rollout, {
      evidence: loop.evidence(state.id),
      traffic: factsOf(state.project, state.endpoint),
    });
  };

  const versionAsked = async (db: Db, spec: EndpointSpec, to: string): Promise<number> => {
    if (/^[1-9]\d{0,8}$/.test(to)) return Number(to);
    const number =
      to === 'latest' ? await latestNumber(db, spec.modelId) : await findAliasVersion(db, spec.modelId, to);
    if (number !== null) return number;
    throw new SlipwayError('alias_not_found', `${spec.model} has no alias ${to.slice(0, 80)}`, {
      hint: `\`slipway models show ${spec.model}\` lists them.`,
    });
  };

  return {
    /** @throws SlipwayError with every reason for which the plan cannot work, before anything moves */
    async start(call: Call, name: string, input: StartInput): Promise<Started> {
      const started = await database.transaction(async (tx) => {
        const spec = await endpointOf(tx, call, name, 'deploy');
        const number = await versionAsked(tx, spec, input.to);
        const servable = await findServable(tx, spec.modelId, spec.model, number);
        const to = (await findVersion(tx, spec.modelId, number))!;
        if (number === spec.targetVersion)
          throw new SlipwayError('invalid_request', `${name} serves version ${number} already`, {
            fields: [{ pointer: '/to', message: 'is the version that serves now' }],
          });
        const before = await store.findLatest(tx, call.project.id, name);
        if (before?.isActive && !ENDED.includes(before.state.phase.kind))
          throw new SlipwayError('in_use', `${name} is in a rollout to version ${before.state.to.version} already`, {
            hint: `See it: slipway rollouts show ${name}. To end it: slipway rollouts abort ${name}`,
          });
        const from = spec.targetVersion === null ? null : await findVersion(tx, spec.modelId, spec.targetVersion);
        if (from !== null && input.allowBreaking !== true)
          assertCompatible(from.signature, servable.signature, {
            version: `${spec.model}@${number}`,
            endpoint: name,
          });
        const plan = planOf(input, (asked) => taskOf(to.signature, asked));
        for (const other of alsoShadowed(plan)) {
          const shadow = await findServable(tx, spec.modelId, spec.model, other);
          assertCompatible(servable.signature, shadow.signature, { version: `${spec.model}@${other}`, endpoint: name });
        }
        const task = taskOf(to.signature, null);
        const facts = factsOf(call.project.name, name);
        const outputs = to.signature.outputs.map((one) => one.name);
        const asked = { project: call.project, endpoint: name, signature: to.signature, compare: task.compare };
        const obstacle = needsOutcomes(plan, outputs) ? await outcomes.obstacle(tx, asked) : null;
        const faults = [
          ...outcomeFaults(plan, outputs, obstacle),
          ...planFaults(plan, { ...facts, hasControl: from !== null, outputs }),
        ];
        if (faults.length > 0)
          throw new SlipwayError(
            'invalid_request',
            `The plan cannot work: ${faults[0]!.pointer} ${faults[0]!.message}`,
            {
              fields: faults,
              hint: 'docs/guides/rollout-plans.md says what each part may be.',
            },
          );
        const estimates = estimatePlan(plan, facts);
        if (call.dryRun) return { stored: null, plan, estimates };
        if (before?.isActive === true) await takeOver(tx, spec, before);
        const now = clock.now();
        const state = startRollout({
          id: uuidv7(now.getTime()),
          project: call.project.name,
          endpoint: name,
          model: spec.model,
          from: from === null ? null : { version: from.version, digest: from.digest },
          to: { version: number, digest: to.digest },
          plan,
          planVersion: planDigest(plan),
          salt: randomBytes(16).toString('hex'),
          sharedSalt: await store.sharedSalt(tx, () => randomBytes(16).toString('hex')),
          startedBy: call.principal.actor,
          versionBy: to.createdBy,
          startedAtMs: now.getTime(),
          trafficRevision: spec.traffic?.revision ?? 0,
          outputs: task.outputs,
          compare: task.compare,
        });
        const stored: store.StoredRollout = {
          projectId: call.project.id,
          endpointId: spec.id,
          isActive: true,
          startedAt: now.toISOString(),
          endedAt: null,
          state,
        };
        await store.insertRollout(tx, stored);
        await audit(
          tx,
          call,
          'rollout.start',
          name,
          { rollout: state.id, from: from?.version ?? null, to: number },
          input.reason,
        );
        return { stored, plan, estimates };
      });
      if (started.stored === null) return { rollout: null, plan: started.plan, estimates: started.estimates };
      loop.wake();
      return { rollout: show(started.stored), plan: started.plan, estimates: started.estimates };
    },

    async list(
      call: Call,
      filter: { endpoint: string | null },
      page: { before: string | null; limit: number },
    ): Promise<RolloutView[]> {
      const { principal, project } = call;
      const rows = await store.listRollouts(database.db, project.id, filter, page);
      return rows.filter(({ state }) => can(principal, 'read', project.name, state.model)).map(show);
    },

    /** The last rollout of an endpoint, with everything that moved it. */
    async get(
      call: Call,
      name: string,
    ): Promise<{ rollout: RolloutView; records: TransitionRecord[]; shadows: ShadowView[] }> {
      await endpointOf(database.db, call, name, 'read');
      const stored = await latestOf(database.db, call, name);
      const records = await store.listRecords(database.db, stored.state.id);
      return { rollout: show(stored), records, shadows: shadowViews(await shadowEvidence(stored)) };
    },

    /** Asks a rollout for something, and waits until a step has taken it. */
    async command(call: Call, name: string, kind: Command['kind'], input: CommandInput = {}): Promise<RolloutView> {
      const verb: Verb = kind === 'approve' || kind === 'promote' ? 'promote' : 'deploy';
      const asked = await database.transaction(async (tx) => {
        const spec = await endpointOf(tx, call, name, verb);
        const stored = await latestOf(tx, call, name);
        const command = commandOf(kind, call.principal.actor, input, stored);
        const state = loop.latest(stored.state.id) ?? stored.state;
        const seen = observeGateways(state, spec, publisher.observed(), publisher.generation(), clock.now());
        const refusal = refusalOf(stored.state, seen as Observations, command);
        if (refusal !== null)
          throw new SlipwayError('rollout_refused', refusal, { hint: `See it: slipway rollouts show ${name}` });
        if (call.dryRun) return stored;
        const now = clock.now();
        const id = uuidv7(now.getTime());
        await store.insertCommand(tx, { id, rolloutId: stored.state.id, command, at: now.toISOString() });
        await audit(tx, call, `rollout.${kind}`, name, { rollout: stored.state.id }, input.reason);
        return stored;
      });
      if (!call.dryRun) await taken(asked.state.id);
      return show(await latestOf(database.db, call, name));
    },

    /** What was live at a time; null where nothing is known of it. */
    async liveAt(call: Call, name: string, at: string): Promise<LiveChange | null> {
      await endpointOf(database.db, call, name, 'read');
      return lastChange(database.db, call.project.id, name, new Date(at).toISOString());
    },

    async history(call: Call, name: string, page: { before: string | null; limit: number }): Promise<LiveChange[]> {
      await endpointOf(database.db, call, name, 'read');
      return listChanges(database.db, call.project.id, name, page);
    },
  };

  /** Of the last shadow stage that there was, also when the rollout is over. */
  async function shadowEvidence({ state }: store.StoredRollout): Promise<StageEvidence | null> {
    const stage = state.plan.stages.findLastIndex((one) => one.kind === 'shadow');
    if (stage === -1) return null;
    const now = loop.evidence(state.id);
    if (now !== null && now.stage === stage) return now;
    const { id, epoch } = state;
    return mergeReports(await store.listEvidence(database.db, id), { id, epoch, stage });
  }

  /** What an ended rollout keeps warm is let go: the new one has its own. */
  async function takeOver(tx: Tx, spec: EndpointSpec, before: store.StoredRollout): Promise<void> {
    await store.deactivate(tx, before.state.id);
    const warm = [before.state.from?.version, before.state.to.version];
    const pins = spec.pins.filter((pin) => !warm.includes(pin));
    if (pins.length === spec.pins.length) return;
    const traffic = spec.traffic ?? { revision: 0, split: null, shadows: [] };
    const at = clock.now().toISOString();
    await setEndpointTraffic(tx, spec.id, { target: spec.target, pins, traffic, revision: spec.revision + 1 }, at);
  }

  async function taken(rolloutId: string): Promise<void> {
    loop.wake();
    const untilMs = clock.monotonicMs() + TAKEN_WITHIN_MS;
    while (clock.monotonicMs() < untilMs) {
      if ((await store.listCommands(database.db, rolloutId)).length === 0) return;
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  function audit(tx: Tx, call: Call, action: string, endpoint: string, detail: object, reason?: string): Promise<void> {
    return appendAudit(
      tx,
      {
        project: call.project.name,
        actor: call.principal.actor,
        action,
        resource: `rollout/${endpoint}`,
        detail,
        reason: reason ?? null,
        requestId: call.requestId,
      },
      clock,
    );
  }
}

function planOf(input: StartInput, task: Parameters<typeof parsePlan>[1]): Plan {
  if (typeof input.plan === 'string') return parsePlanText(input.plan, 'The plan', task);
  if (input.plan !== undefined) return parsePlan(input.plan, task);
  const strategy = input.strategy ?? 'canary';
  if (input.sample === undefined) return parsePlan({ strategy }, task);
  if (strategy !== 'shadow')
    throw new SlipwayError('unsupported_option', 'A sample belongs to the strategy shadow', {
      fields: [{ pointer: '/sample', message: 'is for strategy shadow only' }],
    });
  return parsePlan({ stages: [{ kind: 'shadow', sample: input.sample }] }, task);
}

/** Versions that run as shadows beside the candidate. */
function alsoShadowed(plan: Plan): number[] {
  return plan.stages.flatMap((stage) => (stage.kind === 'shadow' ? stage.also : []));
}

function commandOf(kind: Command['kind'], by: string, input: CommandInput, stored: store.StoredRollout): Command {
  const { phase } = stored.state;
  if (kind === 'approve') return { kind, by, stage: input.stage ?? ('stage' in phase ? phase.stage : -1) };
  if (kind === 'supersede') return { kind, by, rollout: input.reason ?? '' };
  return { kind, by, reason: input.reason ?? '' };
}
