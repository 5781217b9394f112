import type { CallOptions, ListOptions } from './client.ts';
import type { ChangeKind, EndpointTraffic, Session, ShownSetting, TrafficSeries, Tried } from './live-types.ts';
import type { Speak } from './monitoring.ts';
import type { Transport } from './transport.ts';

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

  /** What changed, as it happens. Ends when the server ends it, after some minutes: open it again. */
  async function* events(call: CallOptions = {}): AsyncGenerator<ChangeKind[]> {
    const headers = { accept: 'text/event-stream' };
    const { signal } = call;
    const lines = transport.lines({ method: 'GET', url: `${root}/events`, headers, ...(signal ? { signal } : {}) });
    let event = '';
    for await (const line of lines) {
      if (line.startsWith('event: ')) event = line.slice(7);
      else if (line.startsWith('data: ')) {
        if (event === 'open') yield [];
        if (event === 'changed') yield (JSON.parse(line.slice(6)) as { changed: ChangeKind[] }).changed;
      }
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
