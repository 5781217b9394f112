import type { Call } from '../base/access/call.ts';
import { can, type Verb } from '../base/access/permission.ts';
import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database, Db } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { uuidv7 } from '../base/ids.ts';
import type { ArmOutcomesReader } from '../monitoring/predictions/arm-outcomes.ts';
import type { StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import type { DesiredStatePublisher } from '../serving/endpoints/desired-state-publisher.ts';
import { type LiveChange, lastChange, listChanges } from '../serving/endpoints/live-history-store.ts';
import { refusalOf } from './commands.ts';
import { endpointOf } from './endpoint-asked.ts';
import { mergeReports } from './merge-evidence.ts';
import type { Plan } from './plan.ts';
import type { StageEstimate, TrafficFacts } from './plan-estimate.ts';
import type { Command, Observations, TransitionRecord } from './rollout.ts';
import type { RolloutLoop } from './rollout-loop.ts';
import { observeGateways } from './rollout-observations.ts';
import * as store from './rollout-store.ts';
import { type RolloutView, viewOf } from './rollout-view.ts';
import { type ShadowView, shadowViews } from './shadow-view.ts';
import { createStart, type StartInput } from './start-service.ts';

export type Started = {
  readonly rollout: RolloutView | null;
  readonly plan: Plan;
  readonly estimates: readonly StageEstimate[];
};

export type CommandInput = { readonly reason?: string; readonly stage?: number };

export type RolloutService = ReturnType<typeof createRolloutService>;

/** How long a command waits until a step has taken it. */
const TAKEN_WITHIN_MS = 3_000;
/** How long a new rollout waits until the one that it supersedes has gone back. */
const BACK_WITHIN_MS = 20_000;

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

  /** Comes back when the rollout under way has given its traffic back. */
  const supersede = async (call: Call, name: string, by: string): Promise<void> => {
    const { state } = await ask(call, name, 'supersede', { reason: by });
    const untilMs = clock.monotonicMs() + BACK_WITHIN_MS;
    while (clock.monotonicMs() < untilMs) {
      loop.wake();
      const stored = await store.findRollout(database.db, call.project.id, state.id);
      if (stored === null || store.underWay(stored) === null) return;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new SlipwayError('in_use', `The rollout of ${name} to version ${state.to.version} is still on its way back`, {
      hint: `Start this one again when it is: slipway rollouts show ${name}`,
    });
  };

  const begin = createStart({ database, clock, factsOf, outcomes, supersede });

  return {
    /** @throws SlipwayError with every reason for which the plan cannot work, before anything moves */
    async start(call: Call, name: string, input: StartInput): Promise<Started> {
      const { stored, plan, estimates } = await begin(call, name, input);
      if (stored === null) return { rollout: null, plan, estimates };
      loop.wake();
      return { rollout: show(stored), plan, estimates };
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
      await ask(call, name, kind, input);
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

  async function ask(
    call: Call,
    name: string,
    kind: Command['kind'],
    input: CommandInput,
  ): Promise<store.StoredRollout> {
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
      await appendAudit(
        tx,
        {
          project: call.project.name,
          actor: call.principal.actor,
          action: `rollout.${kind}`,
          resource: `rollout/${name}`,
          detail: { rollout: stored.state.id },
          reason: input.reason ?? null,
          requestId: call.requestId,
        },
        clock,
      );
      return stored;
    });
    if (!call.dryRun) await taken(asked.state.id);
    return asked;
  }

  async function taken(rolloutId: string): Promise<void> {
    loop.wake();
    const untilMs = clock.monotonicMs() + TAKEN_WITHIN_MS;
    while (clock.monotonicMs() < untilMs) {
      if ((await store.listCommands(database.db, rolloutId)).length === 0) return;
      await new Promise((done) => setTimeout(done, 20));
    }
  }
}

function commandOf(kind: Command['kind'], by: string, input: CommandInput, stored: store.StoredRollout): Command {
  const { phase } = stored.state;
  if (kind === 'approve') return { kind, by, stage: input.stage ?? ('stage' in phase ? phase.stage : -1) };
  if (kind === 'supersede') return { kind, by, rollout: input.reason ?? '' };
  return { kind, by, reason: input.reason ?? '' };
}
