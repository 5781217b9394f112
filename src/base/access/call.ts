import type { Principal } from './permission.ts';

/** Who calls, and how: what every verb of a service that belongs to no project takes first. */
export type Caller = {
  readonly principal: Principal;
  readonly requestId: string;
  /** Check everything, change nothing. */
  readonly dryRun: boolean;
  /** The revision named in If-Match; null when there is none. */
  readonly ifMatch: number | null;
  readonly idempotencyKey: string | null;
};

/** A call on things of one project. The router has made sure that the project exists and that the key sees it. */
export type Call = Caller & { readonly project: { readonly id: string; readonly name: string } };
