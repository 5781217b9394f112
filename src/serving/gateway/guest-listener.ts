import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import type { Logger } from '../../base/log.ts';
import type { Admission } from './admission.ts';
import { createGuestConnection, type GuestConnection } from './guest-connection.ts';
import { createQuotaHub, EXCHANGE_MS } from './quota-exchange.ts';
import type { ServingState } from './serving-state.ts';

/** How often guests hear of what changes without an event: memory, limits. */
const REFRESH_MS = 2_000;
const STOP_POLL_MS = 10;

export type GuestListener = {
  /** To be called when versions changed. */
  changed(): void;
  /** Takes no more calls, answers those it has for at most `withinMs`, and hangs up. */
  stop(withinMs: number): Promise<void>;
};

export type GuestListenerDeps = {
  readonly socketPath: string;
  readonly state: Pick<ServingState, 'hold' | 'release'>;
  readonly admission: Pick<Admission, 'accounts' | 'accountOfKey'>;
  readonly log: Logger;
};

/** The owner's side of the socket by which the other gateways of this machine use its runners. For this user only. */
export async function listenForGuests({
  socketPath,
  state,
  admission,
  log,
}: GuestListenerDeps): Promise<GuestListener> {
  const guests = new Map<Socket, GuestConnection>();
  const quotas = createQuotaHub(admission);
  let stopping = false;

  const accept = (socket: Socket): void => {
    const guest = createGuestConnection({
      socket,
      hold: state.hold,
      release: state.release,
      flowOf: admission.accountOfKey,
      quotas,
      stopping: () => stopping,
      onViolation: (what) => {
        log.error({ what }, 'a gateway broke the rules of the line between gateways; closing its connection');
        socket.destroy();
      },
    });
    guests.set(socket, guest);
    socket.on('close', () => guests.delete(socket));
  };

  const server = createServer(accept);
  // A file left by a killed predecessor; `serve` runs one owner at a time.
  rmSync(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, () => {
      server.off('error', reject);
      resolve();
    });
  });
  chmodSync(socketPath, 0o600);

  const changed = (): void => {
    for (const guest of guests.values()) guest.refresh();
  };
  const refreshing = setInterval(changed, REFRESH_MS);
  const telling = setInterval(() => {
    quotas.gather();
    for (const guest of guests.values()) guest.tellUsage();
  }, EXCHANGE_MS);

  return {
    changed,
    async stop(withinMs) {
      stopping = true;
      clearInterval(refreshing);
      clearInterval(telling);
      changed();
      const untilMs = performance.now() + withinMs;
      const isBusy = (): boolean => [...guests.values()].some((guest) => guest.outstanding > 0);
      while (isBusy() && performance.now() < untilMs) await new Promise((done) => setTimeout(done, STOP_POLL_MS));
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Ended, not destroyed: answers on their way arrive.
      for (const socket of guests.keys()) socket.end(() => socket.destroy());
      await closed;
    },
  };
}
