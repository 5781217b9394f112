import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { InferRequest } from '../protocols/protocol.ts';
import type { CallTimings } from '../runner/runner.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Exchange } from './exchange.ts';
import type { Meter } from './metrics.ts';
import type { Match } from './route-table.ts';
import type { ServedVersion } from './served-version.ts';

/** Longest deadline that a caller may name. */
const LONGEST_TIMEOUT_MS = 3_600_000;

/** The way from a whole body to an answer. Deps are the gateway's own; nothing is made per request that need not be. */
export type PredictionDeps = {
  readonly answer: (exchange: Exchange, content: ReturnType<NonNullable<Match['post']>['write']>) => void;
  /** Gives the status. */
  readonly refuse: (exchange: Exchange, error: SlipwayError) => number;
};

/**
 * Parses, computes and answers one prediction.
 * @param timeoutMs the whole time the caller gives, from the first byte of the request
 */
export function predict(
  deps: PredictionDeps,
  exchange: Exchange,
  match: Match,
  version: ServedVersion,
  meter: Meter,
  body: Buffer,
  timeoutMs: number,
): void {
  const { connection } = exchange;
  const route = match.post!;
  const finish = (status: number, batchRows: number): void => {
    meter.count(status, performance.now() - exchange.startedMs, batchRows);
  };
  let inferRequest: InferRequest;
  try {
    inferRequest = route.parse({ body, headers: exchange.request.headers }, version.target);
  } catch (error) {
    finish(deps.refuse(exchange, toSlipwayError(error)), 0);
    return;
  }
  const leftMs = timeoutMs - (performance.now() - exchange.startedMs);
  if (leftMs <= 0) {
    finish(deps.refuse(exchange, tooLate(timeoutMs)), 0);
    return;
  }
  const done = (error: SlipwayError | null, outputs: readonly Tensor[] | null, timings: CallTimings): void => {
    connection.calls.splice(connection.calls.indexOf(call), 1);
    meter.inFlight -= 1;
    if (error !== null) {
      finish(deps.refuse(exchange, error), timings.batchRows);
      return;
    }
    try {
      const answered = {
        endpoint: match.ref!.name,
        version: version.spec.version,
        predictionId: exchange.predictionId,
        signature: version.spec.signature,
      };
      deps.answer(exchange, route.write(inferRequest, outputs!, answered));
      finish(200, timings.batchRows);
    } catch (thrown) {
      finish(deps.refuse(exchange, toSlipwayError(thrown)), timings.batchRows);
    }
  };
  meter.inFlight += 1;
  const call = version.supervisor!.infer(inferRequest.inputs, inferRequest.rows, { timeoutMs: leftMs }, done);
  connection.calls.push(call);
}

function tooLate(timeoutMs: number): SlipwayError {
  return new SlipwayError(
    'deadline_exceeded',
    `The deadline of ${timeoutMs} ms passed while the request was received`,
    {
      hint: 'Send a larger X-Request-Timeout-Ms.',
    },
  );
}

/**
 * @param header X-Request-Timeout-Ms
 * @throws SlipwayError `invalid_request`
 */
export function timeoutOf(header: string | readonly string[] | undefined, defaultMs: number): number {
  if (header === undefined) return defaultMs;
  const value = typeof header === 'string' && /^\d{1,7}$/.test(header) ? Number(header) : 0;
  if (value >= 1 && value <= LONGEST_TIMEOUT_MS) return value;
  throw new SlipwayError('invalid_request', 'X-Request-Timeout-Ms is not a usable number of milliseconds', {
    hint: `Send a whole number from 1 to ${LONGEST_TIMEOUT_MS}.`,
  });
}
