import type { Clock } from '../base/clock.ts';
import type { Database } from '../base/db/database.ts';
import type { Logger } from '../base/log.ts';
import type { Settings } from '../base/settings.ts';
import { type LookUpPredictions, settleParked } from './feedback/feedback-match.ts';
import { createFeedbackService } from './feedback/feedback-service.ts';
import { createItemRate } from './feedback/item-rate.ts';

export type MonitoringDeps = {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: Pick<Settings, 'feedbackRate' | 'feedbackParkedMs'>;
};

export type Monitoring = ReturnType<typeof createMonitoring>;

const SETTLE_EVERY_MS = 60_000;
const BURST_S = 10;

/** The monitoring room's services in control, put together. */
export function createMonitoring(deps: MonitoringDeps) {
  const { database, clock, log, settings } = deps;
  const lookUp: LookUpPredictions = async () => () => null;
  const rate = createItemRate({
    perSecond: settings.feedbackRate,
    burst: settings.feedbackRate * BURST_S,
    clock,
  });
  const feedback = createFeedbackService({ database, clock, rate, parkedMs: settings.feedbackParkedMs, lookUp });
  let timer: NodeJS.Timeout | undefined;
  let settling: Promise<void> = Promise.resolve();

  const settle = async (): Promise<void> => {
    const { matched, expired } = await settleParked({ database, clock, lookUp });
    if (matched + expired > 0) log.info({ matched, expired }, 'parked feedback was settled');
  };

  return {
    feedback,

    async start(): Promise<void> {
      timer = setInterval(() => {
        settling = settling
          .then(settle)
          .catch((error: unknown) => log.error({ err: error }, 'settling feedback failed'));
      }, SETTLE_EVERY_MS).unref();
    },

    async stop(): Promise<void> {
      clearInterval(timer);
      await settling;
    },
  };
}
