import type { ChangeOptions, ListOptions, VersionRef } from './client.ts';
import type { Conversion, ConversionSpec } from './conversion-types.ts';
import type { Speak } from './monitoring.ts';
import { type CallOptions, pause } from './transport.ts';

/** Versions made of others. */
export function createConversionsClient({ base, get, change, list }: Speak) {
  const of = (model: string): string => `${base}/models/${encodeURIComponent(model)}`;
  const show = (model: string, id: string, call: CallOptions & { waitMs?: number } = {}) =>
    get<Conversion>(`${of(model)}/conversions/${encodeURIComponent(id)}`, { waitMs: call.waitMs }, call);

  return {
    conversions: {
      /** Asks for one; it is done in the background. */
      create: (model: string, ref: VersionRef, spec: ConversionSpec, call?: ChangeOptions) =>
        change<Conversion>('POST', `${of(model)}/versions/${encodeURIComponent(String(ref))}/conversions`, spec, call),
      list: (model: string, call?: ListOptions) => list<Conversion>(`${of(model)}/conversions`, call),
      /** @param call `waitMs`: answers when it ends, or after this time */
      show,
      /** Waits for its end. @param call.onProgress told what it is doing, each time that changes */
      async untilEnded(
        conversion: Pick<Conversion, 'id' | 'model'>,
        call: CallOptions & { onProgress?: (words: string) => void } = {},
      ): Promise<Conversion> {
        let told: string | null = null;
        for (;;) {
          const seen = await show(conversion.model, conversion.id, { ...call, waitMs: 1000 });
          if (seen.finishedAt !== null) return seen;
          if (seen.reason !== null && seen.reason !== told) call.onProgress?.(seen.reason);
          told = seen.reason;
          await pause(50, call.signal);
        }
      },
    },
  };
}
