import type { Socket } from 'node:net';
import { connectionOf } from './exchange.ts';
import { HTTP_LIMITS } from './http-limits.ts';
import { createHttpListener, type ListenerSpec } from './http-listener.ts';
import { createLargeAnswers } from './large-answers.ts';
import { createLargeBodies } from './large-bodies.ts';
import { createRequestHandler } from './request-handler.ts';
import type { RequestHandlerDeps } from './request-handler-deps.ts';
import { createUnreadAnswers } from './unread-answers.ts';

/** A stopping gateway without anything to answer waits this long for requests that are on their way. */
const QUIET_MS = 100;

export type GatewayServer = {
  /** @returns the base URLs, in the order of the listeners. @throws SlipwayError `port_taken`, `invalid_setting` */
  listen(): Promise<readonly string[]>;
  /** Answers what is under way, and what still comes, for at most `drainMs`; every answer closes its connection. */
  stop(drainMs: number): Promise<void>;
  connections(): number;
};

export type GatewayServerDeps = Omit<
  RequestHandlerDeps,
  'limits' | 'stopping' | 'largeBodies' | 'largeAnswers' | 'unread' | 'protocols' | 'fallback' | 'contract'
> & {
  readonly listeners: readonly ListenerSpec[];
  readonly limits?: Readonly<typeof HTTP_LIMITS>;
};

/** Inference over HTTP: one or more ports over the same versions, keys and quotas, with the same bounds of all of them together. */
export function createGatewayServer(deps: GatewayServerDeps): GatewayServer {
  const { settings, metrics, limits = HTTP_LIMITS } = deps;
  let stopping = false;

  const maxWaitingBytes = settings.maxBodyBytes * limits.bodiesAtOnce;
  const largeBodies = createLargeBodies({ log: deps.log, maxWaitingBytes });
  const budget = { maxBytes: maxWaitingBytes, usedBytes: 0 };
  const sockets = new Set<Socket>();
  const largeAnswers = createLargeAnswers(deps);
  const unread = createUnreadAnswers({
    sockets,
    maxBytes: limits.unreadBytes,
    waitingBytes: () => largeAnswers.waitingBytes,
  });
  const listeners = deps.listeners.map((spec) => {
    const handler = createRequestHandler({
      ...deps,
      protocols: spec.protocols,
      fallback: spec.fallback,
      contract: spec.contract ?? null,
      limits: { maxBytes: settings.maxBodyBytes, budget },
      stopping: () => stopping,
      largeBodies,
      largeAnswers,
      unread,
    });
    return createHttpListener({ settings, spec, limits, handler, metrics, budget, sockets });
  });

  return {
    async listen() {
      const urls: string[] = [];
      for (const listener of listeners) urls.push(await listener.listen());
      return urls;
    },
    async stop(drainMs) {
      stopping = true;
      const untilMs = performance.now() + drainMs;
      let quietSinceMs = performance.now();
      while (performance.now() < untilMs) {
        let openRequests = 0;
        for (const socket of sockets) openRequests += connectionOf(socket).open;
        if (openRequests > 0) quietSinceMs = performance.now();
        else if (performance.now() - quietSinceMs >= QUIET_MS) break;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await Promise.all(listeners.map((listener) => listener.close()));
      largeBodies.close();
      largeAnswers.close();
    },
    connections: () => sockets.size,
  };
}
