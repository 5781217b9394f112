/**
 * What may look at predictions after their answers are on their way: evidence of rollouts, the prediction log, profiles, shadow copies. Nobody is
 * kept waiting by it, and nothing that an observer does reaches a caller. Without observers a prediction pays for one comparison.
 */
import type { ErrorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Signature } from '../../registry/signature.ts';
import { type Assignment, WHOLE } from '../endpoints/assignment.ts';
import type { TrafficSplit } from '../endpoints/traffic.ts';
import type { Tensor } from '../tensors/tensor.ts';

export type ObservedPrediction = {
  readonly predictionId: string;
  readonly requestId: string;
  /** Wall clock at arrival, in milliseconds since 1970. */
  readonly atMs: number;
  readonly project: string;
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  readonly versionDigest: string;
  readonly protocol: string;
  readonly signature: Signature;
  readonly assignment: Assignment;
  /** By which it was assigned; null where the endpoint's calls are not shared out. */
  readonly split: TrafficSplit | null;
  /** By what its counts are broken down, as the split asks for it; null where it does not, or the call does not carry it. */
  readonly slice: string | null;
  readonly outcome: Outcome;
  /** Null where the body could not be read as inputs, or was not read at all. */
  readonly inputs: readonly Tensor[] | null;
  /** 0 where there are no inputs. */
  readonly rows: number;
  /** From the first byte of the request until the answer was handed over. */
  readonly latencyMs: number;
  /** In the version's queue; 0 where it did not get there. */
  readonly queueMs: number;
  readonly runMs: number;
  /** The live prediction of which this is the shadow copy; null for live ones. */
  readonly shadowOf: string | null;
};

export type Outcome =
  | { readonly kind: 'answered'; readonly outputs: readonly Tensor[] }
  | { readonly kind: 'failed'; readonly code: ErrorCode };

/** Tensors may be read until the call returns, and never written to: who keeps something of them copies it. */
export type PredictionObserver = (prediction: ObservedPrediction) => void;

/** The caller named the version: served, and no part of any comparison. */
export const PINNED: Assignment = { ...WHOLE, reason: 'pin' };

const COMPLAIN_EVERY_MS = 10_000;

/**
 * Joins observers to one. It is called when an answer is given; they are at the end of that turn of the event loop, when it was sent.
 * @returns null when there are none
 */
export function joinObservers(observers: readonly PredictionObserver[], log: Logger): PredictionObserver | null {
  if (observers.length === 0) return null;
  let waiting: ObservedPrediction[] = [];
  let complainedMs = Number.NEGATIVE_INFINITY;
  const tell = (): void => {
    const predictions = waiting;
    waiting = [];
    for (let i = 0; i < predictions.length; i++) {
      for (let j = 0; j < observers.length; j++) {
        try {
          observers[j]!(predictions[i]!);
        } catch (error) {
          // It would say the same of every prediction.
          if (performance.now() - complainedMs < COMPLAIN_EVERY_MS) continue;
          complainedMs = performance.now();
          log.error({ err: error, predictionId: predictions[i]!.predictionId }, 'an observer of predictions failed');
        }
      }
    }
  };
  return (prediction) => {
    // Answers of a turn are sent by an immediate that was asked for before this one.
    if (waiting.push(prediction) === 1) setImmediate(tell);
  };
}
