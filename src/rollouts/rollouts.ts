import type { Clock } from '../base/clock.ts';
import type { Database } from '../base/db/database.ts';
import { askOutside } from '../base/http/outbound.ts';
import type { Logger } from '../base/log.ts';
import type { Settings } from '../base/settings.ts';
import type { ArmOutcomesReader } from '../monitoring/predictions/arm-outcomes.ts';
import { findVersion } from '../registry/version-store.ts';
import type { EvidenceReport } from '../serving/endpoints/arm-evidence.ts';
import type { DesiredStatePublisher } from '../serving/endpoints/desired-state-publisher.ts';
import { CANDIDATE } from './gates/shadow-gates.ts';
import type { TrafficFacts } from './plan-estimate.ts';
import type { RollbackIntents } from './rollback-intents.ts';
import type { RollBack } from './rollback-routes.ts';
import { createRollbackService } from './rollback-service.ts';
import { createRolloutLoop, type GoldenResult, type RolloutLoop } from './rollout-loop.ts';
import { createRolloutService, type RolloutService } from './rollout-service.ts';

export type Rollouts = {
  readonly loop: RolloutLoop;
  readonly service: RolloutService;
  readonly rollBack: RollBack;
  /** A gateway's message of kind `evidence`. What has another form is refused. */
  readonly takeEvidence: (message: object) => void;
};

/** The rollouts room's parts in control, put together. */
export function createRollouts(deps: {
  database: Database;
  publisher: DesiredStatePublisher;
  clock: Clock;
  log: Logger;
  settings: Pick<Settings, 'externalHosts'>;
  intents: RollbackIntents;
  outcomes: ArmOutcomesReader;
  factsOf: (project: string, endpoint: string) => TrafficFacts;
}): Rollouts {
  const { database, publisher, clock, log, settings, intents, outcomes, factsOf } = deps;
  const loop = createRolloutLoop({
    database,
    publisher,
    clock,
    log,
    ask: (asked) => askOutside({ ...asked, allowedHosts: settings.externalHosts }),
    outcomesOf: async ({ projectId, state }, modelId) => {
      const version = await findVersion(database.db, modelId, state.to.version);
      if (version === null) return null;
      return outcomes.read({
        project: { id: projectId, name: state.project },
        endpoint: state.endpoint,
        fromMs: state.startedAtMs,
        untilMs: clock.now().getTime() - state.plan.labelDelayMs,
        plan: state.planVersion,
        epoch: state.epoch,
        signature: version.signature,
        compare: state.compare,
        shadow: CANDIDATE,
      });
    },
    goldenOf: (modelId, version) => goldenOf(database, modelId, version),
  });
  const service = createRolloutService({ database, publisher, clock, loop, factsOf, outcomes });
  const { rollBack, enterIntents } = createRollbackService({
    database,
    publisher,
    clock,
    log,
    loop,
    intents,
    abort: service.command,
  });
  publisher.beforeReading(enterIntents);
  return {
    loop,
    service,
    rollBack,
    takeEvidence(message) {
      const { reports } = message as { reports?: unknown };
      if (!Array.isArray(reports)) throw new TypeError('evidence comes without reports');
      loop.takeEvidence(reports as EvidenceReport[]);
    },
  };
}

/** How validation found the golden set of a version; null where it has none. */
async function goldenOf(database: Database, modelId: string, version: number): Promise<GoldenResult> {
  const found = await findVersion(database.db, modelId, version);
  const step = found?.validation?.steps.find((one) => one.name === 'golden');
  if (step === undefined || step.outcome === 'skipped') return null;
  // as validation words it: "5 of 5 cases agree"
  const [passed = 0, cases = 0] = (/^(\d+) of (\d+) /.exec(step.detail ?? '') ?? []).slice(1).map(Number);
  return step.outcome === 'passed'
    ? { cases, passed }
    : { cases: Math.max(1, cases), passed: Math.min(passed, cases - 1) };
}
