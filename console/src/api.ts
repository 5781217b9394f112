/** The one client of the server that all screens share. */
import { type Client, createClient, SlipwayApiError } from '@slipway/sdk';

/** `…/console/`, as this page was opened: what a proxy puts before it is known from here only. */
export const BASE = new URL(document.baseURI);
const ROOT = new URL('..', BASE).href;

/** After this long without a key or a pointer a request counts as the page's own, and keeps no session alive. */
const ATTENDED_MS = 60_000;
let lastInputMs = performance.now();
const attend = (): void => {
  lastInputMs = performance.now();
};
for (const kind of ['pointerdown', 'keydown', 'wheel'])
  addEventListener(kind, attend, { passive: true, capture: true });

let onEnded: () => void = () => {};
/** Calls back when the server says that there is no session any more. */
export function onSessionEnded(listener: () => void): void {
  onEnded = listener;
}

const fetchHere: typeof fetch = async (input, init) => {
  const headers = new Headers(init?.headers);
  if (performance.now() - lastInputMs > ATTENDED_MS) headers.set('x-slipway-unattended', '1');
  const answer = await fetch(input, { ...init, headers });
  // Who asks for itself is told by the answer.
  if (answer.status === 401 && !/\/(session|me)$/.test(String(input))) onEnded();
  return answer;
};

const clients = new Map<string, Client>();

/** @param project name; things of no project are the same for all of them */
export function clientOf(project: string): Client {
  const known = clients.get(project) ?? createClient({ url: ROOT, project, fetch: fetchHere, retries: 0 });
  clients.set(project, known);
  return known;
}

export function problemOf(error: unknown): SlipwayApiError {
  return error instanceof SlipwayApiError
    ? error
    : new SlipwayApiError(error instanceof Error ? error.message : String(error), { status: 0, code: 'page_failed' });
}
