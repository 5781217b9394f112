/** What handles requests, and with what. */
import type { Contract } from '../../base/contract.ts';
import type { Logger } from '../../base/log.ts';
import type { Settings } from '../../base/settings.ts';
import type { Protocol } from '../protocols/protocol.ts';
import type { AskControl } from './actions.ts';
import type { Admission } from './admission.ts';
import type { EndpointFinder } from './find-endpoint.ts';
import type { InferenceAccess } from './inference-access.ts';
import type { LargeAnswers } from './large-answers.ts';
import type { LargeBodies } from './large-bodies.ts';
import type { LeanHead } from './lean-head.ts';
import type { LeanWire } from './lean-wire.ts';
import type { GatewayMetrics } from './metrics.ts';
import type { NodeWire } from './node-wire.ts';
import type { PredictionObserver } from './prediction-observer.ts';
import type { BodyLimits } from './request-body.ts';
import type { ServingState } from './serving-state.ts';
import type { UnreadAnswers } from './unread-answers.ts';

export type RequestHandlerDeps = {
  readonly settings: Settings;
  readonly state: ServingState;
  readonly access: InferenceAccess;
  readonly admission: Admission;
  readonly finder: EndpointFinder;
  readonly metrics: GatewayMetrics;
  readonly protocols: readonly Protocol[];
  /** In whose form errors are told where a path belongs to no protocol. */
  readonly fallback: Protocol;
  /** Where this port is that of a container's platform. */
  readonly contract: Contract | null;
  readonly log: Logger;
  readonly limits: BodyLimits;
  readonly largeBodies: LargeBodies;
  readonly largeAnswers: LargeAnswers;
  readonly unread: UnreadAnswers;
  /** Told of every prediction for which a version was found. */
  readonly observe: PredictionObserver | null;
  readonly askControl: AskControl;
  /** Whether the server is ending: answers then close their connections. */
  readonly stopping: () => boolean;
};

/**
 * Answers one request. The order of the checks: where it comes from, what it asks for, who asks, whether that exists, may they, is it
 * ready; only then is the body read.
 * @param goOn tells a client that asked first (Expect: 100-continue) to send its body
 */
export type RequestHandler = {
  handle(wire: NodeWire, goOn?: () => void): void;
  /** The same for a whole request that came on the lean path. */
  handleLean(wire: LeanWire, body: Buffer): void;
  /** Whether a request on the lean path passes every check that needs no body. */
  wantsBody(head: LeanHead): boolean;
};
