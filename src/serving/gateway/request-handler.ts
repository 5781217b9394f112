import type { IncomingMessage } from 'node:http';
import type { Principal } from '../../base/access/permission.ts';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Settings } from '../../base/settings.ts';
import { WHOLE } from '../endpoints/assignment.ts';
import type { InferRequest, Protocol, ServerView, WireAnswer } from '../protocols/protocol.ts';
import type { Priority } from '../runner/runner.ts';
import { writeJson } from '../tensors/json-text.ts';
import type { Account } from './account.ts';
import { type AskControl, handleAction } from './actions.ts';
import { type Admission, priorityOf } from './admission.ts';
import { answer, type Exchange, openExchange, refuse } from './exchange.ts';
import type { EndpointFinder } from './find-endpoint.ts';
import type { InferenceAccess } from './inference-access.ts';
import { createInferenceOrigin } from './inference-origin.ts';

import type { LargeAnswers } from './large-answers.ts';
import { isCostly, type LargeBodies, type Parsed, SMALL_BODY_BYTES } from './large-bodies.ts';

import type { LeanHead } from './lean-head.ts';
import type { LeanWire } from './lean-wire.ts';
import type { GatewayMetrics, Meter } from './metrics.ts';
import type { NodeWire } from './node-wire.ts';
import { observed, predict, type Route, timeoutOf } from './prediction.ts';
import { PINNED, type PredictionObserver } from './prediction-observer.ts';
import { assertTold, assessListener } from './readiness.ts';
import { type Done as BodyDone, type BodyLimits, readBody } from './request-body.ts';
import { codingFor, compress } from './response-compression.ts';
import { withRetryAfter } from './retry-after.ts';
import { createRouteTable, type Match, type NoMatch } from './route-table.ts';
import type { ServedVersion } from './served-version.ts';
import { viewEndpoint, viewServer } from './server-view.ts';
import type { Readiness, ServingState } from './serving-state.ts';
import { shown } from './shown-text.ts';
import type { UnreadAnswers } from './unread-answers.ts';

export type RequestHandlerDeps = {
  readonly settings: Settings;
  readonly state: ServingState;
  readonly access: InferenceAccess;
  readonly admission: Admission;
  readonly finder: EndpointFinder;
  readonly metrics: GatewayMetrics;
  readonly protocols: readonly Protocol[];
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

/** A prediction that passed every check that needs no body. */
type Asked = {
  readonly exchange: Exchange;
  readonly match: Match;
  readonly principal: Principal | null;
  readonly pin: number | null;
  readonly account: Account;
  readonly priority: Priority | undefined;
  readonly timeoutMs: number;
};

/** Requests on one connection that may wait for their answers; clients that pipeline at all send a handful. */
const MAX_PIPELINED = 64;

export function createRequestHandler(deps: RequestHandlerDeps): RequestHandler {
  const { settings, state, access, admission, finder, metrics, log, limits, stopping } = deps;
  const routes = createRouteTable(deps.protocols);
  const assertOrigin = createInferenceOrigin(settings);
  const meters = new WeakMap<Match, { version: number; meter: Meter }>();

  const assess = (): Readiness => assessListener(state, stopping());

  const refuseWith = (exchange: Exchange, error: SlipwayError, extra: readonly string[] = []): number => {
    const { requestId, predictionId, path } = exchange;
    metrics.because(error.code);
    if (error.kind === 'internal') log.error({ err: error, requestId, predictionId, path }, 'a request failed');
    return refuse(exchange, withRetryAfter(error, settings.retryAfterS), stopping(), extra);
  };

  const prediction = {
    answer: (exchange: Exchange, content: string | WireAnswer): void => {
      const coding = codingFor(exchange.wire.headers['accept-encoding'] as string | undefined, content);
      if (coding === null) answer(exchange, content, stopping());
      else {
        compress(content, coding).then(
          (encoded) => answer(exchange, encoded, stopping()),
          (thrown: unknown) => void refuseWith(exchange, toSlipwayError(thrown)),
        );
      }
    },
    refuse: refuseWith,
    largeAnswers: deps.largeAnswers,
    unread: deps.unread,
    observe: deps.observe,
  };

  const meterOf = (match: Match, version: ServedVersion): Meter => {
    const known = meters.get(match);
    const number = version.spec.version;
    if (known !== undefined && known.version === number) return known.meter;
    const meter = metrics.meter({ project: match.project, endpoint: match.ref!.name, version: number });
    meters.set(match, { version: number, meter });
    return meter;
  };

  /** All that can be said of a prediction without its body. */
  const checkPrediction = (exchange: Exchange, match: Match): Asked => {
    const { headers } = exchange.wire;
    const principal = access.principalOf(headers);
    finder.assertProject(match.project, principal);
    const pin = match.ref?.pin ?? null;
    const version = finder.choose(finder.locate(match, principal, 'predict'), pin);
    exchange.predicts = true;
    const account = admission.accountOf(principal);
    exchange.account = account;
    const priority = priorityOf(headers['x-slipway-priority']);
    const timeoutMs = timeoutOf(headers['x-request-timeout-ms'], settings.requestTimeoutMs);
    try {
      admission.admit(account, version);
    } catch (thrown) {
      observeRefusal(exchange, match, routeTo(version, pin), toSlipwayError(thrown));
      throw thrown;
    }
    return { exchange, match, principal, pin, account, priority, timeoutMs };
  };

  const handlePrediction = (exchange: Exchange, request: IncomingMessage, match: Match, goOn?: () => void): void => {
    const asked = checkPrediction(exchange, match);
    readBody(request, limits, goOn, (error, body) => {
      if (error !== null) metrics.refused(refuseWith(exchange, error));
      else answerPrediction(asked, body!);
    });
  };

  const answerPrediction = (asked: Asked, body: Buffer): void => {
    const { exchange, match } = asked;
    let meter: Meter | null = null;
    let route: Route | null = null;
    try {
      route = chooseFor(asked);
      const { version } = route;
      meter = meterOf(match, version);
      const call = { body, headers: exchange.wire.headers };
      if (
        body.length < SMALL_BODY_BYTES ||
        match.post!.parsesFast?.(call, version.target) === true ||
        !isCostly(body)
      ) {
        const inferRequest = match.post!.parse(call, version.target);
        compute(asked, route, meter, inferRequest, body);
      } else {
        const parsed: Parsed = (error, inferRequest, again) =>
          goOnAfterWait(asked, version, error, inferRequest, again);
        deps.largeBodies.parse(match.post!.path, call, version.target, () => isWanted(asked), parsed);
      }
    } catch (thrown) {
      refuseCounted(asked, route, meter, toSlipwayError(thrown));
    }
  };

  /** Files among the inputs become tensors first, beside the loop. */
  const compute = (asked: Asked, route: Route, meter: Meter, inferRequest: InferRequest, body: Buffer): void => {
    const { exchange, match, account, priority, timeoutMs } = asked;
    const { version } = route;
    if (inferRequest.encoded === undefined) {
      predict(prediction, exchange, match, route, meter, inferRequest, account, priority, timeoutMs);
      return;
    }
    match.post!.decode!(inferRequest, version.target, () => isWanted(asked)).then(
      (decoded) => goOnAfterWait(asked, version, null, decoded, body),
      (error: unknown) => goOnAfterWait(asked, version, toSlipwayError(error), null, body),
    );
  };

  /** Some time passed: the client may be gone, and the version, which then ends, may have been replaced. */
  const goOnAfterWait = (
    asked: Asked,
    parsedFor: ServedVersion,
    error: SlipwayError | null,
    inferRequest: InferRequest | null,
    body: Buffer,
  ): void => {
    const { exchange, match } = asked;
    if (exchange.wire.socket.destroyed) return;
    let meter: Meter | null = null;
    let route: Route | null = null;
    try {
      route = chooseFor(asked);
      const { version } = route;
      meter = meterOf(match, version);
      if (version !== parsedFor && body.length > 0) answerPrediction(asked, body);
      else if (error !== null) throw error;
      else compute(asked, route, meter, inferRequest!, body);
    } catch (thrown) {
      refuseCounted(asked, route, meter, toSlipwayError(thrown));
    }
  };

  const chooseFor = ({ exchange, match, principal, pin }: Asked): Route => {
    const version = finder.choose(finder.locate(match, principal, 'predict'), pin);
    exchange.version = `${version.spec.version}`;
    return routeTo(version, pin);
  };

  /** @param route and meter: null when no version was picked */
  const refuseCounted = (
    { exchange, match }: Asked,
    route: Route | null,
    meter: Meter | null,
    error: SlipwayError,
  ): void => {
    const status = refuseWith(exchange, error);
    if (meter === null) metrics.refused(status);
    else meter.count(status, performance.now() - exchange.startedMs, 0);
    if (route !== null) observeRefusal(exchange, match, route, error);
  };

  const observeRefusal = (exchange: Exchange, match: Match, route: Route, { code }: SlipwayError): void => {
    if (deps.observe === null) return;
    const latencyMs = performance.now() - exchange.startedMs;
    deps.observe(observed(exchange, match, route, null, { kind: 'failed', code }, latencyMs, 0, 0));
  };

  const viewOf = (exchange: Exchange, { project, path }: Match, principal: Principal | null): ServerView =>
    viewServer(
      { state, keyNeeded: access.keyNeeded, assess, metrics },
      {
        project,
        principal,
        host: exchange.wire.headers.host ?? '',
        prefix: path.startsWith('/p/') ? `/p/${project}` : '',
      },
    );

  const actions = {
    askControl: deps.askControl,
    answer: prediction.answer,
    refuse: (exchange: Exchange, error: SlipwayError) => metrics.refused(refuseWith(exchange, error)),
  };

  const startAction = (exchange: Exchange, match: Match, read: (done: BodyDone) => void): void => {
    const principal = access.principalOf(exchange.wire.headers);
    finder.assertProject(match.project, principal);
    handleAction(actions, exchange, match, viewOf(exchange, match, principal), read);
  };

  const handleRead = (exchange: Exchange, match: Match): void => {
    const { headers } = exchange.wire;
    const route = match.get!;
    const principal = route.public ? null : access.principalOf(headers);
    if (!route.public) finder.assertProject(match.project, principal);
    const named = match.ref !== null || match.badRef !== null;
    const pin = match.ref?.pin ?? null;
    const endpoint = named ? viewEndpoint(finder.locate(match, principal, 'read'), pin, metrics) : null;
    const server = viewOf(exchange, match, principal);
    if (endpoint !== null) exchange.version = `${endpoint.version}`;
    prediction.answer(exchange, writeJson(route.read(server, endpoint)));
  };

  /** What does not depend on who asks. Gives the route. */
  const assertRoute = (found: Match | NoMatch): Match => {
    if (found.kind === 'none') throw unknownRoute(found.path);
    if (found.get?.public !== true) assertTold(state, settings.retryAfterS);
    if (found.absent !== null) throw notOffered(found.absent.reason);
    return found;
  };

  return {
    handle(wire, goOn) {
      const { request } = wire;
      const { method, headers } = request;
      const found = routes.match(request.url ?? '/');
      const exchange = openExchange(wire, found.path, found.protocol);
      try {
        if (exchange.connection.open > MAX_PIPELINED) {
          // Nobody reads the answers: each would wait in memory behind the others.
          metrics.refused(503);
          request.socket.destroy();
          return;
        }
        assertOrigin(method, headers);
        const match = assertRoute(found);
        if (method === 'POST' && match.post !== null) handlePrediction(exchange, request, match, goOn);
        else if ((method === 'GET' || method === 'HEAD') && match.get !== null) handleRead(exchange, match);
        else if (method === 'POST' && match.action !== null) {
          startAction(exchange, match, (done) => readBody(request, limits, goOn, done));
        } else metrics.refused(refuseWith(exchange, wrongMethod(method, match.allow), ['Allow', match.allow]));
      } catch (thrown) {
        metrics.refused(refuseWith(exchange, toSlipwayError(thrown)));
      }
    },
    handleLean(wire, body) {
      const { head } = wire;
      head.found ??= routes.match(head.url);
      const exchange = openExchange(wire, head.found.path, head.found.protocol);
      try {
        if (!head.originChecked) assertOrigin(head.method, head.headers);
        head.originChecked = true;
        const match = assertRoute(head.found);
        if (head.method === 'POST' && match.post !== null) answerPrediction(checkPrediction(exchange, match), body);
        else if (head.method === 'GET' && match.get !== null) handleRead(exchange, match);
        else if (head.method === 'POST' && match.action !== null) {
          startAction(exchange, match, (done) => done(null, body));
        } else metrics.refused(refuseWith(exchange, wrongMethod(head.method, match.allow), ['Allow', match.allow]));
      } catch (thrown) {
        metrics.refused(refuseWith(exchange, toSlipwayError(thrown)));
      }
    },
    wantsBody(head) {
      head.found ??= routes.match(head.url);
      try {
        assertOrigin(head.method, head.headers);
        const match = assertRoute(head.found);
        const principal = access.principalOf(head.headers);
        finder.assertProject(match.project, principal);
        if (match.post !== null) finder.choose(finder.locate(match, principal, 'predict'), match.ref?.pin ?? null);
        return match.post !== null || match.action !== null;
      } catch {
        return false; // node:http's side says why
      }
    },
  };
}

function routeTo(version: ServedVersion, pin: number | null): Route {
  return { version, assignment: pin === null ? WHOLE : PINNED };
}

/** Whether the caller is still there and the deadline has not passed. */
function isWanted({ exchange, timeoutMs }: Asked): boolean {
  return !exchange.wire.socket.destroyed && performance.now() - exchange.startedMs < timeoutMs;
}

function unknownRoute(path: string): SlipwayError {
  return new SlipwayError('route_not_found', `There is nothing at ${shown(path)}`, {
    hint:
      path === '/metrics'
        ? 'Metrics are at GET /metrics of the management API, which listens on its own port (8082 unless set), with a key that may read.'
        : 'GET /endpoints lists what is served here; the management API listens on its own port.',
  });
}

function notOffered(reason: string): SlipwayError {
  return new SlipwayError('not_offered', reason);
}

function wrongMethod(method: string | undefined, allow: string): SlipwayError {
  return new SlipwayError('method_not_allowed', `${method} is not allowed here`, { hint: `Use ${allow}.` });
}
