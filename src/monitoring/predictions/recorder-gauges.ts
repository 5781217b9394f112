import type { Gauge } from '../../serving/gateway/metrics.ts';
import type { RecorderReport } from './recorded-rows.ts';

/** What the gateway tells of its recording. */
export function gaugesOf(
  totals: {
    readonly droppedBusy: number;
    readonly droppedStreams: number;
    readonly droppedThread: number;
    readonly before: { written: number; droppedDisk: number; droppedQuota: number };
  },
  last: RecorderReport | null,
  streams: number,
): Gauge[] {
  const { before } = totals;
  const dropped = {
    busy: totals.droppedBusy,
    streams: totals.droppedStreams,
    thread: totals.droppedThread,
    disk: before.droppedDisk + (last?.droppedDisk ?? 0),
    quota: before.droppedQuota + (last?.droppedQuota ?? 0),
  };
  return [
    {
      name: 'slipway_predictions_logged_total',
      help: 'Predictions written to the log.',
      type: 'counter',
      samples: [{ labels: {}, value: before.written + (last?.written ?? 0) }],
    },
    {
      name: 'slipway_predictions_dropped_total',
      help: 'Predictions that were to be logged or profiled and were not: the thread was busy or died, there are too many versions, the disk fails, or the quota is used up.',
      type: 'counter',
      samples: Object.entries(dropped).map(([reason, value]) => ({ labels: { reason }, value })),
    },
    {
      name: 'slipway_predictions_streams',
      help: 'Endpoints and versions whose predictions are recorded.',
      samples: [{ labels: {}, value: streams }],
    },
  ];
}
