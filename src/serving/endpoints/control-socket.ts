import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { SlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { toWireError } from '../../base/wire-error.ts';
import { createLineReader } from './control-line.ts';
import type { DesiredState, ObservedState } from './desired-state.ts';
import type { ChangeAsked } from './endpoint-change.ts';

/** Relative: processes run with `<data>/run` as working directory, because a socket's path may have only about 100 bytes. */
export const CONTROL_SOCKET = 'control.sock';

export type ConnectedGateway = {
  readonly instance: string;
  readonly httpUrl: string;
  observed: ObservedState | null;
  metricsText: string;
  /** Generation of the state it was last sent. */
  sentGeneration: number;
  /**
   * Sends a message of a further kind, of any `type` that is not the socket's own.
   * @returns false when it was not sent: the gateway is gone, or reads too slowly
   */
  readonly send: (message: { readonly type: string; readonly [field: string]: unknown }) => boolean;
};

/** Takes a gateway's message of a further kind. What it throws is logged, and ends nothing. */
export type TakeMessage = (message: object, from: ConnectedGateway) => void;

export type ControlSocket = {
  gateways(): readonly ConnectedGateway[];
  /** Sends a state to every gateway, and to those that connect later. */
  publish(state: DesiredState): void;
  /** Calls back with the generation that a gateway has when it connects. */
  onHello(listener: (generation: number) => void): void;
  /** Takes what gateways ask in their callers' names. What it throws is the answer. */
  onChange(make: (asked: ChangeAsked) => Promise<void>): void;
  /** Takes the messages of one further kind, by their `type`. Gateways may send a message twice, late, and in any order. */
  onMessage(type: string, take: TakeMessage): void;
  /** Calls back on every observation, for those who wait for one. */
  onObserved(listener: () => void): () => void;
  close(): Promise<void>;
};

/** A gateway that reads nothing must not make control hoard what it would tell it. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024;

type GatewayMessage =
  | { type: 'hello'; instance: string; httpUrl: string; generation: number }
  | { type: 'observed'; observed: ObservedState }
  | { type: 'metrics'; text: string }
  | ({ type: 'change'; id: number } & ChangeAsked);

/**
 * Control's end of the line to its gateways. A gateway that cannot take a state (its socket is full) gets the newest one once it
 * drains: states replace one another, so only the last matters.
 */
export async function listenControlSocket(deps: { log: Logger }): Promise<ControlSocket> {
  const { log } = deps;
  const gateways = new Map<Socket, ConnectedGateway>();
  const listeners = new Set<() => void>();
  const kinds = new Map<string, TakeMessage>();
  let current: DesiredState | null = null;
  let greet: (generation: number) => void = () => {};
  let makeChange: (asked: ChangeAsked) => Promise<void> = async () => {
    throw new SlipwayError('not_ready', 'Control is starting', { retryAfterS: 1, hint: 'Retry in a moment.' });
  };

  const answerChange = async (socket: Socket, id: number, asked: ChangeAsked): Promise<void> => {
    const error = await makeChange(asked).then(
      () => null,
      (thrown: unknown) => {
        const wire = toWireError(thrown);
        if (wire.code === 'internal') log.error({ err: thrown, requestId: asked.requestId }, 'a change failed');
        return wire;
      },
    );
    if (!socket.destroyed) socket.write(`${JSON.stringify({ type: 'changed', id, error })}\n`);
  };

  const send = (socket: Socket, gateway: ConnectedGateway): void => {
    if (current === null || current.generation === gateway.sentGeneration || socket.writableNeedDrain) return;
    gateway.sentGeneration = current.generation;
    socket.write(`${JSON.stringify({ type: 'state', state: current })}\n`);
  };

  const take = (socket: Socket, message: GatewayMessage): void => {
    const known = gateways.get(socket);
    switch (message.type) {
      case 'hello': {
        const { instance, httpUrl } = message;
        const gateway: ConnectedGateway = {
          instance,
          httpUrl,
          observed: null,
          metricsText: '',
          sentGeneration: -1,
          send(further) {
            if (socket.destroyed || socket.writableLength > MAX_UNSENT_BYTES) return false;
            socket.write(`${JSON.stringify(further)}\n`);
            return true;
          },
        };
        gateways.set(socket, gateway);
        log.info({ instance, generation: message.generation }, 'gateway connected');
        send(socket, gateway);
        greet(message.generation);
        break;
      }
      case 'observed':
        if (known) known.observed = message.observed;
        for (const listener of listeners) listener();
        break;
      case 'metrics':
        if (known) known.metricsText = message.text;
        break;
      case 'change': {
        const { id, key, project, endpoint, change, requestId } = message;
        void answerChange(socket, id, { key, project, endpoint, change, requestId });
        break;
      }
      default: {
        const { type } = message as { type: unknown };
        const further = kinds.get(String(type));
        if (further === undefined || known === undefined) log.warn({ type }, 'unknown message from a gateway');
        else {
          try {
            further(message, known);
          } catch (error) {
            log.error({ err: error, type, instance: known.instance }, 'a message of a gateway could not be taken');
          }
        }
      }
    }
  };

  const server: Server = createServer((socket) => {
    socket.on(
      'data',
      createLineReader(
        (message) => take(socket, message as GatewayMessage),
        (fault) => {
          log.error({ fault }, 'a gateway sent what is not a message; closing its connection');
          socket.destroy();
        },
      ),
    );
    socket.on('drain', () => {
      const gateway = gateways.get(socket);
      if (gateway) send(socket, gateway);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      const gone = gateways.get(socket);
      gateways.delete(socket);
      if (gone) log.warn({ instance: gone.instance }, 'gateway disconnected');
      for (const listener of listeners) listener();
    });
  });
  // A socket file left by a killed process refuses connections; the database's lock already proves that no other control runs.
  rmSync(CONTROL_SOCKET, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(CONTROL_SOCKET, resolve);
  });
  chmodSync(CONTROL_SOCKET, 0o600);

  return {
    gateways: () => [...gateways.values()],
    publish(state) {
      current = state;
      for (const [socket, gateway] of gateways) send(socket, gateway);
    },
    onHello(listener) {
      greet = listener;
    },
    onChange(make) {
      makeChange = make;
    },
    onMessage(type, take) {
      if (kinds.has(type)) throw new Error(`messages of type ${type} are taken already`);
      kinds.set(type, take);
    },
    onObserved(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      for (const socket of gateways.keys()) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
