import type { Database } from '../../base/db/database.ts';
import type { Logger } from '../../base/log.ts';
import type { RunnerLimits } from '../../registry/limits.ts';
import type { ConnectedGateway, ControlSocket } from './control-socket.ts';
import type { DesiredState, ObservedState } from './desired-state.ts';
import { numberDesiredState } from './desired-state-store.ts';

export type DesiredStatePublisher = {
  /** Never rejects. Reads the database and sends the state to the gateways if it changed. Callers of the same moment share one reading. */
  publish(): Promise<void>;
  /** What gateways were sent last; null before there is anything. */
  current(): DesiredState | null;
  /** Sends a newer state that the database does not have yet: what is done before each reading has to see to it that it gets there. */
  sendAhead(state: DesiredState): void;
  /** Done before each reading of the database. While it throws, nothing is read, and it is tried again. */
  beforeReading(work: () => Promise<void>): void;
  generation(): number;
  gateways(): readonly ConnectedGateway[];
  observed(): readonly ObservedState[];
};

const RETRY_MS = 1000;

export function createDesiredStatePublisher(deps: {
  database: Database;
  socket: ControlSocket;
  log: Logger;
  /** The operator's limits for versions. */
  limits: RunnerLimits;
}): DesiredStatePublisher {
  const { database, socket, log, limits } = deps;
  let current: DesiredState | null = null;
  let running: Promise<void> | null = null;
  let next: Promise<void> | null = null;
  /** Highest generation that a gateway came with. */
  let above = 0;
  let prepare = async (): Promise<void> => {};

  const readAndSend = async (): Promise<void> => {
    let state: DesiredState;
    try {
      await prepare();
      state = await database.transaction((tx) => numberDesiredState(tx, limits, above));
    } catch (error) {
      // The change itself is committed and acknowledged; gateways get it as soon as the database can be written again.
      log.error({ err: error }, 'the desired state could not be numbered; trying again');
      setTimeout(() => void publisher.publish(), RETRY_MS).unref();
      return;
    }
    if (state.generation <= (current?.generation ?? 0)) return;
    current = state;
    socket.publish(state);
    log.info({ generation: state.generation, endpoints: state.endpoints.length }, 'desired state published');
  };

  const publisher: DesiredStatePublisher = {
    publish() {
      // A reading under way may have started before the caller's commit, so it does not count for this caller.
      if (running === null) {
        running = readAndSend().finally(() => {
          running = null;
        });
        return running;
      }
      next ??= running.then(() => {
        next = null;
        return publisher.publish();
      });
      return next;
    },
    current: () => current,
    sendAhead(state) {
      current = state;
      above = state.generation;
      socket.publish(state);
      log.warn({ generation: state.generation }, 'a desired state was sent that the database does not have yet');
    },
    beforeReading(work) {
      prepare = work;
    },
    generation: () => current?.generation ?? 0,
    gateways: () => socket.gateways(),
    observed: () => socket.gateways().flatMap((one) => (one.observed ? [one.observed] : [])),
  };
  // A gateway that is ahead of the database (which was restored from a backup, say) would ignore us for ever.
  socket.onHello((generation) => {
    if (!Number.isSafeInteger(generation + 1) || generation <= Math.max(above, current?.generation ?? 0)) return;
    above = generation;
    void publisher.publish();
  });
  return publisher;
}
