import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Database } from '../base/db/database.ts';
import type { Logger } from '../base/log.ts';
import type { Settings } from '../base/settings.ts';
import type { ArtifactStore } from '../registry/artifacts/artifact-store.ts';
import { settleParked } from './feedback/feedback-match.ts';
import { createFeedbackService } from './feedback/feedback-service.ts';
import { createItemRate } from './feedback/item-rate.ts';
import { createForeignRecorder } from './imports/foreign-recorder.ts';
import { createImportService } from './imports/import-service.ts';
import { createArmOutcomes } from './predictions/arm-outcomes.ts';
import { createDamagedFiles } from './predictions/damaged-files.ts';
import { createDuckStore } from './predictions/duck-store.ts';
import { createErasureService } from './predictions/erasure-service.ts';
import { createLogCompactor } from './predictions/log-compactor.ts';
import { createLogQuery } from './predictions/log-query.ts';
import { runRetention } from './predictions/log-retention.ts';
import { createLogService } from './predictions/log-service.ts';
import { createPolicyService } from './predictions/policy-service.ts';
import { createPredictionLookUp } from './predictions/prediction-lookup.ts';
import { PREDICTIONS_FOLDER } from './predictions/recording-file.ts';
import { createRecordingPublisher } from './predictions/recording-publisher.ts';
import { ingestPanes } from './profiles/pane-ingest.ts';
import { createProfileService } from './profiles/profile-service.ts';
import { createReferenceService } from './profiles/reference-service.ts';
import { createQualityService } from './quality/quality-service.ts';

export type MonitoringDeps = {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly artifacts: ArtifactStore;
  readonly settings: Pick<Settings, 'feedbackRate' | 'feedbackParkedMs' | 'logQuotaBytes' | 'dataDir'>;
};

export type Monitoring = ReturnType<typeof createMonitoring>;

const INGEST_EVERY_MS = 5_000;
/** What came as events is on the disk after this long. */
const FLUSH_EVERY_MS = 1000;
const SETTLE_EVERY_MS = 60_000;
const RETAIN_EVERY_MS = 3_600_000;
const BURST_S = 10;

/** The monitoring room's services in control, put together. */
export function createMonitoring(deps: MonitoringDeps) {
  const { database, clock, log, artifacts, settings } = deps;
  const { dataDir } = settings;
  const duck = createDuckStore({ temporary: join(dataDir, PREDICTIONS_FOLDER, 'temporary') });
  const damaged = createDamagedFiles({ dataDir, log });
  const query = createLogQuery({ database, duck, dataDir, damaged });
  const compactor = createLogCompactor({ database, duck, dataDir, damaged, clock, log });
  const publisher = createRecordingPublisher({ database, dataDir, clock });
  const predictions = createLogService({ database, query, dataDir });
  const lookUp = createPredictionLookUp({ database, query, dataDir });
  const policies = createPolicyService({ database, clock, dataDir, publisher });
  const rate = createItemRate({
    perSecond: settings.feedbackRate,
    burst: settings.feedbackRate * BURST_S,
    clock,
  });
  const timers: NodeJS.Timeout[] = [];
  let working: Promise<unknown> = Promise.resolve();

  /** What changes files takes turns: jobs, and erasures. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = working.then(work);
    working = done.catch(() => undefined);
    return done;
  };
  const job = (name: string, work: () => Promise<unknown>): Promise<void> =>
    inTurn(work).then(
      () => undefined,
      (error: unknown) => log.error({ err: error }, `${name} failed; it is tried again`),
    );
  const every = (ms: number, name: string, work: () => Promise<unknown>): void => {
    timers.push(setInterval(() => void job(name, work), ms).unref());
  };

  /** What gateways have closed, into the database and into files. */
  const takeOver = async (all: boolean): Promise<void> => {
    await ingestPanes({ database, dataDir, clock, log });
    await compactor.run(all);
  };
  const ingest = () => takeOver(true);
  const references = createReferenceService({ database, clock, dataDir, log, artifacts });
  const erasures = createErasureService({
    database,
    clock,
    dataDir,
    duck,
    query,
    damaged,
    compactor,
    ingest,
    inTurn,
  });

  const recorder = createForeignRecorder({ database, clock, dataDir, quotaBytes: settings.logQuotaBytes });
  const imports = createImportService({ database, clock, dataDir, log, lookUp, recorder });

  return {
    feedback: createFeedbackService({
      database,
      clock,
      dataDir,
      rate,
      parkedMs: settings.feedbackParkedMs,
      lookUp,
      guardOf: policies.guardOf,
    }),
    predictions,
    policies,
    erasures,
    profiles: createProfileService({ database, clock, dataDir }),
    references,
    imports,
    quality: createQualityService({ database, clock, dataDir }),
    compactor,
    outcomes: createArmOutcomes({ database, query }),

    /** Takes up what gateways and a control before left, and goes on doing so. */
    async start(): Promise<void> {
      await publisher.publish();
      await predictions.removeLeftovers();
      await job('looking for files that a crash left', () => compactor.sweep());
      await job('ending erasures', () => erasures.resume());
      every(INGEST_EVERY_MS, 'taking over profiles and predictions', async () => {
        await publisher.publish();
        await takeOver(false);
        await references.makeDue();
      });
      // Not in turn: it only adds files, and waits for nobody.
      timers.push(setInterval(() => void imports.flush(), FLUSH_EVERY_MS).unref());
      every(SETTLE_EVERY_MS, 'settling feedback', async () => {
        const { matched, expired } = await settleParked({ database, clock, lookUp });
        if (matched + expired > 0) log.info({ matched, expired }, 'parked feedback was settled');
      });
      every(RETAIN_EVERY_MS, 'retention', async () => {
        const done = await runRetention({ database, clock, dataDir, quotaBytes: settings.logQuotaBytes, compactor });
        log.info(done, 'retention ran');
        references.startOver();
      });
    },

    /** Takes over now what gateways wrote; for those who do not want to wait. */
    ingest: () =>
      job('taking over profiles and predictions', async () => {
        await ingest();
        await references.makeDue();
      }),

    async stop(): Promise<void> {
      for (const timer of timers) clearInterval(timer);
      await working;
      await imports.flush(true);
      duck.close();
    },
  };
}
