/**
 * Quotas of keys hold for the machine, not for each of its gateways: they tell one another what they admitted, through the owner, every few
 * milliseconds while there is something to tell. A guest has one connection for it, on which both sides send the same message:
 *
 *     { "usage": [[key, admitted, running], …] }
 *
 * `admitted` counts since the last message, `running` is how many are under way now; from the owner both are those of all others together. So a
 * rate holds over time for all gateways together, and what a gateway has not heard of yet can pass once: see docs/guides/scaling.md.
 */
import { FrameError } from '../runner/frames.ts';
import type { Account } from './account.ts';
import type { Admission } from './admission.ts';

export const EXCHANGE_MS = 20;

/** Key id (null: callers without one), predictions admitted since the last message, predictions under way. */
export type Usage = readonly [key: string | null, admitted: number, running: number];
export type UsageMessage = { readonly usage: readonly Usage[] };

type Accounts = Pick<Admission, 'accounts' | 'accountOfKey'>;

/** @throws FrameError */
export function readUsage(message: object): readonly Usage[] {
  const { usage } = message as Partial<UsageMessage>;
  const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
  const good =
    Array.isArray(usage) &&
    usage.every(
      (one) =>
        Array.isArray(one) &&
        (one[0] === null || typeof one[0] === 'string') &&
        isCount(one[1]) &&
        isCount(one[2]) &&
        one.length === 3,
    );
  if (!good) throw new FrameError('what was used of quotas is not told whole');
  return usage;
}

/** What was told of an account. */
type Told = { admitted: number; running: number };

/** What this gateway's accounts used since the last call; accounts without a quota are nobody's affair. */
export function createUsageTeller(accounts: Accounts): () => Usage[] {
  const told = new WeakMap<Account, Told>();
  return () => {
    const usage: Usage[] = [];
    for (const [key, account] of accounts.accounts()) {
      if (!account.isLimited) continue;
      let last = told.get(account);
      // What was admitted before there was a quota, or anybody to tell, does not count.
      if (last === undefined) {
        last = { admitted: account.admitted, running: 0 };
        told.set(account, last);
      }
      if (account.admitted === last.admitted && account.running === last.running) continue;
      usage.push([key, account.admitted - last.admitted, account.running]);
      last.admitted = account.admitted;
      last.running = account.running;
    }
    return usage;
  };
}

/** What the owner keeps of one guest. */
type Guest = {
  /** By key: under way at the guest. */
  readonly running: Map<string | null, number>;
  /** By key: what the guest is still to be told of the others. */
  readonly pending: Map<string | null, Told>;
};

export type QuotaHub = {
  join(): Guest;
  leave(guest: Guest): void;
  /** Takes what a guest says. */
  hear(guest: Guest, usage: readonly Usage[]): void;
  /** What a guest has to be told. */
  tell(guest: Guest): Usage[];
  /** Takes what this gateway itself used; to be called before guests are told. */
  gather(): void;
};

/** The owner's side: adds up, and tells each what the others used. */
export function createQuotaHub(accounts: Accounts): QuotaHub {
  const guests = new Set<Guest>();
  const ownUsage = createUsageTeller(accounts);
  const ownRunning = new Map<string | null, number>();

  const runningBeside = (key: string | null, but: Guest | null): number => {
    let sum = but === null ? 0 : (ownRunning.get(key) ?? 0);
    for (const guest of guests) if (guest !== but) sum += guest.running.get(key) ?? 0;
    return sum;
  };

  /** Somebody (null: this gateway) admitted calls of a key, or has another number under way. */
  const spread = (from: Guest | null, key: string | null, admitted: number): void => {
    for (const guest of guests) {
      if (guest === from) continue;
      const entry = guest.pending.get(key) ?? { admitted: 0, running: 0 };
      entry.admitted += admitted;
      entry.running = runningBeside(key, guest);
      guest.pending.set(key, entry);
    }
    if (from !== null) accounts.accountOfKey(key)?.hear(admitted, runningBeside(key, null), performance.now());
  };

  const note = (into: Map<string | null, number>, key: string | null, running: number): void => {
    if (running === 0) into.delete(key);
    else into.set(key, running);
  };

  return {
    join() {
      const guest: Guest = { running: new Map(), pending: new Map() };
      for (const key of new Set([...ownRunning.keys(), ...[...guests].flatMap((one) => [...one.running.keys()])]))
        guest.pending.set(key, { admitted: 0, running: runningBeside(key, guest) });
      guests.add(guest);
      return guest;
    },
    leave(guest) {
      guests.delete(guest);
      for (const key of guest.running.keys()) spread(guest, key, 0);
    },
    hear(guest, usage) {
      for (const [key, admitted, running] of usage) {
        if (accounts.accountOfKey(key) === undefined) continue; // a key that is gone here, or not here yet
        note(guest.running, key, running);
        spread(guest, key, admitted);
      }
    },
    tell({ pending }) {
      const usage = [...pending].map(([key, { admitted, running }]): Usage => [key, admitted, running]);
      pending.clear();
      return usage;
    },
    gather() {
      for (const [key, admitted, running] of ownUsage()) {
        note(ownRunning, key, running);
        spread(null, key, admitted);
      }
    },
  };
}
