/**
 * The gateway program: all inference, over HTTP and gRPC. It never opens the database: it serves what its kept desired state says, and takes
 * newer ones from control. Started by `slipway serve`, with its settings in the environment and `<data>/run` as working directory.
 */
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { systemClock as clock } from './base/clock.ts';
import { uuidv7 } from './base/ids.ts';
import { createLogger } from './base/log.ts';
import { runProgram } from './base/program.ts';
import { assertSafeBind } from './base/settings.ts';
import type { DesiredState, ObservedState } from './serving/endpoints/desired-state.ts';
import type { ChangeAsked } from './serving/endpoints/endpoint-change.ts';
import { createAdmission } from './serving/gateway/admission.ts';
import { type ControlLink, openControlLink } from './serving/gateway/control-link.ts';
import { assessState, createDesiredStateFile } from './serving/gateway/desired-state-file.ts';
import { createEndpointFinder } from './serving/gateway/find-endpoint.ts';
import { createGatewayServer } from './serving/gateway/gateway-server.ts';
import { observeGauges } from './serving/gateway/gauges.ts';
import { createInferenceAccess } from './serving/gateway/inference-access.ts';
import { createGatewayMetrics } from './serving/gateway/metrics.ts';
import { createServingState } from './serving/gateway/serving-state.ts';
import { createGrpcServer, type GrpcServer } from './serving/grpc/grpc-server.ts';
import { PROTOCOLS } from './serving/protocols/protocols.ts';

/** Folders of runners; they end with this process. */
const SCRATCH = resolve('runners');

/** How long runners may take to end after the drain. */
const RUNNERS_END_MS = 1_500;

void runProgram('gateway', async (settings, lifecycle) => {
  assertSafeBind(settings);
  const log = createLogger('gateway', settings.logLevel);
  const metrics = createGatewayMetrics();
  const access = createInferenceAccess({ keyNeeded: settings.inferenceAuth === 'required', clock });
  const admission = createAdmission(settings);
  const file = createDesiredStateFile({ path: 'desired-state.json', log, clock });
  let link: ControlLink | null = null;
  let grpc: GrpcServer | null = null;
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
    },
  });
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
  };
  const server = createGatewayServer({ ...serving, protocols: PROTOCOLS });
  if (settings.grpcPort !== 'off') grpc = createGrpcServer(serving);

  const take = (desired: DesiredState): void => {
    access.replaceKeys(desired.keys);
    admission.replaceKeys(desired.keys);
    state.apply(desired);
  };

  // First the ports: a gateway that cannot have them must not start runners beside those of the one that has them.
  const url = await server.listen();
  const grpcAddress = (await grpc?.listen()) ?? null;
  await rm(SCRATCH, { recursive: true, force: true }); // what a killed predecessor left
  const kept = file.load();
  if (kept !== null) take(kept);
  const instance = uuidv7();
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
    metricsText: () => metrics.text(observeGauges(state)),
    onState: (desired) => {
      const fault = assessState(desired);
      if (fault !== null) return log.error({ fault }, 'control sent a state that cannot be used; keeping the last');
      if (desired.generation <= state.generation) return;
      take(desired);
      // Serving does not wait for the disk: with a full one, a restart would serve the state before.
      file.save(desired).catch((error: unknown) => log.error({ err: error }, 'the desired state could not be kept'));
    },
  });
  lifecycle.onStop(async () => {
    log.info('stopping');
    await Promise.all([server.stop(settings.drainMs), grpc?.stop(settings.drainMs)]);
    link?.close();
    // What outlived the drain is given up; runners end with this process.
    await Promise.race([state.close(), setTimeout(RUNNERS_END_MS)]);
  });
  lifecycle.ready(url, { grpcAddress });
  log.info({ url, grpcAddress: grpcAddress ?? undefined }, 'serving');
});
