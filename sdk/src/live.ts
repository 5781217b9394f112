import { SlipwayApiError } from './api-error.ts';
import type { CallOptions, ListOptions } from './client.ts';
import type { ChangeKind, EndpointTraffic, Session, ShownSetting, TrafficSeries, Tried } from './live-types.ts';
import type { Speak } from './monitoring.ts';
import type { Transport } from './transport.ts';

/** The server says something every 15 s. */
const QUIET_MS = 40_000;

/** What pages for people need beside the rest: sessions, what goes on now, and a try without a second address. */
export function createLiveClient({
  base,
  root,
  get,
  change,
  list,
  transport,
}: Speak & { root: string; transport: Transport }) {
  const of = (endpoint: string): string => `${base}/endpoints/${encodeURIComponent(endpoint)}`;

  /**
   * What changed, as it happens; an empty list first. Ends when the server ends it, after some minutes: open it again.
   * @param call `quietMs`: a stream that says nothing at all for so long is dead, though its connection may not know: `timeout`
   */
  async function* events(call: CallOptions & { quietMs?: number } = {}): AsyncGenerator<ChangeKind[]> {
    const { signal, quietMs = QUIET_MS } = call;
    const quiet = new AbortController();
    let timer = setTimeout(() => quiet.abort(), quietMs);
    const lines = transport.lines({
      method: 'GET',
      url: `${root}/events`,
      headers: { accept: 'text/event-stream' },
      signal: signal ? AbortSignal.any([signal, quiet.signal]) : quiet.signal,
    });
    let event = '';
    try {
      for await (const line of lines) {
        clearTimeout(timer);
        timer = setTimeout(() => quiet.abort(), quietMs);
        if (line.startsWith('event: ')) event = line.slice(7);
        else if (line.startsWith('data: ')) {
          if (event === 'open') yield [];
          if (event === 'changed') yield (JSON.parse(line.slice(6)) as { changed: ChangeKind[] }).changed;
        }
      }
    } catch (error) {
      if (!quiet.signal.aborted || signal?.aborted) throw error;
      throw new SlipwayApiError(`${root} said nothing for ${quietMs / 1000} s`, { status: 0, code: 'timeout' });
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    session: {
      /** In a browser: the cookie of the answer stands for the key from now on. */
      open: (key: string, call?: CallOptions) => change<Session>('POST', `${root}/session`, { key }, call),
      close: (call?: CallOptions) => change<void>('DELETE', `${root}/session`, undefined, call),
    },
    traffic: {
      list: (call?: ListOptions) => list<EndpointTraffic>(`${base}/traffic`, call),
      show: (endpoint: string, range: { minutes?: number; stepMs?: number } = {}, call?: CallOptions) =>
        get<TrafficSeries>(`${of(endpoint)}/traffic`, range, call),
    },
    /** One prediction by way of control. @param request JSON of the plain form, as text */
    tryOut: (endpoint: string, request: { body: string; version?: number }, call?: CallOptions) =>
      change<Tried>('POST', `${of(endpoint)}/try`, request, call),
    settings: async (call?: CallOptions) => (await get<{ items: ShownSetting[] }>(`${root}/settings`, {}, call)).items,
    events,
  };
}
