import { randomBytes } from 'node:crypto';
import type { Call } from '../base/access/call.ts';
import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database, Db, Tx } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { uuidv7 } from '../base/ids.ts';
import type { ArmOutcomesReader } from '../monitoring/predictions/arm-outcomes.ts';
import { assertCompatible } from '../registry/signature.ts';
import { findVersion, latestNumber, type StoredVersion } from '../registry/version-store.ts';
import type { EndpointSpec } from '../serving/endpoints/endpoint.ts';
import { findAliasVersion, setEndpointTraffic } from '../serving/endpoints/endpoint-store.ts';
import { findServable } from '../serving/endpoints/endpoint-targets.ts';
import type { ComparisonSpec } from '../serving/endpoints/traffic.ts';
import { endpointOf } from './endpoint-asked.ts';
import { needsOutcomes } from './outcomes.ts';
import type { Plan } from './plan.ts';
import { planFaults } from './plan-check.ts';
import { estimatePlan, type StageEstimate, type TrafficFacts } from './plan-estimate.ts';
import { parsePlan, parsePlanText, planDigest } from './plan-file.ts';
import { privacyFaults } from './plan-privacy.ts';
import { outcomeFaults } from './plan-support.ts';
import * as store from './rollout-store.ts';
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
  /** A rollout under way goes back first, and this one takes its place. */
  readonly supersede?: boolean;
};

/** `stored`: null in a dry run. */
export type Planned = {
  readonly stored: store.StoredRollout | null;
  readonly plan: Plan;
  readonly estimates: readonly StageEstimate[];
};

export type Start = (call: Call, name: string, input: StartInput) => Promise<Planned>;

/** Plans a rollout, refuses what cannot work before anything moves, and writes down the first state. */
export function createStart(deps: {
  database: Database;
  clock: Clock;
  factsOf: (project: string, endpoint: string) => TrafficFacts;
  outcomes: ArmOutcomesReader;
  /** Ends the rollout under way in favour of another, and comes back when its traffic is back. */
  supersede: (call: Call, name: string, by: string) => Promise<void>;
}): Start {
  const { database, clock, factsOf, outcomes, supersede } = deps;

  const attempt = (call: Call, name: string, id: string, input: StartInput): Promise<Planned> =>
    database.transaction(async (tx) => {
      const spec = await endpointOf(tx, call, name, 'deploy');
      const before = await store.findLatest(tx, call.project.id, name);
      const running = store.underWay(before);
      // what the endpoint serves when a rollout under way has gone back
      const current = running === null ? spec.targetVersion : (running.state.from?.version ?? null);
      const number = await versionAsked(tx, spec, input.to);
      const servable = await findServable(tx, spec.modelId, spec.model, number);
      const to = (await findVersion(tx, spec.modelId, number))!;
      if (running !== null && !(input.supersede === true && call.dryRun))
        throw new SlipwayError('in_use', `${name} is in a rollout to version ${running.state.to.version} already`, {
          hint: `See it: slipway rollouts show ${name}. To end it: slipway rollouts abort ${name}, or start this one with --supersede`,
        });
      if (number === current)
        throw new SlipwayError('invalid_request', `${name} serves version ${number} already`, {
          fields: [{ pointer: '/to', message: 'is the version that serves now' }],
        });
      const from = current === null ? null : await findVersion(tx, spec.modelId, current);
      if (from !== null && input.allowBreaking !== true)
        assertCompatible(from.signature, servable.signature, { version: `${spec.model}@${number}`, endpoint: name });
      let task = taskOf(to.signature);
      const plan = planOf(input, (asked) => {
        task = taskOf(to.signature, asked);
        return task;
      });
      for (const other of alsoShadowed(plan)) {
        const shadow = await findServable(tx, spec.modelId, spec.model, other);
        assertCompatible(servable.signature, shadow.signature, { version: `${spec.model}@${other}`, endpoint: name });
      }
      const facts = factsOf(call.project.name, name);
      await assertWorkable(tx, call, name, { plan, to, compare: task.compare, hasControl: from !== null, facts });
      const estimates = estimatePlan(plan, facts);
      if (call.dryRun) return { stored: null, plan, estimates };
      if (before?.isActive === true) await takeOver(tx, spec, before);
      const now = clock.now();
      const state = startRollout({
        id,
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
      await appendAudit(
        tx,
        {
          project: call.project.name,
          actor: call.principal.actor,
          action: 'rollout.start',
          resource: `rollout/${name}`,
          detail: { rollout: id, from: from?.version ?? null, to: number },
          reason: input.reason ?? null,
          requestId: call.requestId,
        },
        clock,
      );
      return { stored, plan, estimates };
    });

  const assertWorkable = async (
    tx: Tx,
    call: Call,
    name: string,
    {
      plan,
      to,
      compare,
      hasControl,
      facts,
    }: { plan: Plan; to: StoredVersion; compare: ComparisonSpec; hasControl: boolean; facts: TrafficFacts },
  ): Promise<void> => {
    const outputs = to.signature.outputs.map((one) => one.name);
    const asked = { project: call.project, endpoint: name, signature: to.signature, compare };
    const obstacle = needsOutcomes(plan, outputs) ? await outcomes.obstacle(tx, asked) : null;
    const faults = [
      ...outcomeFaults(plan, outputs, obstacle),
      ...planFaults(plan, { ...facts, hasControl, outputs }),
      ...(await privacyFaults(tx, { projectId: call.project.id, name }, plan, { signature: to.signature, compare })),
    ];
    if (faults.length === 0) return;
    throw new SlipwayError('invalid_request', `The plan cannot work: ${faults[0]!.pointer} ${faults[0]!.message}`, {
      fields: faults,
      hint: 'docs/guides/rollout-plans.md says what each part may be.',
    });
  };

  /** What an ended rollout keeps warm is let go: the new one has its own. */
  const takeOver = async (tx: Tx, spec: EndpointSpec, before: store.StoredRollout): Promise<void> => {
    await store.deactivate(tx, before.state.id);
    const warm = [before.state.from?.version, before.state.to.version];
    const pins = spec.pins.filter((pin) => !warm.includes(pin));
    if (pins.length === spec.pins.length) return;
    const traffic = spec.traffic ?? { revision: 0, split: null, shadows: [] };
    const at = clock.now().toISOString();
    await setEndpointTraffic(tx, spec.id, { target: spec.target, pins, traffic, revision: spec.revision + 1 }, at);
  };

  return async (call, name, input) => {
    const id = uuidv7(clock.now().getTime());
    if (input.supersede === true && !call.dryRun) {
      const before = await store.findLatest(database.db, call.project.id, name);
      // What cannot work ends nothing.
      await attempt({ ...call, dryRun: true }, name, id, input);
      if (store.underWay(before) !== null) await supersede(call, name, id);
    }
    return attempt(call, name, id, input);
  };
}

async function versionAsked(db: Db, spec: EndpointSpec, to: string): Promise<number> {
  if (/^[1-9]\d{0,8}$/.test(to)) return Number(to);
  const number = to === 'latest' ? await latestNumber(db, spec.modelId) : await findAliasVersion(db, spec.modelId, to);
  if (number !== null) return number;
  throw new SlipwayError('alias_not_found', `${spec.model} has no alias ${to.slice(0, 80)}`, {
    hint: `\`slipway models show ${spec.model}\` lists them.`,
  });
}

function planOf(input: StartInput, task: Parameters<typeof parsePlan>[1]): Plan {
  for (const key of ['strategy', 'sample'] as const)
    if (input.plan !== undefined && input[key] !== undefined)
      throw new SlipwayError('unsupported_option', `A plan says its own ${key}`, {
        fields: [{ pointer: `/${key}`, message: 'cannot stand beside a plan: write it into the plan' }],
      });
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
