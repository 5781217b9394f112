import { Socket } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/**
 * Ends connections whose request body comes too slowly. Node's own limit counts the whole request, which an upload of many
 * gigabytes cannot keep; this one counts since the last byte, and bounds the whole only for bodies that are held in memory.
 */
export type SlowBodyLimits = { readonly idleMs: number; readonly jsonTotalMs: number };

type Receiving = { bytes: number; since: number; readonly start: number; readonly isStream: boolean };

export function guardSlowBodies(app: FastifyInstance, limits: SlowBodyLimits): void {
  const receiving = new Map<FastifyRequest, Receiving>();
  const check = (): void => {
    const now = performance.now();
    for (const [request, state] of receiving) {
      const { raw } = request;
      if (raw.complete || raw.destroyed) {
        receiving.delete(request);
        continue;
      }
      const bytes = raw.socket.bytesRead;
      // Bytes that wait unread are our own slowness, not the client's.
      if (bytes !== state.bytes || raw.readableLength > 0 || raw.socket.isPaused()) {
        state.bytes = bytes;
        state.since = now;
      }
      if (now - state.since > limits.idleMs || (!state.isStream && now - state.start > limits.jsonTotalMs)) {
        receiving.delete(request);
        raw.socket.destroy();
      }
    }
  };
  const timer = setInterval(check, Math.max(50, Math.min(1000, limits.idleMs / 4))).unref();
  app.addHook('preParsing', (request, _reply, _payload, done) => {
    const now = performance.now();
    const isStream = request.routeOptions.config.body === 'stream';
    // Requests that fastify injects come over no socket, and are never slow.
    if (!request.raw.complete && request.raw.socket instanceof Socket)
      receiving.set(request, { bytes: 0, since: now, start: now, isStream });
    done();
  });
  app.addHook('onResponse', (request, _reply, done) => {
    receiving.delete(request);
    done();
  });
  app.addHook('onClose', (_instance, done) => {
    clearInterval(timer);
    done();
  });
}
