import type { Client, VersionRef } from '../../sdk/src/client.ts';

/** Whether callers of one version of a model would break on another: going back then needs --allow-breaking too. */
export async function breaks(
  client: Client,
  model: string,
  from: VersionRef,
  to: VersionRef,
  signal: AbortSignal,
): Promise<boolean> {
  const diff = await client.versions.diff(model, to, from, { signal }).catch(() => null);
  return diff?.breaking ?? false;
}
