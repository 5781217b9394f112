/**
 * The gateway program: all inference, over HTTP and gRPC. It never opens the database: it serves what its kept desired state says, and takes
 * newer ones from control. Started by `slipway serve`, with its settings in the environment and `<data>/run` as working directory.
 */
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { systemClock as clock } from './base/clock.ts';
import { type Contract, readContract } from './base/contract.ts';
import { baseUrl } from './base/http/listen.ts';
import { uuidv7 } from './base/ids.ts';
import { createLogger } from './base/log.ts';
import { type ProgramReady, runProgram } from './base/program.ts';
import { assertGateways, assertSafeBind, type Settings } from './base/settings.ts';
import { createPredictionRecorder } from './monitoring/predictions/prediction-recorder.ts';
import { createShadowCounts } from './rollouts/shadow-counts.ts';
import { type CallPass, PASS_MESSAGE } from './serving/endpoints/call-pass.ts';
import type { DesiredState, ObservedState } from './serving/endpoints/desired-state.ts';
import type { ChangeAsked } from './serving/endpoints/endpoint-change.ts';
import { createAdmission } from './serving/gateway/admission.ts';
import { type ControlLink, openControlLink } from './serving/gateway/control-link.ts';
import { assessState, createDesiredStateFile } from './serving/gateway/desired-state-file.ts';
import { createEvidenceRecorder } from './serving/gateway/evidence-recorder.ts';
import { createEndpointFinder } from './serving/gateway/find-endpoint.ts';
import { createGatewayServer } from './serving/gateway/gateway-server.ts';
import { observeGauges } from './serving/gateway/gauges.ts';
import { type GuestListener, listenForGuests } from './serving/gateway/guest-listener.ts';
import type { ListenerSpec } from './serving/gateway/http-listener.ts';
import { createInferenceAccess } from './serving/gateway/inference-access.ts';
import { createGatewayMetrics } from './serving/gateway/metrics.ts';
import { joinObservers, type PredictionObserver } from './serving/gateway/prediction-observer.ts';
import { openQuotaLink } from './serving/gateway/quota-link.ts';
import type { Supervise } from './serving/gateway/served-version.ts';
import { createServingState } from './serving/gateway/serving-state.ts';
import { createShadowCalls } from './serving/gateway/shadow-calls.ts';
import { createGrpcServer, type GrpcServer } from './serving/grpc/grpc-server.ts';
import { chooseProtocols } from './serving/protocols/chosen-protocols.ts';
import { FALLBACK, protocolNamed } from './serving/protocols/protocols.ts';
import { vertexAt } from './serving/protocols/vertex.ts';
import { OWNER_SOCKET, superviseRemote } from './serving/runner/remote-supervisor.ts';

/**
 * Several gateways of one machine share the ports; each is told its place. The first is the owner: it keeps the runners. The others are its guests and
 * send it their calls.
 */
const PLACE = Number(process.argv[2] ?? 0);
const IS_OWNER = PLACE === 0;

/** Folders of runners; they end with this process. */
const SCRATCH = resolve('runners');

/**
 * One of several gateways takes connections when it can answer them, because the others do meanwhile. Not later than this, because a version that never
 * gets ready must not keep the others from their callers.
 */
const HOLD_BACK_MS = 5_000;

/** How often control is told what was counted of rollouts. */
const EVIDENCE_MS = 1_000;

/** How long runners may take to end after the drain. */
const RUNNERS_END_MS = 1_500;

type Addresses = {
  readonly url: string;
  readonly grpcAddress: string | null;
  readonly protocolUrls: ProgramReady['protocolUrls'];
};

/** Where the listeners will be; null while a port is left to the system to choose. */
function knownAddresses({ host, httpPort, grpcPort, protocolPorts }: Settings): Addresses | null {
  if (httpPort === 0 || grpcPort === 0 || protocolPorts.some(({ port }) => port === 0)) return null;
  return {
    url: baseUrl(host, httpPort),
    grpcAddress: grpcPort === 'off' ? null : new URL(baseUrl(host, grpcPort)).host,
    protocolUrls: Object.fromEntries(protocolPorts.map(({ name, port }) => [name, baseUrl(host, port)])),
  };
}

const superviseAtOwner: Supervise = ({ name, signature, limits }, identity, deps) =>
  superviseRemote({ version: name, identity, signature, limits, socketPath: OWNER_SOCKET }, deps);

/** Where a container's platform asks, and nobody else. */
function listenerOf(contract: Contract): ListenerSpec {
  const paths = { predict: contract.predictPath, health: contract.healthPath };
  const protocol = contract.platform === 'vertex' ? vertexAt(paths) : protocolNamed(contract.platform);
  return { port: contract.port, portSetting: 'SLIPWAY_CONTRACT', protocols: [protocol], fallback: protocol, contract };
}

void runProgram('gateway', async (settings, lifecycle) => {
  assertSafeBind(settings);
  assertGateways(settings);
  const protocols = chooseProtocols(settings);
  const contract = readContract(process.env, settings);
  const isShared = settings.gateways > 1;
  const gatewayLog = createLogger('gateway', settings.logLevel);
  const log = isShared ? gatewayLog.child({ gateway: PLACE }) : gatewayLog;
  const metrics = createGatewayMetrics();
  const access = createInferenceAccess({ keyNeeded: settings.inferenceAuth === 'required', clock });
  const admission = createAdmission(settings);
  const file = createDesiredStateFile({ path: 'desired-state.json', log, clock });
  let link: ControlLink | null = null;
  let grpc: GrpcServer | null = null;
  let grpcAlone: { readonly name: string; readonly server: GrpcServer }[] = [];
  let guests: GuestListener | null = null;
  const state = createServingState({
    dataDir: settings.dataDir,
    scratchDir: SCRATCH,
    retryAfterS: settings.retryAfterS,
    inline: settings.inline === 'auto',
    log,
    clock,
    onObservable: () => {
      link?.observedChanged();
      grpc?.changed();
      for (const { server } of grpcAlone) server.changed();
      guests?.changed();
      lifecycle.assessed(state.assess().reason);
    },
    ...(IS_OWNER ? {} : { supervise: superviseAtOwner, loadsAtOnce: Number.POSITIVE_INFINITY }),
  });
  /** Later parts add themselves here: they are told of every prediction after its answer. */
  const instance = uuidv7();
  const recorder = createPredictionRecorder({
    dataDir: settings.dataDir,
    instance,
    quotaBytes: settings.logQuotaBytes,
    profileRate: settings.profileRate,
    log,
  });
  const evidence = createEvidenceRecorder({
    instance,
    state,
    shadows: () => shadows.readings(),
    nowMs: () => performance.now(),
  });
  const shadows = createShadowCalls({ state, compare: createShadowCounts, tell: (copy) => observe!(copy) });
  const observers: PredictionObserver[] = [evidence.observe, shadows.observe, recorder.observe];
  const observe = joinObservers(observers, log);
  const finder = createEndpointFinder({ state, retryAfterS: settings.retryAfterS });
  const serving = {
    settings,
    state,
    access,
    admission,
    finder,
    metrics,
    log,
    // Requests need a state, and that needs the link or comes just before it.
    askControl: (asked: ChangeAsked) => link!.change(asked),
    observe,
  };
  const server = createGatewayServer({
    ...serving,
    listeners: [
      {
        port: settings.httpPort,
        portSetting: 'SLIPWAY_HTTP_PORT',
        protocols: protocols.shared,
        fallback: FALLBACK,
      },
      ...protocols.alone.map(({ protocol, port }) => ({
        port,
        portSetting: 'SLIPWAY_PROTOCOL_PORTS' as const,
        protocols: [protocol],
        fallback: protocol,
      })),
      ...(contract === null ? [] : [listenerOf(contract)]),
    ],
  });
  if (settings.grpcPort !== 'off') grpc = createGrpcServer({ ...serving, spoken: protocols.grpcShared });
  grpcAlone = protocols.grpcAlone.map(({ name, port }) => ({
    name,
    server: createGrpcServer({ ...serving, spoken: [name.replace(/-grpc$/, '')], port }),
  }));

  const take = (desired: DesiredState): void => {
    access.replaceKeys(desired.keys);
    admission.replaceKeys(desired.keys);
    state.apply(desired);
  };

  const listen = async (): Promise<Addresses> => {
    const [url, ...urls] = await server.listen();
    const grpcUrls: [string, string][] = [];
    for (const { name, server: own } of grpcAlone) grpcUrls.push([name, `http://${await own.listen()}`]);
    return {
      url: url!,
      grpcAddress: (await grpc?.listen()) ?? null,
      protocolUrls: Object.fromEntries([
        ...protocols.alone.map(({ protocol }, i): [string, string] => [protocol.name, urls[i]!]),
        ...grpcUrls,
      ]),
    };
  };
  // First the ports, where they are not shared: a gateway that cannot have them must not start runners beside those of the one that has them.
  // And where only listening tells which ones they are.
  const shared = isShared ? knownAddresses(settings) : null;
  const { url, grpcAddress, protocolUrls } = shared ?? (await listen());
  if (IS_OWNER) await rm(SCRATCH, { recursive: true, force: true }); // what a killed predecessor left
  if (IS_OWNER && isShared) {
    guests = await listenForGuests({ socketPath: OWNER_SOCKET, state, admission, log });
  }
  const quotaLink = IS_OWNER ? null : openQuotaLink({ socketPath: OWNER_SOCKET, admission, log });
  const kept = file.load();
  if (kept !== null) take(kept);
  const sendEvidence = (): void => {
    const reports = evidence.reports();
    if (reports.length > 0) link?.send({ type: 'evidence', reports });
  };
  setInterval(sendEvidence, EVIDENCE_MS);
  link = openControlLink({
    instance,
    httpUrl: url,
    log,
    generation: () => state.generation,
    observe: (): ObservedState => ({
      instance,
      httpUrl: url,
      grpcAddress,
      generation: state.generation,
      observedAt: clock.now().toISOString(),
      ...state.observe(),
    }),
    onConnected: sendEvidence,
    metricsText: () => metrics.text([...observeGauges(state, admission, IS_OWNER), ...recorder.gauges()]),
    kinds: { [PASS_MESSAGE]: (message) => access.admitPass((message as { pass: CallPass }).pass) },
    onState: (desired) => {
      const fault = assessState(desired);
      if (fault !== null) return log.error({ fault }, 'control sent a state that cannot be used; keeping the last');
      if (desired.generation <= state.generation) return;
      take(desired);
      if (!IS_OWNER) return; // it is the same state, and one keeps it for all
      // Serving does not wait for the disk: with a full one, a restart would serve the state before.
      file.save(desired).catch((error: unknown) => log.error({ err: error }, 'the desired state could not be kept'));
    },
  });
  lifecycle.onStop(async () => {
    log.info('stopping');
    const listeners = [server, grpc, guests, ...grpcAlone.map((one) => one.server)];
    await Promise.all(listeners.map((one) => one?.stop(settings.drainMs)));
    link?.close();
    quotaLink?.close();
    // What outlived the drain is given up; runners end with this process.
    await Promise.race([Promise.all([state.close(), recorder.close()]), setTimeout(RUNNERS_END_MS)]);
  });
  if (shared !== null) {
    const untilMs = performance.now() + HOLD_BACK_MS;
    while (!state.assess().ready && performance.now() < untilMs) await setTimeout(20);
    await listen();
  }
  lifecycle.ready(url, { grpcAddress, protocolUrls });
  log.info({ url, grpcAddress: grpcAddress ?? undefined, ...protocolUrls, instance }, 'serving');
});
