/** Models as OpenAI lists them; also told by protocols that have its paths where it is spoken on the same port. */
import type { ServerView } from './protocol.ts';

export function openaiModels(server: ServerView): { readonly object: string; readonly data: readonly unknown[] } {
  return { object: 'list', data: server.endpoints().map(({ name }) => openaiModel(name)) };
}

/** When it was made is not known where predictions are answered. */
export function openaiModel(name: string): object {
  return { id: name, object: 'model', created: 0, owned_by: 'slipway' };
}

/** Whether a port speaks it beside others, whose answers then have its keys too. */
export function speaksOpenai(server: ServerView): boolean {
  return server.spoken.includes('openai');
}
