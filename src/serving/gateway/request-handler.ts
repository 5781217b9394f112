import type { IncomingMessage } from 'node:http';
import type { Principal } from '../../base/access/permission.ts';
import { type SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { InferRequest, InferRoute, WireAnswer } from '../protocols/protocol.ts';
import type { Priority } from '../runner/runner.ts';
import type { Account } from './account.ts';
import { priorityOf } from './admission.ts';
import { answer, type Exchange, openExchange, refuse } from './exchange.ts';
import type { Route } from './find-endpoint.ts';
import { createInferenceOrigin } from './inference-origin.ts';
import { isCostly, type Parsed, SMALL_BODY_BYTES } from './large-bodies.ts';
import type { Meter } from './metrics.ts';
import { observed, predict, timeoutOf } from './prediction.ts';
import { createQuestions } from './questions.ts';
import { assertTold, assessListener } from './readiness.ts';
import { type Done as BodyDone, readBody } from './request-body.ts';
import type { RequestHandler, RequestHandlerDeps } from './request-handler-deps.ts';
import { createRequestSigner } from './request-signer.ts';
import { codingFor, compress } from './response-compression.ts';
import { withRetryAfter } from './retry-after.ts';
import { createRouteEndpoints } from './route-endpoints.ts';
import { isNowhere, noRoute } from './route-errors.ts';
import { createRouteTable, type Found, type Match } from './route-table.ts';
import { type ServedVersion, takesSameInputs } from './served-version.ts';
import type { CallContent, SplitCall } from './split-routing.ts';

/** A prediction that passed every check that needs no body. */
type Asked = {
  readonly exchange: Exchange;
  readonly match: Match<InferRoute>;
  /** Whether it is known which endpoint; else its body says it. */
  readonly isNamed: boolean;
  readonly principal: Principal | null;
  /** Found before the body was read; null until it is known which endpoint. */
  readonly route: Route | null;
  readonly account: Account;
  readonly priority: Priority | undefined;
  readonly timeoutMs: number;
};

/** Requests on one connection that may wait for their answers; clients that pipeline at all send a handful. */
const MAX_PIPELINED = 64;

export function createRequestHandler(deps: RequestHandlerDeps): RequestHandler {
  const { settings, state, access, admission, finder, metrics, log, limits, stopping } = deps;
  const routes = createRouteTable(deps.protocols, deps.fallback);
  const endpointOf = createRouteEndpoints(settings.defaultEndpoint);
  const signer = createRequestSigner(access);
  // A platform's proxies call a container by names of their own, and no browser sees it.
  const assertOrigin = deps.contract === null ? createInferenceOrigin(settings) : () => {};
  const meters = new WeakMap<Match, { version: number; meter: Meter }>();

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

  const meterOf = (match: Match<InferRoute>, version: ServedVersion): Meter => {
    const known = meters.get(match);
    const number = version.spec.version;
    if (known !== undefined && known.version === number) return known.meter;
    const meter = metrics.meter({ project: match.project, endpoint: match.ref!.name, version: number });
    meters.set(match, { version: number, meter });
    return meter;
  };

  const pick = (match: Match<InferRoute>, call: SplitCall): Route => {
    const endpoint = finder.locate(match, call.principal, 'predict');
    return finder.route(endpoint, finder.pinOf(endpoint, match.ref), call);
  };

  const admit = (exchange: Exchange, match: Match<InferRoute>, route: Route, account: Account): void => {
    try {
      admission.admit(account, route.version);
    } catch (thrown) {
      observeRefusal(exchange, match, route, toSlipwayError(thrown));
      throw thrown;
    }
  };

  /** All that can be said of a prediction without its body; or with it, where only the whole request says who asks. */
  const checkPrediction = (exchange: Exchange, match: Match<InferRoute>, body: Buffer | null): Asked => {
    const { headers } = exchange.wire;
    const principal = signer.principalOf(exchange, match, body);
    finder.assertProject(match.project, principal);
    const named = endpointOf(exchange, match, null);
    const route = named === null ? null : pick(named, callOf(exchange, principal, null));
    exchange.predicts = true;
    const account = admission.accountOf(principal);
    exchange.account = account;
    const priority = priorityOf(headers['x-slipway-priority']);
    const timeoutMs = timeoutOf(headers['x-request-timeout-ms'], settings.requestTimeoutMs);
    if (named !== null) admit(exchange, named, route!, account);
    const isNamed = named !== null;
    return { exchange, match: named ?? match, isNamed, principal, route, account, priority, timeoutMs };
  };

  /** Where the body names the endpoint, that is checked now. */
  const checkNamed = (asked: Asked, body: Buffer): Asked => {
    if (asked.isNamed) return asked;
    const match = endpointOf(asked.exchange, asked.match, body)!;
    const route = pick(match, callOf(asked.exchange, asked.principal, null));
    admit(asked.exchange, match, route, asked.account);
    return { ...asked, match, route, isNamed: true };
  };

  const handlePrediction = (
    exchange: Exchange,
    request: IncomingMessage,
    match: Match<InferRoute>,
    goOn?: () => void,
  ): void => {
    const asked = signer.waitsForBody(match, request.headers) ? null : checkPrediction(exchange, match, null);
    readBody(request, limits, goOn, (error, body) => {
      try {
        if (error !== null) throw error;
        answerPrediction(asked ?? checkPrediction(exchange, match, body), body!);
      } catch (thrown) {
        metrics.refused(refuseWith(exchange, toSlipwayError(thrown)));
      }
    });
  };

  const answerPrediction = (given: Asked, body: Buffer): void => {
    const { exchange } = given;
    let asked = given;
    let meter: Meter | null = null;
    let route: Route | null = null;
    try {
      asked = checkNamed(given, body);
      const { match } = asked;
      route = chooseFor(asked);
      const { version } = route;
      meter = meterOf(match, version);
      const { headers } = exchange.wire;
      const call = { body, headers, params: match.params, query: match.query, method: exchange.method };
      if (
        body.length < SMALL_BODY_BYTES ||
        match.route.parsesFast?.(call, version.target) === true ||
        !isCostly(body)
      ) {
        const inferRequest = match.route.parse(call, version.target);
        compute(asked, route, meter, inferRequest, body);
      } else {
        const parsed: Parsed = (error, inferRequest, again) =>
          goOnAfterWait(asked, version, error, inferRequest, again);
        const { protocol, route } = match;
        const place = { protocol: protocol.name, path: route.path };
        deps.largeBodies.parse(place, call, version.target, () => isWanted(asked), parsed);
      }
    } catch (thrown) {
      refuseCounted(asked, route, meter, toSlipwayError(thrown));
    }
  };

  /** Files among the inputs become tensors first, beside the loop. */
  const compute = (asked: Asked, route: Route, meter: Meter, inferRequest: InferRequest, body: Buffer): void => {
    const { exchange, match, account, priority, timeoutMs } = asked;
    const { version } = route;
    if (route.waitsForContent && body.length > 0) {
      const content = { inputs: inferRequest.inputs, body };
      const decided = pick(match, callOf(exchange, asked.principal, content));
      answerArm({ ...asked, route: decided }, decided, version, inferRequest, body);
      return;
    }
    if (inferRequest.encoded === undefined) {
      predict(prediction, exchange, match, route, meter, inferRequest, account, priority, timeoutMs);
      return;
    }
    match.route.decode!(inferRequest, version.target, () => isWanted(asked)).then(
      (decoded) => goOnAfterWait(asked, version, null, decoded, body),
      (error: unknown) => goOnAfterWait(asked, version, toSlipwayError(error), null, body),
    );
  };

  /** The body has said which arm it is; it is read again where that arm's version takes other inputs. */
  const answerArm = (
    asked: Asked,
    route: Route,
    parsedFor: ServedVersion,
    inferRequest: InferRequest,
    body: Buffer,
  ): void => {
    const { exchange, match } = asked;
    const { version } = route;
    exchange.version = `${version.spec.version}`;
    const meter = meterOf(match, version);
    try {
      const call = {
        body,
        headers: exchange.wire.headers,
        params: match.params,
        query: match.query,
        method: exchange.method,
      };
      const again = takesSameInputs(version, parsedFor) ? inferRequest : match.route.parse(call, version.target);
      compute(asked, route, meter, again, body);
    } catch (thrown) {
      refuseCounted(asked, route, meter, toSlipwayError(thrown));
    }
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

  /** The same arm for the same call, whenever it is asked for; another version where the endpoint was changed meanwhile. */
  const chooseFor = ({ exchange, match, principal, route: known }: Asked): Route => {
    const isKept =
      known !== null &&
      known.endpoint.split !== null &&
      known.endpoint === finder.locate(match, principal, 'predict') &&
      known.version.wasReady;
    const route = isKept ? known : pick(match, callOf(exchange, principal, null));
    exchange.version = `${route.version.spec.version}`;
    return route;
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

  const questions = createQuestions({
    ...deps,
    assess: () => assessListener(state, stopping(), deps.contract?.model ? settings.defaultEndpoint : null),
    changesNeedKey: deps.contract === null,
    endpointOf: (exchange, match) => endpointOf(exchange, match, null)!,
    answer: prediction.answer,
    refuse: (exchange, error) => metrics.refused(refuseWith(exchange, error)),
  });

  const refuseUnserved = (exchange: Exchange, { allow }: Found, error: SlipwayError): void => {
    const extra = error.code === 'method_not_allowed' ? ['Allow', allow] : [];
    metrics.refused(refuseWith(exchange, error, extra));
  };

  /** What does not depend on who asks. Gives the route. */
  const assertRoute = (found: Found, match: Match | null, method: string): Match => {
    if (match === null && isNowhere(found)) throw noRoute(found, method);
    if (match?.route.kind !== 'read' || match.route.public !== true) assertTold(state, settings.retryAfterS);
    if (match === null) throw noRoute(found, method);
    return match;
  };

  const answerFor = (
    exchange: Exchange,
    found: Found,
    predictFor: (match: Match<InferRoute>) => void,
    read: (done: BodyDone) => void,
  ): void => {
    const match = assertRoute(found, exchange.match, exchange.method);
    if (isOf(match, 'infer')) predictFor(match);
    else if (isOf(match, 'read')) questions.read(exchange, match);
    else if (isOf(match, 'action')) questions.act(exchange, match, read);
  };

  return {
    handle(wire, goOn) {
      const { request } = wire;
      const { method = '', headers } = request;
      const found = routes.match(request.url ?? '/');
      const exchange = openExchange(wire, method, found);
      try {
        if (exchange.connection.open > MAX_PIPELINED) {
          // Nobody reads the answers: each would wait in memory behind the others.
          metrics.refused(503);
          request.socket.destroy();
          return;
        }
        assertOrigin(method, headers);
        answerFor(
          exchange,
          found,
          (match) => handlePrediction(exchange, request, match, goOn),
          (done) => readBody(request, limits, goOn, done),
        );
      } catch (thrown) {
        refuseUnserved(exchange, found, toSlipwayError(thrown));
      }
    },
    handleLean(wire, body) {
      const { head } = wire;
      const { method } = head;
      head.found ??= routes.match(head.url);
      const { found } = head;
      const exchange = openExchange(wire, method, found);
      try {
        if (!head.originChecked) assertOrigin(method, head.headers);
        head.originChecked = true;
        answerFor(
          exchange,
          found,
          (match) => answerPrediction(checkPrediction(exchange, match, body), body),
          (done) => done(null, body),
        );
      } catch (thrown) {
        refuseUnserved(exchange, found, toSlipwayError(thrown));
      }
    },
    wantsBody(head) {
      head.found ??= routes.match(head.url);
      try {
        assertOrigin(head.method, head.headers);
        const match = assertRoute(head.found, head.found.methods.get(head.method) ?? null, head.method);
        if (signer.waitsForBody(match, head.headers)) return match.route.kind === 'infer';
        const principal = access.principalOf(head.headers);
        finder.assertProject(match.project, principal);
        // Where headers or the body name the endpoint, that is looked at with the whole request.
        const { routedBy } = match.route;
        const isRouted = routedBy !== undefined && head.headers[routedBy] !== undefined;
        if (isOf(match, 'infer') && match.route.nameEndpoint === undefined && !isRouted)
          pick(match, { headers: head.headers, requestId: '', principal, content: null });
        return match.route.kind === 'infer' || match.route.kind === 'action';
      } catch {
        return false; // node:http's side says why
      }
    },
  };
}

/** What of a call may decide its arm. */
function callOf({ wire, requestId }: Exchange, principal: Principal | null, content: CallContent | null): SplitCall {
  return { headers: wire.headers, requestId, principal, content };
}

function isOf<K extends Match['route']['kind']>(
  match: Match,
  kind: K,
): match is Match<Extract<Match['route'], { kind: K }>> {
  return match.route.kind === kind;
}

/** Whether the caller is still there and the deadline has not passed. */
function isWanted({ exchange, timeoutMs }: Asked): boolean {
  return !exchange.wire.socket.destroyed && performance.now() - exchange.startedMs < timeoutMs;
}
